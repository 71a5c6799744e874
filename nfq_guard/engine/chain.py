"""One endpoint's policy for one stage and side, classified by classes of field values.

Owns the flat rules in evaluation order, and what each does. Which is the first that
accepts a packet, the slices find (Lakshman and Stiliadis, SIGCOMM 1998, in the
aggregated form of Baboescu and Varghese, SIGCOMM 2001): for each field a sorted list of
interval boundaries, each interval with the rules that accept it. All packets whose
fields lie in the same intervals have the same outcome, so it is worked out once for all
of them: the cost of a packet hardly depends on the number of rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.engine.slices import Slice
from nfq_guard.model.addresses import FAMILIES, LAST_ADDRESS
from nfq_guard.model.flow import ABSENT, ICMP_OF_FAMILY, SCTP, TCP, UDP, UDPLITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from nfq_guard.engine.slices import Key, Wanted
    from nfq_guard.model.addresses import Intervals
    from nfq_guard.model.decision import Decision, RuleRef
    from nfq_guard.model.flow import Packet

    Share = tuple[tuple[int, Wanted], ...]
    """Numbers of the slices of which a line may accept packets, each with what it wants of them."""

PROTOCOLS = 256
PORTED = frozenset({TCP, UDP, SCTP, UDPLITE})
"""Protocols whose packets have ports, if only in their first fragment."""


class Step(Enum):
    """What a flat rule does when it is the first that matches."""

    DECIDE = auto()
    """The packet's fate is settled."""
    SPARE = auto()
    """The same, ahead of policy: staged policies are not asked either."""
    JUMP = auto()
    """Go on at `target`: Pass to the next tier, or a rule's negated named port."""
    LOG = auto()
    """Note the rule and go on at `target`, the line behind the rule."""


_SETTLING = frozenset({Step.DECIDE, Step.SPARE})


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
    """Valid iff DECIDE or SPARE; None there: this stage has no opinion."""
    target: int = 0
    """Valid iff JUMP or LOG: index of the flat rule to go on with, always a later one."""
    ref: RuleRef | None = None
    """The policy rule this line came from; None for end-of-tier and default."""
    counter: int = -1
    """Index into Ruleset.counted; -1: not counted (a helper line of a rule)."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out what a worker can do without, on the way there.

        What the line accepts the chain's slices say; which rule it was the counter; only
        what is logged is named.
        """
        ref = self.ref if self.step is Step.LOG else None
        decision = None if self.decision is None else _nameless(self.decision._replace(rule=None, counter=-1))
        return FlatRule, (self.step, _NOTHING, decision, self.target, ref, self.counter)


_NOTHING: Mapping[int, Criteria] = {}


@lru_cache(maxsize=1024)
def _nameless(decision: Decision) -> Decision:
    """Return the same object for equal decisions: a pickle holds it once."""
    return decision


class Logged(NamedTuple):
    """A Log rule that a packet met."""

    rule: RuleRef
    counter: int
    """Of its line: index into Ruleset.counted."""


class Match(NamedTuple):
    """The outcome of a chain for a packet."""

    decision: Decision | None
    """None: the stage has no opinion and the packet goes on."""
    counters: tuple[int, ...] = ()
    """What to count: the decisive line, and each Pass and Log on the way."""
    logs: tuple[Logged, ...] = ()
    """In the order in which they were met."""
    decisive: int = -1
    """Counter of the line that settled it; -1: it has none, or no line did."""


