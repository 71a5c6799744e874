"""Resources and host facts in, a Ruleset out.

Owns Calico's semantics: which endpoint governs what, which policies apply in which
order, what selectors stand for. A pure function of its inputs: no memory of earlier
rulesets, so that the same files on the same host always give the same answers.
"""

from nfq_guard.compile.ruleset import Compiled, compile_ruleset

__all__ = ["Compiled", "compile_ruleset"]
