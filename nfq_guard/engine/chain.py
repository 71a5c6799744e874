"""One endpoint's policy for one stage and side, classified by bit vectors.

Owns the flat rules in evaluation order and the per-field tables over them
(Lakshman and Stiliadis, SIGCOMM 1998): for each field a sorted list of interval
boundaries, each interval with an integer that has one bit per flat rule accepting
it. AND of all fields; the lowest set bit is the first rule that matches. The cost
of a packet hardly depends on the number of rules.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.addresses import FAMILIES
from nfq_guard.model.flow import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nfq_guard.model.addresses import Intervals
    from nfq_guard.model.decision import Decision, RuleRef
    from nfq_guard.model.flow import Packet

PROTOCOLS = 256


class Step(Enum):
    """What a flat rule does when it is the first that matches."""

    DECIDE = auto()
    """The packet's fate is settled."""
    JUMP = auto()
    """Go on at `target`: Pass to the next tier, or a rule's negated named port."""
    LOG = auto()
    """Note the rule and go on at `target`, the line behind the rule."""


class Criteria(NamedTuple):
    """What a flat rule accepts in one address family. None: anything.

    Ports and ICMP are shifted by one so that 0 stands for a packet without them:
    a rule that wants a port never matches a packet that has none.
    """

    src: Intervals | None = None
    dst: Intervals | None = None
    protocol: Intervals | None = None
    sport: Intervals | None = None
    dport: Intervals | None = None
    icmp: Intervals | None = None
    """(type << 8 | code) + 1."""


ANYTHING: Mapping[int, Criteria] = dict.fromkeys(FAMILIES, Criteria())


def port_key(port: int) -> int:
    """Return the place of a port, or of ABSENT, on the port axis."""
    return port + 1


def icmp_key(icmp_type: int, icmp_code: int) -> int:
    """Return the place of an ICMP type and code, or of ABSENT, on the ICMP axis."""
    return 0 if icmp_type == ABSENT else (icmp_type << 8 | icmp_code) + 1


@dataclass(frozen=True, slots=True)
class FlatRule:
    """A rule, an end-of-tier action or the default, as one line of the chain."""

    step: Step
    criteria: Mapping[int, Criteria]
    """By address family; a missing family cannot match."""
    decision: Decision | None = None
    """Valid iff DECIDE; None there: this stage has no opinion."""
    target: int = 0
    """Valid iff JUMP or LOG: index of the flat rule to go on with, always a later one."""
    ref: RuleRef | None = None
    """The policy rule this line came from; None for end-of-tier and default."""
    counter: int = -1
    """Index into Ruleset.counted; -1: not counted (a helper line of a rule)."""


class Match(NamedTuple):
    """The outcome of a chain for a packet."""

    decision: Decision | None
    """None: the stage has no opinion and the packet goes on."""
    counters: tuple[int, ...] = ()
    """What to count: the decisive line, and each Pass and Log on the way."""
    logs: tuple[RuleRef, ...] = ()


class _Axis(NamedTuple):
    """A field: interval starts and, for each, the bits of the rules that accept it."""

    starts: Sequence[int]
    masks: Sequence[int]


class _Tables(NamedTuple):
    src: _Axis
    dst: _Axis
    protocol: Sequence[int]
    sport: _Axis
    dport: _Axis
    icmp: _Axis


def _axis(wanted: Sequence[Intervals | None], everyone: int) -> _Axis:
    """Build the axis of one field from what each flat rule wants of it."""
    flips: dict[int, int] = {0: 0}
    indifferent = everyone
    for index, intervals in enumerate(wanted):
        if intervals is None:
            continue
        bit = 1 << index
        indifferent &= ~bit
        for low, high in intervals.spans:
            flips[low] = flips.get(low, 0) ^ bit
            flips[high + 1] = flips.get(high + 1, 0) ^ bit
    starts = sorted(flips)
    masks = []
    shared: dict[int, int] = {}
    mask = indifferent
    for start in starts:
        mask ^= flips[start]
        masks.append(shared.setdefault(mask, mask))
    return _Axis(starts, masks)


class Chain:
    """Flat rules in evaluation order, and the tables that find the first match.

    The last flat rule must accept anything, so that every packet has an outcome.
    """

    __slots__ = ("_settled", "_tables", "rules")

    def __init__(self, rules: Iterable[FlatRule]) -> None:
        """Build the tables; ValueError if some packet could match no rule."""
        self.rules = tuple(rules)
        if not self.rules or self.rules[-1].step is not Step.DECIDE or self.rules[-1].criteria != ANYTHING:
            raise ValueError("the last flat rule must decide about anything")
        # What a chain answers when its first match settles the packet: made once, not per packet.
        self._settled = tuple(
            Match(rule.decision, () if rule.counter < 0 else (rule.counter,))
            if rule.step is Step.DECIDE
            else None
            for rule in self.rules
        )
        self._tables = {family: self._tables_of(family) for family in FAMILIES}

    def _tables_of(self, family: int) -> _Tables:
        criteria = [rule.criteria.get(family) for rule in self.rules]
        everyone = sum(1 << index for index, entry in enumerate(criteria) if entry is not None)
        present = [entry or Criteria() for entry in criteria]
        protocol = _axis([entry.protocol for entry in present], everyone)
        return _Tables(
            src=_axis([entry.src for entry in present], everyone),
            dst=_axis([entry.dst for entry in present], everyone),
            protocol=tuple(
                protocol.masks[bisect_right(protocol.starts, number) - 1] for number in range(PROTOCOLS)
            ),
            sport=_axis([entry.sport for entry in present], everyone),
            dport=_axis([entry.dport for entry in present], everyone),
            icmp=_axis([entry.icmp for entry in present], everyone),
        )

    def vector(self, packet: Packet) -> int:
        """Return an integer with bit i set iff flat rule i accepts the packet."""
        src, dst, protocol, sport, dport, icmp = self._tables[packet.family]
        return (
            protocol[packet.protocol]
            & dport.masks[bisect_right(dport.starts, packet.dport + 1) - 1]
            & src.masks[bisect_right(src.starts, packet.src) - 1]
            & dst.masks[bisect_right(dst.starts, packet.dst) - 1]
            & sport.masks[bisect_right(sport.starts, packet.sport + 1) - 1]
            & icmp.masks[bisect_right(icmp.starts, icmp_key(packet.icmp_type, packet.icmp_code)) - 1]
        )

    def classify(self, packet: Packet) -> Match:
        """Return the chain's outcome for a packet."""
        vector = self.vector(packet)
        settled = self._settled[(vector & -vector).bit_length() - 1]
        return settled if settled is not None else self._walk(vector)

    def _walk(self, vector: int) -> Match:
        """Follow Pass and Log lines to the line that settles the packet."""
        counters: list[int] = []
        logs: list[RuleRef] = []
        while True:
            index = (vector & -vector).bit_length() - 1
            rule = self.rules[index]
            if rule.counter >= 0:
                counters.append(rule.counter)
            if rule.step is Step.DECIDE:
                return Match(rule.decision, tuple(counters), tuple(logs))
            if rule.step is Step.LOG:
                assert rule.ref is not None, "a Log line always comes from a rule"  # noqa: S101
                logs.append(rule.ref)
            vector = vector >> rule.target << rule.target
