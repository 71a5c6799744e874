"""Resources and host facts in, a Ruleset out.

Owns Calico's semantics: which endpoint governs what, which policies apply in which
order, what selectors stand for. A pure function of its inputs: what is remembered is what
was worked out from parts that are the same still, never an earlier ruleset, so that the
same files on the same host always give the same answers.
"""

from nfq_guard.compile.memory import CompileMemory
from nfq_guard.compile.ruleset import Compiled, compile_ruleset

__all__ = ["CompileMemory", "Compiled", "compile_ruleset"]
