"""A flow's whole way as it would be with the staged policies live.

Owns that view of a Ruleset, and whether a staged policy took part in an answer. Decides by
`decide`, over other chains: every skip between stages is the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nfq_guard.engine.chain import Chain
from nfq_guard.engine.decide import decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.engine.chain import Match
    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
    from nfq_guard.model.decision import Decision
    from nfq_guard.model.flow import Flow, Packet


class Rehearsal:
    """Answers for one Ruleset."""

    def __init__(self, ruleset: Ruleset) -> None:
        """Put the pending chains where they would be."""
        self._ruleset = ruleset
        self._view = _as_if_live(ruleset, self._note)
        self._noted = False

    def decide(self, flow: Flow) -> Decision | None:
        """Return the decisive step for a flow, None if no staged policy was asked and nothing would change.

        That one is there can change something without its being asked: forwarded packets that are
        invalid are dropped where policy looks at them.
        """
        self._noted = False
        decision = decide(self._view, flow)
        return decision if self._noted or decision != decide(self._ruleset, flow) else None

    def _note(self) -> None:
        self._noted = True


class _Noting(Chain):
    """A pending chain that says when it is asked."""

    __slots__ = ("_chain", "_note")

    def __init__(self, chain: Chain, note: Callable[[], None]) -> None:
        # Not the base's: the tables of the chain within are asked, none are built.
        self._chain, self._note = chain, note
        self.rules = chain.rules

    def classify(self, packet: Packet) -> Match:
        # What is let by ahead of policy is not put to what is tried out.
        if not self._chain.spares(packet):
            self._note()
        return self._chain.classify(packet)


def _as_if_live(ruleset: Ruleset, note: Callable[[], None]) -> Ruleset:
    def live(endpoint: GuardedEndpoint) -> GuardedEndpoint:
        pending = {place: _Noting(pending.chain, note) for place, pending in endpoint.pending.items()}
        return replace(endpoint, chains={**endpoint.chains, **pending}, pending={})

    return replace(ruleset.with_endpoints(live), staged_policies=0)
