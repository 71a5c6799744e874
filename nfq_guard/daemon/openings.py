"""What a change has left unguarded, said once.

Owns the words about endpoints that govern nothing, and about interfaces that nothing
governs any more. Must never change what is in force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.compile.warnings import GOVERNS_NOTHING

if TYPE_CHECKING:
    from nfq_guard.daemon.logs import Log
    from nfq_guard.daemon.policy import Candidate
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.problem import Problem


class Openings:
    """Remembers what was said, so that it is said when it changes and not with each reload."""

    def __init__(self, log: Log) -> None:
        """Nothing was said yet."""
        self._log = log
        self._said: frozenset[tuple[str, str, str]] = frozenset()
        self._before: Ruleset | None = None

    def fresh(self, candidate: Candidate) -> list[Problem]:
        """Return the warnings about endpoints that govern nothing, but for those that stand from before."""
        idle = {
            (problem.kind, problem.name, problem.message): problem
            for problem in candidate.warnings
            if problem.code == GOVERNS_NOTHING
        }
        found = [problem for key, problem in idle.items() if key not in self._said]
        self._said = frozenset(idle)
        return found

    def lost(self, candidate: Candidate) -> None:
        """Say which interfaces that are there were governed until now, and are no longer."""
        before, now = self._before, candidate.ruleset
        self._before = now
        names = [
            name
            for name in candidate.facts.interfaces
            if before is not None and before.endpoint_for(name) and not now.endpoint_for(name)
        ]
        if names:
            self._log.warning("interfaces no longer guarded", interfaces=",".join(names))