class Chain:
    """Flat rules in evaluation order, and the tables that find the first match.

    The last flat rule must accept anything, so that every packet has an outcome.
    """

    __slots__ = ("rules", "shares", "slices")

    def __init__(self, rules: Iterable[FlatRule], like: Chain | None = None) -> None:
        """Build the tables; ValueError if some packet could match no rule.

        `like`: a chain, never one that has travelled, of which much may be the same: that is
        taken over, and not made again. The tables are what they would be without.
        """
        self.rules = tuple(rules)
        if not self.rules or self.rules[-1].step is not Step.DECIDE or self.rules[-1].criteria != ANYTHING:
            raise ValueError("the last flat rule must decide about anything")
        self.shares = _shares(self.rules, like)
        """By line: its share in the slices. None in a chain that has travelled: only another one is made with them."""
        pieces = _pieces(self.shares, None if like is None else like.slices)
        self.slices: Mapping[int, tuple[Slice, ...]] = {
            family: tuple(pieces[number] for number in numbers) for family, numbers in _NUMBERS.items()
        }
        """By family and protocol number; protocols that no rule treats apart share one."""

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Leave out what only another chain is made with."""
        return None, {"rules": self.rules, "slices": self.slices, "shares": ()}

    def key(self, packet: Packet) -> Key:
        """Return the classes of a packet's fields in its slice."""
        family, protocol, src, dst, sport, dport, icmp_type, icmp_code = packet
        if protocol in PORTED:
            third, fourth = dport + 1, sport + 1
        elif protocol == ICMP_OF_FAMILY[family]:
            third, fourth = icmp_key(icmp_type, icmp_code), 0
        else:
            third, fourth = protocol, 0
        return self.slices[family][protocol].key(src, dst, third, fourth)

    def accepting(self, packet: Packet) -> Iterator[int]:
        """Yield the index of every flat rule that accepts the packet."""
        return self.slices[packet.family][packet.protocol].accepting(self.key(packet))

    def classify(self, packet: Packet) -> Match:
        """Return the chain's outcome for a packet."""
        part, key = self.slices[packet.family][packet.protocol], self.key(packet)
        line = part.first(key)
        return self.settled(line) or self.walk(part, key, line)

    def spares(self, packet: Packet) -> bool:
        """Return whether a packet is let by ahead of policy."""
        line = self.slices[packet.family][packet.protocol].first(self.key(packet))
        return self.rules[line].step is Step.SPARE

    def unspared(self, packet: Packet) -> Match:
        """Return what policy says of a packet, whether or not it is let by ahead of it."""
        part, key = self.slices[packet.family][packet.protocol], self.key(packet)
        ahead = sum(rule.step is Step.SPARE for rule in self.rules)
        return self.walk(part, key, part.first(key, ahead))

    def settled(self, line: int) -> Match | None:
        """Return the outcome of every packet that a line is the first to accept, None if more lines are asked."""
        rule = self.rules[line]
        if rule.step not in _SETTLING:
            return None
        return Match(rule.decision, () if rule.counter < 0 else (rule.counter,), decisive=rule.counter)

    def walk(self, part: Slice, key: Key, line: int) -> Match:
        """Return the outcome of all packets of these classes: follow Pass and Log to the line that settles."""
        met = [self.rules[number] for number in self._steps(part, key, line)]
        counters = tuple(rule.counter for rule in met if rule.counter >= 0)
        logs = tuple(_logged(rule) for rule in met if rule.step is Step.LOG)
        return Match(met[-1].decision, counters, logs, met[-1].counter)

    def path(self, packet: Packet, start: int = 0) -> tuple[int, ...]:
        """Return the index of each flat rule that a packet comes to and matches; the last settles.

        `start`: the flat rule to begin with, as if none ahead of it were there.
        """
        part, key = self.slices[packet.family][packet.protocol], self.key(packet)
        return tuple(self._steps(part, key, part.first(key, start)))

    def _steps(self, part: Slice, key: Key, line: int) -> Iterator[int]:
        while True:
            yield line
            rule = self.rules[line]
            if rule.step in _SETTLING:
                return
            line = part.first(key, rule.target)


def _logged(rule: FlatRule) -> Logged:
    assert rule.ref is not None, "a Log line always comes from a rule"  # noqa: S101
    return Logged(rule.ref, rule.counter)


def _apart(family: int) -> frozenset[int]:
    """Return the protocols whose packets have fields of their own."""
    return PORTED | {ICMP_OF_FAMILY[family]}


