"""Verdicts of the stream folded into what is denied most, and the latest of them.

Owns what an event is counted by. Time is a parameter, and what is kept is bounded
whatever comes. Counts what it is given: who leaves some out says so.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.addresses import format_address
from nfq_guard.model.flow import ABSENT, Direction
from nfq_guard.model.spelling import protocol_name
from nfq_guard.stream.heavy import Window
from nfq_guard.stream.record import DENY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nfq_guard.model.flow import Packet
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.heavy import Hitter

SECONDS = 60.0
"""That are looked back."""
SLICES = 12
CAPACITY = 128
"""Keys of a slice: what makes up a hundredth of its denials is never missed."""
LATEST = 200
"""Events that are kept."""


class Latest(NamedTuple):
    """An event with its number, from 1: events may be equal."""

    number: int
    event: Event


class Denied(NamedTuple):
    """What was denied most, each the most often met first."""

    packets: int
    """Of all: exact."""
    sources: list[Hitter[str]]
    ports: list[Hitter[str]]
    interfaces: list[Hitter[str]]
    rules: list[Hitter[str]]


class Tally:
    """Counts events of the last while."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._windows: tuple[Window[str], ...] = tuple(Window(CAPACITY, SECONDS, SLICES) for _ in range(4))
        self._latest: deque[Latest] = deque(maxlen=LATEST)
        self.taken = 0
        """Events so far."""

    def take(self, events: Iterable[Event], now: float) -> None:
        """Count events; `now` in seconds of a clock that does not go back."""
        for event in events:
            self.taken += 1
            self._latest.append(Latest(self.taken, event))
            if event.verdict == DENY:
                for window, key in zip(self._windows, _keys(event), strict=True):
                    window.add(key, now)

    def latest(self) -> tuple[Latest, ...]:
        """Return the latest events, the newest first."""
        return tuple(reversed(self._latest))

    def denied(self, most: int, now: float) -> Denied:
        """Return so many at most of each that was denied most."""
        sources, ports, interfaces, rules = (window.top(most, now) for window in self._windows)
        return Denied(self._windows[0].total(now), sources, ports, interfaces, rules)


def _keys(event: Event) -> tuple[str, str, str, str]:
    packet = event.packet
    if packet is None:
        unread = event.unparsable or "unreadable"
        return unread, unread, _interface(event), rule_name(event)
    return format_address(packet.family, packet.src), _port(packet), _interface(event), rule_name(event)


def _port(packet: Packet) -> str:
    name = protocol_name(packet.protocol)
    if packet.dport != ABSENT:
        return f"{name} {packet.dport}"
    return name if packet.icmp_type == ABSENT else f"{name} type {packet.icmp_type}"


def _interface(event: Event) -> str:
    if event.direction == Direction.FORWARD and event.out_interface:
        return f"{event.in_interface} > {event.out_interface}"
    return event.out_interface if event.direction == Direction.OUT else event.in_interface


def rule_name(event: Event) -> str:
    """Return what decided, as short as it can be said; the reason where no rule did."""
    rule = event.rule
    if rule is None:
        return event.reason or event.unparsable or "no rule"
    if rule.kind == "Tier":
        return f"end of tier {rule.name}"
    return f"{rule.name} rule {rule.rule}" if rule.rule.isdecimal() else event.reason
