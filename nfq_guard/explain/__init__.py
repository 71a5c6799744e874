"""Why a flow gets its verdict: which rule decided, and what ruled every other rule out.

Owns the way from the engine's own evaluation to what people read. Must never decide: the
verdict and the lines that a packet matches are the engine's, and the words beside them
say what of a rule a packet does not fulfil.
"""

from nfq_guard.explain.explainer import Explainer
from nfq_guard.explain.steps import Explanation

__all__ = ["Explainer", "Explanation"]
