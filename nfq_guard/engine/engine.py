"""The packet path: bytes of a queued packet to the match that decides it.

Owns the flow table: outcomes of recent packets, bounded in size, emptied with the
ruleset. One writer, the worker that owns the queue. Raises nothing for any input.

The table has two halves. A full young half becomes the old one, and the old one is
forgotten at once: constant work a packet and bounded memory under a flood of distinct
tuples, where evicting entries one by one from a dict would scan its holes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.engine.chain import Match
from nfq_guard.engine.decide import UNMANAGED, is_failsafe, is_neighbor_discovery
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import Packet, Side, Stage
from nfq_guard.packet import Unparsable, UnparsableReason, parse

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset

FLOW_TABLE_SIZE = 65_536
"""Entries in both halves together: a few tens of megabytes at most."""

_UNKNOWN = Unparsable(UnparsableReason.UNKNOWN_INTERFACE)


class Engine:
    """Judges packets of the `normal` stage under one ruleset."""

    def __init__(self, ruleset: Ruleset, table_size: int = FLOW_TABLE_SIZE) -> None:
        """Start with an empty flow table of at most `table_size` entries; 0: no table."""
        self.ruleset = ruleset
        self.hits = 0
        self.misses = 0
        self._half = table_size // 2
        self._young: dict[tuple[Side, str, Packet], Match] = {}
        self._old: dict[tuple[Side, str, Packet], Match] = {}

    @property
    def entries(self) -> int:
        """Number of outcomes in the flow table."""
        return len(self._young) + len(self._old)

    def judge(self, side: Side, interface: str, data: bytes) -> Match | Unparsable:
        """Return the outcome for a queued packet seen at `interface`; empty where that is not known.

        What nobody governs is not queued. Here it is not judged: to allow it would be to
        remember it as allowed.
        """
        packet = parse(data)
        if isinstance(packet, Unparsable):
            return packet
        key = (side, interface, packet)
        match = self._young.get(key) or self._old.get(key)
        if match is not None:
            self.hits += 1
            return match
        self.misses += 1
        match = self._judge(side, interface, packet) if interface else UNMANAGED
        if match is UNMANAGED:
            return _UNKNOWN
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        if self._half:
            self._young[key] = match
        return match

    def _judge(self, side: Side, interface: str, packet: Packet) -> Match:
        endpoint = self.ruleset.endpoint_for(interface)
        if endpoint is None:
            return UNMANAGED
        # The kernel accepts these ahead of the queue; one that arrives all the same (its set is
        # older than this ruleset for a moment) must not be denied.
        if is_failsafe(self.ruleset, packet, side):
            return _early(Reason.FAILSAFE, side, endpoint)
        if self.ruleset.options.allow_neighbor_discovery and is_neighbor_discovery(packet):
            return _early(Reason.NEIGHBOR_DISCOVERY, side, endpoint)
        return endpoint.chains[Stage.NORMAL, side].classify(packet)


def _early(reason: Reason, side: Side, endpoint: GuardedEndpoint) -> Match:
    return Match(Decision(Verdict.ALLOW, reason, Stage.NORMAL, side, endpoint.name))