_SLICES: tuple[tuple[int, int | None], ...] = tuple(
    (family, protocol) for family in FAMILIES for protocol in (*sorted(_apart(family)), None)
)
"""Family and protocol of each slice of a chain; None: all protocols that are not treated apart."""
_NUMBERS: Mapping[int, tuple[int, ...]] = {
    family: tuple(
        _SLICES.index((family, protocol if protocol in _apart(family) else None))
        for protocol in range(PROTOCOLS)
    )
    for family in FAMILIES
}
"""By family and protocol number: the slice."""


def _shares(rules: Sequence[FlatRule], like: Chain | None) -> list[Share]:
    known: dict[int, Share] = {}
    """By the identity of criteria, all of which somebody holds meanwhile: comparing them takes longer."""
    if like is not None:
        known = {id(rule.criteria): share for rule, share in zip(like.rules, like.shares, strict=True)}
    shares: list[Share] = []
    for rule in rules:
        share = known.get(id(rule.criteria))
        if share is None:
            share = known[id(rule.criteria)] = tuple(_share(rule.criteria))
        shares.append(share)
    return shares


def _share(criteria: Mapping[int, Criteria]) -> Iterator[tuple[int, Wanted]]:
    """Yield each slice of which a line may accept packets, and what it wants of them."""
    for family, one in criteria.items():
        for number in _candidates(one.protocol, family):
            fields = _fields(one, family, _SLICES[number][1])
            if fields is not None:
                yield number, fields


def _candidates(protocols: Intervals | None, family: int) -> Iterable[int]:
    """Return the slices that may hold packets of some protocols, and perhaps more."""
    numbers = _NUMBERS[family]
    if protocols is not None and len(protocols.spans) == 1:
        ((low, high),) = protocols.spans
        if low == high:
            return (numbers[low],)
    return _OF_FAMILY[family]


_OF_FAMILY: Mapping[int, tuple[int, ...]] = {
    family: tuple(sorted(set(numbers))) for family, numbers in _NUMBERS.items()
}


def _pieces(shares: Sequence[Share], like: Mapping[int, tuple[Slice, ...]] | None) -> list[Slice]:
    """Return the slices in the order of `_SLICES`."""
    lines: list[list[int]] = [[] for _ in _SLICES]
    wanted: list[list[Wanted]] = [[] for _ in _SLICES]
    for line, share in enumerate(shares):
        for number, fields in share:
            lines[number].append(line)
            wanted[number].append(fields)
    return [
        Slice.of(lines[number], wanted[number], None if like is None else like[family][protocol or 0])
        for number, (family, protocol) in enumerate(_SLICES)
    ]


def _fields(criteria: Criteria, family: int, protocol: int | None) -> Wanted | None:
    """Return what a line wants of packets of a protocol, None if it can accept none of them."""
    src, dst, protocols, sport, dport, icmp = criteria
    third, fourth, absent = protocols, None, [sport, dport, icmp]
    if protocol is None:
        if protocols is not None and _only_apart(protocols, family):
            return None
    elif protocols is not None and not _accepts(protocols, protocol):
        return None
    elif protocol in PORTED:
        third, fourth, absent = dport, sport, [icmp]
    else:
        third, fourth, absent = icmp, None, [sport, dport]
    # What these packets have not got stands at 0 on its axis.
    if not all(intervals is None or _accepts(intervals, 0) for intervals in absent):
        return None
    last = LAST_ADDRESS[family]
    fields = (_or_any(src, last), _or_any(dst, last), third, fourth)
    return None if any(intervals is not None and not intervals.spans for intervals in fields) else fields


def _accepts(intervals: Intervals, value: int) -> bool:
    return any(low <= value <= high for low, high in intervals.spans)


def _only_apart(protocols: Intervals, family: int) -> bool:
    return all(
        high - low < len(PORTED) + 1 and _apart(family).issuperset(range(low, high + 1))
        for low, high in protocols.spans
    )


def _or_any(intervals: Intervals | None, last: int) -> Intervals | None:
    return None if intervals is None or intervals.spans == ((0, last),) else intervals
