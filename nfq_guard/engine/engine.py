"""The packet path: bytes of a queued packet to the match that decides it.

Owns the flow table: outcomes of recent packets, bounded in size, emptied with the
ruleset. One writer, the worker that owns the queue. Raises nothing for any input.

The table has two halves. A full young half becomes the old one, and the old one is
forgotten at once: constant work a packet and bounded memory under a flood of distinct
tuples, where evicting entries one by one from a dict would scan its holes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.engine.decide import NO_OPINION, UNMANAGED, forward_policy, stage_policy, workload_to_host
from nfq_guard.model.flow import Direction, Side, Stage
from nfq_guard.packet import Unparsable, UnparsableReason, parse

if TYPE_CHECKING:
    from nfq_guard.engine.chain import Match
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.flow import Gate, Packet

FLOW_TABLE_SIZE = 65_536
"""Entries in both halves together: a few tens of megabytes at most."""

_UNKNOWN = Unparsable(UnparsableReason.UNKNOWN_INTERFACE)


class Place:
    """Where a packet waits for its verdict. Made once, asked for every packet: all is worked out ahead."""

    __slots__ = ("gate", "in_interface", "interface", "key", "named", "out_interface", "side")

    def __init__(self, gate: Gate, in_interface: str = "", out_interface: str = "") -> None:
        """Interfaces that a packet has not got there are empty."""
        self.gate = gate
        self.in_interface = in_interface
        self.out_interface = out_interface
        self.side = Side.EGRESS if gate.direction is Direction.OUT else Side.INGRESS
        """Whose rules it meets first: those of the interface that it came in by, if it did."""
        self.interface = in_interface if self.side is Side.INGRESS else out_interface
        """That interface."""
        crossing = gate.direction is Direction.FORWARD
        self.named = bool(in_interface and out_interface) if crossing else bool(self.interface)
        """Whether the interfaces that decide are known."""
        self.key = f"{gate.stage} {gate.direction} {gate.before_nat} {in_interface} {out_interface}"
        """Tells places apart, for dicts: a string knows its hash, an enum's is a call."""


class Engine:
    """Judges queued packets under one ruleset."""

    def __init__(self, ruleset: Ruleset, table_size: int = FLOW_TABLE_SIZE) -> None:
        """Start with an empty flow table of at most `table_size` entries; 0: no table."""
        self.ruleset = ruleset
        self.hits = 0
        self.misses = 0
        self._half = table_size // 2
        self._young: dict[tuple[str, Packet], Match] = {}
        self._old: dict[tuple[str, Packet], Match] = {}

    @property
    def entries(self) -> int:
        """Number of outcomes in the flow table."""
        return len(self._young) + len(self._old)

    def knows(self, place: Place) -> bool:
        """Return whether anybody can be asked at a place: the names are known, and governed where they must be."""
        if not place.named:
            return False
        stage, direction, _ = place.gate
        if stage is not Stage.NORMAL:
            return True
        workload = direction is Direction.IN and self.ruleset.is_workload(place.interface)
        return workload or self.ruleset.endpoint_for(place.interface) is not None

    def judge(self, place: Place, data: bytes) -> Match | Unparsable:
        """Return the outcome for a queued packet; without a decision, its stage has no opinion.

        What nobody governs is not queued. Here it is not judged: to allow it would be to
        remember it as allowed.
        """
        packet = parse(data)
        if isinstance(packet, Unparsable):
            return packet
        key = (place.key, packet)
        match = self._young.get(key) or self._old.get(key)
        if match is not None:
            self.hits += 1
            return match
        self.misses += 1
        match = self._judge(place, packet) if place.named else UNMANAGED
        if match is UNMANAGED:
            return _UNKNOWN
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        if self._half:
            self._young[key] = match
        return match

    def _judge(self, place: Place, packet: Packet) -> Match:
        ruleset, (stage, direction, before_nat) = self.ruleset, place.gate
        if stage is Stage.FORWARD:
            return forward_policy(
                ruleset, place.in_interface, place.out_interface, packet, before_nat=before_nat
            )
        if stage is Stage.NORMAL and direction is Direction.IN and ruleset.is_workload(place.in_interface):
            return workload_to_host(ruleset, place.in_interface, packet)
        match = stage_policy(ruleset, stage, place.side, place.interface, packet)
        if match is not None:
            return match
        return UNMANAGED if stage is Stage.NORMAL else NO_OPINION
