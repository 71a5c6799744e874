"""The decision: a Ruleset and a Flow in, a Decision out.

Must never do I/O, read a clock or log, so that every decision can be replayed.
"""

from nfq_guard.engine.decide import decide
from nfq_guard.engine.engine import Engine, Place
from nfq_guard.engine.rehearsal import Rehearsal

__all__ = ["Engine", "Place", "Rehearsal", "decide"]
