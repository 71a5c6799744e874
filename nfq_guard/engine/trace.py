"""A flow's way through the host as `decide` goes it, with every chain that was asked.

Owns the watching. Decides nothing: the chains that decide are asked through others that
remember, so that what is told of a verdict is what made it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.engine.chain import Chain
from nfq_guard.engine.decide import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.engine.chain import Match
    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
    from nfq_guard.model.decision import Decision
    from nfq_guard.model.flow import Flow, Packet, Side, Stage


class Asked(NamedTuple):
    """A chain that was asked about a packet."""

    endpoint: GuardedEndpoint
    stage: Stage
    """`normal` stands for a workload's policy on forwarded traffic too."""
    side: Side
    chain: Chain
    packet: Packet
    """As it is there: ahead of NAT it has another destination."""
    match: Match


class Trace(NamedTuple):
    """The decisive step, and the chains that were asked on the way to it, in order."""

    decision: Decision
    asked: tuple[Asked, ...]


class Tracer:
    """Traces flows under one Ruleset. Staged policies are left out: they decide nothing."""

    def __init__(self, ruleset: Ruleset) -> None:
        """Put a watched chain in the place of each."""
        self._asked: list[Asked] = []
        self._view = replace(ruleset.with_endpoints(self._watched), staged_policies=0)

    def trace(self, flow: Flow) -> Trace:
        """Return the way of a flow; ValueError as from `decide`."""
        self._asked.clear()
        decision = judge(self._view, flow).decision
        assert decision is not None, "the last stage of a path always decides"  # noqa: S101
        return Trace(decision, tuple(self._asked))

    def _watched(self, endpoint: GuardedEndpoint) -> GuardedEndpoint:
        chains: dict[tuple[Stage, Side], Chain] = {
            (stage, side): _Watched(chain, self._noting(endpoint, stage, side, chain))
            for (stage, side), chain in endpoint.chains.items()
        }
        return replace(endpoint, chains=chains, pending={})

    def _noting(
        self, endpoint: GuardedEndpoint, stage: Stage, side: Side, chain: Chain
    ) -> Callable[[Packet, Match], None]:
        return lambda packet, match: self._asked.append(Asked(endpoint, stage, side, chain, packet, match))


class _Watched(Chain):
    """A chain that says what it was asked, and what it said."""

    __slots__ = ("_chain", "_note")

    def __init__(self, chain: Chain, note: Callable[[Packet, Match], None]) -> None:
        # Not the base's: the tables of the chain within are asked, none are built.
        self._chain, self._note = chain, note
        self.rules = chain.rules

    def classify(self, packet: Packet) -> Match:
        match = self._chain.classify(packet)
        self._note(packet, match)
        return match
