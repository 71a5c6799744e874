"""Events as lines: columns for people, JSON objects for programs.

Owns the columns and the keys of `nfq-guard watch`. What comes from outside commands no
terminal: a text line is printable whatever names and packets hold.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nfq_guard.model.addresses import format_address
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import PROTOCOL_NAMES, Direction, Packet, Stage
from nfq_guard.model.printable import printable
from nfq_guard.model.spelling import ends, protocol_name
from nfq_guard.stream.fields import NO_POLICY
from nfq_guard.stream.record import DENY, LOG, UNJUDGED

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event, Rule

_TIME, _VERDICT, _REASON, _DIRECTION = 13, 8, max(map(len, Reason)), max(map(len, Direction))
VERDICT_AT = slice(_TIME + 2, _TIME + 2 + _VERDICT)
"""Where the verdict stands in a text line: there is colour for it."""
_PROTOCOL = 6
_INTERFACES, _PACKET = (4, 24), (36, 64)
"""Least and greatest width of a column that grows with what it meets."""
_SECOND = 1_000_000_000
_LAST_SECOND = 253_402_300_799
"""Of the year 9999: what a record says that is later is no time."""
_OF_RULES = frozenset({Reason.POLICY, Reason.PROFILE, Reason.TIER_DEFAULT, Reason.NO_MATCH})
_PLAIN_STAGES = frozenset({Stage.NORMAL, Stage.FORWARD})
"""Stages that the direction tells already."""
_UNJUDGED = frozenset({DENY, UNJUDGED})
"""Without a reason: the fail mode decided."""


class Columns:
    """Writes text lines; a column that grew keeps its width."""

    def __init__(self) -> None:
        """Begin narrow."""
        self._interfaces, self._packet = _INTERFACES[0], _PACKET[0]

    def line(self, event: Event) -> str:
        """Return an event as one line."""
        return self._line(event, _crossing(event), _packet_text(event), _decided(event))

    def counted(self, event: Event, packets: int) -> str:
        """Return so many packets that the kernel decided by itself, which have only this in common."""
        what = "packet" if packets == 1 else "packets"
        return self._line(
            event, "", f"counted: {packets} {what}", f"{event.stage} stage, decided by the kernel"
        )

    def _line(self, event: Event, crossing: str, packet: str, rest: str) -> str:
        self._interfaces = max(self._interfaces, min(len(crossing), _INTERFACES[1]))
        self._packet = max(self._packet, min(len(packet), _PACKET[1]))
        at, milliseconds = _at(event.time_ns, 1_000_000)
        line = (
            f"{at:%H:%M:%S}.{milliseconds:03}Z  {event.verdict:<{_VERDICT}}  {event.reason:<{_REASON}}  "
            f"{event.direction:<{_DIRECTION}}  {crossing:<{self._interfaces}}  {packet:<{self._packet}}  {rest}"
        )
        return printable(line.rstrip())


def _at(time_ns: int, unit: int) -> tuple[datetime, int]:
    """Return the second, and how many units of so many nanoseconds of it have gone by."""
    second, rest = divmod(time_ns, _SECOND)
    return datetime.fromtimestamp(min(second, _LAST_SECOND), UTC), rest // unit


def _crossing(event: Event) -> str:
    return " > ".join(name for name in (event.in_interface, event.out_interface) if name)


def _packet_text(event: Event) -> str:
    packet = event.packet
    if packet is None:
        return f"{event.length} bytes"
    return f"{protocol_name(packet.protocol):<{_PROTOCOL}} {ends(packet)}"


def _decided(event: Event) -> str:
    """Return what decided, where there is more to say than the reason."""
    stage = f"{event.stage} stage" if event.stage not in _PLAIN_STAGES else ""
    rejected = "rejected" if event.rejected else ""
    return ", ".join(part for part in (stage, _step(event), rejected) if part)


def _step(event: Event) -> str:
    if event.unparsable:
        return f"unparsable: {event.unparsable}"
    if not event.reason and event.verdict in _UNJUDGED:
        return "not judged for a fault: see the log of the guard"
    if event.rule is not None:
        return _rule_text(event.rule)
    # The guard keeps the rules of some generations; a watcher that was held up may come too late.
    by_rule = event.reason in _OF_RULES or event.verdict == LOG
    return f"a rule of generation {event.generation}" if by_rule else ""


def _rule_text(rule: Rule) -> str:
    if rule.kind == "Tier":
        return f"end of tier {rule.name}"
    if rule.kind in NO_POLICY:
        return f"nothing matched: default of {rule.kind}({rule.name})"
    tier = f"tier {rule.tier}, " if rule.tier else ""
    place = f" at {rule.file}:{rule.line}" if rule.file else ""
    return f"{tier}{rule.kind}({rule.name}) {rule.direction} rule {rule.rule}{place}"


def comment(event: Event) -> str:
    """Return what became of a packet and why, without the packet."""
    head = f"{event.verdict} {event.reason}".rstrip()
    decided = _decided(event)
    return printable(f"{head}: {decided}" if decided else head)


def document(event: Event) -> dict[str, object]:
    """Return an event as a JSON object; null where there is nothing."""
    packet = event.packet
    return {
        **_head(event),
        "in_interface": event.in_interface or None,
        "out_interface": event.out_interface or None,
        "protocol": None if packet is None else PROTOCOL_NAMES.get(packet.protocol, packet.protocol),
        "src": None if packet is None else format_address(packet.family, packet.src),
        "dst": None if packet is None else format_address(packet.family, packet.dst),
        **{key: _present(packet, key) for key in ("sport", "dport", "icmp_type", "icmp_code")},
        **_rule_keys(event.rule),
        "rejected": event.rejected,
        "length": event.length,
        "unparsable": event.unparsable or None,
        "generation": event.generation,
        "queue": event.queue,
    }


def counted_document(event: Event, packets: int) -> dict[str, object]:
    """Return so many packets that the kernel decided by itself as a JSON object."""
    return {**_head(event), "counted": packets}


def _head(event: Event) -> dict[str, object]:
    at, nanoseconds = _at(event.time_ns, 1)
    return {
        "time": f"{at:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z",
        "verdict": event.verdict,
        "reason": event.reason or None,
        "stage": event.stage or None,
        "direction": event.direction or None,
        "side": event.side or None,
    }


def _present(packet: Packet | None, key: str) -> int | None:
    value: int = -1 if packet is None else getattr(packet, key)
    return value if value >= 0 else None


def _rule_keys(rule: Rule | None) -> dict[str, object]:
    if rule is None:
        return dict.fromkeys(("tier", "policy", "rule", "file", "line"))
    policy = None
    if rule.kind not in NO_POLICY:
        namespace, slash, name = rule.name.rpartition("/")
        policy = {"kind": rule.kind, "name": name, "namespace": namespace if slash else None}
    return {
        "tier": rule.tier or None,
        "policy": policy,
        "rule": int(rule.rule) if rule.rule.isdecimal() else None,
        "file": rule.file or None,
        "line": rule.line if rule.file else None,
    }
