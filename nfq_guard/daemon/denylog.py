"""The deny log: which denied packets get a line, and what it says.

Owns the choice: a line a minute for each tuple, few lines in all whatever comes, and in
each the number of those that got none. Bounded, whatever comes. Takes the time as a
parameter; must never read a clock or write a log.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from nfq_guard.daemon.throttle import Throttle
from nfq_guard.model.flow import ABSENT, Direction, Side
from nfq_guard.stream.event import described

if TYPE_CHECKING:
    from collections.abc import Hashable

    from nfq_guard.stream.event import Event

    Fields = dict[str, object]

EACH_SECONDS = 60.0
"""Between two lines of one tuple."""
TUPLES = 1024
"""That are remembered at a time: the one that has been silent longest is forgotten."""
BURST, PER_SECOND = 20, 2
"""Lines of all tuples together: a scan shows, and a flood of invented addresses does not fill a disk."""


class _Tuple:
    """What is remembered of packets that are alike."""

    __slots__ = ("line", "logged_at", "more", "recent")

    def __init__(self) -> None:
        self.logged_at: float | None = None
        """When it last had a line."""
        self.more = 0
        """Its packets without a line since then."""
        self.line = -1
        """Number of the log's line behind which `recent` counts."""
        self.recent = 0
        """Its packets without a line since the last line of any."""


class DenyLog:
    """Put to it is every denied packet that there is a record of."""

    def __init__(self) -> None:
        """Nothing was denied yet."""
        self._together = Throttle(BURST, PER_SECOND)
        self._tuples: OrderedDict[Hashable, _Tuple] = OrderedDict()
        self._lines = 0
        self._unlogged = 0
        """Denials without a line since the last line."""

    def meet(self, event: Event, now: float) -> Fields | None:
        """Return the fields of a denied packet's line, None if it gets none."""
        known = self._of(_tuple(event))
        due = known.logged_at is None or now - known.logged_at >= EACH_SECONDS
        if known.line != self._lines:
            known.line, known.recent = self._lines, 0
        if not due or self._together.admit(now) is None:
            known.more += 1
            known.recent += 1
            self._unlogged += 1
            return None
        counts: Fields = {"more": known.more, "others": self._unlogged - known.recent}
        known.logged_at, known.more = now, 0
        self._lines += 1
        self._unlogged = 0
        return _fields(event) | counts

    def miss(self, number: int) -> None:
        """Take in so many denials of which there is no record."""
        self._unlogged += number

    def _of(self, key: Hashable) -> _Tuple:
        known = self._tuples.get(key)
        if known is None:
            known = self._tuples[key] = _Tuple()
            if len(self._tuples) > TUPLES:
                self._tuples.popitem(last=False)
        else:
            self._tuples.move_to_end(key)
        return known


def _tuple(event: Event) -> Hashable:
    """Return what packets that are alike have in common: all but the source port."""
    packet = event.packet
    return (
        *(event.stage, event.direction, event.in_interface, event.out_interface),
        *(event.reason, event.unparsable, event.rule),
        packet and packet._replace(sport=ABSENT),
    )


def _fields(event: Event) -> Fields:
    rule = event.rule
    fields: Fields = {"reason": event.reason or event.unparsable or "fault"}
    if rule is not None:
        fields |= {"policy": rule.name, "kind": rule.kind, "rule": rule.rule, "tier": rule.tier}
        if rule.file:
            fields["at"] = f"{rule.file}:{rule.line}"
    # Where nobody's rules decided: those that it would have met first (engine/engine.py Place).
    leaving = event.direction == Direction.OUT
    fields |= {"stage": event.stage, "direction": event.side or str(Side.EGRESS if leaving else Side.INGRESS)}
    fields["interface"] = event.out_interface if leaving else event.in_interface
    if event.direction == Direction.FORWARD:
        fields["out_interface"] = event.out_interface
    return fields if event.packet is None else fields | described(event.packet)
