"""The fields that a filter may ask about.

Owns their names, what an event has of each, and the words that stand for a comparison
by themselves. A field that an event has not got is an empty tuple, never a value that
stands for it: a later fragment has no port, not port 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import ICMP, ICMPV6, PROTOCOL_NUMBERS, Direction, Packet, Side, Stage
from nfq_guard.packet import UnparsableReason
from nfq_guard.stream.record import ALLOW, DENY, LOG, PASS, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum

    from nfq_guard.stream.event import Event, Rule

    Of = Callable[[Event], tuple[Any, ...]]


class Kind(Enum):
    """What values a field has, and with that how they may be compared."""

    WORD = auto()
    """One of a closed list, in any letter case."""
    NAME = auto()
    """Text that the operator chose."""
    NUMBER = auto()
    ADDRESS = auto()
    FLAG = auto()
    """`true` or `false`; the field alone means true."""


@dataclass(frozen=True, slots=True)
class Field:
    """Something that can be asked about an event."""

    name: str
    kind: Kind
    help: str
    of: Of
    """The values that an event has: texts, numbers, or (family, number) of addresses."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Valid for WORD and FLAG: each spelling, in lower case, and the value that it means."""
    names: Mapping[str, int] = field(default_factory=dict)
    """Valid for NUMBER: words for numbers, in lower case. The first one for a number is how it is shown."""
    last: int = 0
    """Valid for NUMBER: the highest."""
    short: Mapping[str, str] = field(default_factory=dict)
    """Valid for NAME: if there are any, letter case is of no account, and these stand for values."""


TRUE, FALSE = "true", "false"
NO_POLICY = frozenset({"Tier", "HostEndpoint", "WorkloadEndpoint"})
"""Kinds of what decides where no policy's rule did."""
LAST_PORT, _LAST_BYTE, _LAST_LENGTH, _LAST_GENERATION = 65535, 255, (1 << 32) - 1, (1 << 32) - 1

_VERDICTS = {
    **{verdict: verdict for verdict in VERDICTS},
    **dict.fromkeys(("allowed", "accept", "accepted"), ALLOW),
    **dict.fromkeys(("denied", "drop", "dropped", "block", "blocked"), DENY),
    "passed": PASS,
    "logged": LOG,
}
_FLAGS = {TRUE: TRUE, "yes": TRUE, "1": TRUE, FALSE: FALSE, "no": FALSE, "0": FALSE}
_DIRECTIONS = {"input": Direction.IN, "output": Direction.OUT, "forwarded": Direction.FORWARD}
_PROTOCOLS = {
    **{name.lower(): number for name, number in PROTOCOL_NUMBERS.items()},
    "icmp4": ICMP,
    "icmp6": ICMPV6,
    "ipv6-icmp": ICMPV6,
    "igmp": 2,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ospf": 89,
    "vrrp": 112,
}
_FAMILIES = {"ipv4": 4, "ipv6": 6, "ip": 4, "ip4": 4, "ip6": 6, "inet": 4, "inet6": 6}
_KINDS = {
    "gnp": "globalnetworkpolicy",
    "np": "networkpolicy",
    "pro": "profile",
    "hep": "hostendpoint",
    "wep": "workloadendpoint",
}


def _same(words: type[StrEnum]) -> dict[str, str]:
    return {str(word): str(word) for word in words}


def _text(get: Callable[[Event], str]) -> Of:
    def of(event: Event) -> tuple[str, ...]:
        value = get(event)
        return (value,) if value else ()

    return of


def _interfaces(event: Event) -> tuple[str, ...]:
    return tuple(name for name in (event.in_interface, event.out_interface) if name)


def _of_rule(get: Callable[[Rule], tuple[str, ...]]) -> Of:
    def of(event: Event) -> tuple[str, ...]:
        return () if event.rule is None else tuple(value for value in get(event.rule) if value)

    return of


def _policy(rule: Rule) -> tuple[str, ...]:
    if rule.kind in NO_POLICY:
        return ()
    _, slash, bare = rule.name.partition("/")
    return (rule.name, bare) if slash else (rule.name,)


def _of_packet(*names: str) -> Of:
    places = tuple(Packet._fields.index(name) for name in names)

    def of(event: Event) -> tuple[int, ...]:
        packet = event.packet
        return () if packet is None else tuple(packet[at] for at in places if packet[at] >= 0)

    return of


def _addresses(*names: str) -> Of:
    places = tuple(Packet._fields.index(name) for name in names)

    def of(event: Event) -> tuple[tuple[int, int], ...]:
        packet = event.packet
        return () if packet is None else tuple((packet.family, packet[at]) for at in places)

    return of


def _known(get: Callable[[Event], int]) -> Of:
    """Return what an event has of a number that is below zero where nobody knows it."""

    def of(event: Event) -> tuple[int, ...]:
        value = get(event)
        return (value,) if value >= 0 else ()

    return of


def _rejected(event: Event) -> tuple[str, ...]:
    return (TRUE if event.rejected else FALSE,)


FIELDS = {
    made.name: made
    for made in (
        Field(
            "verdict", Kind.WORD, "what became of the packet", _text(lambda event: event.verdict), _VERDICTS
        ),
        Field("reason", Kind.WORD, "why", _text(lambda event: event.reason), _same(Reason)),
        Field("stage", Kind.WORD, "where in its path", _text(lambda event: event.stage), _same(Stage)),
        Field(
            "direction",
            Kind.WORD,
            "how it crosses the host",
            _text(lambda event: event.direction),
            {**_same(Direction), **{word: str(value) for word, value in _DIRECTIONS.items()}},
        ),
        Field("side", Kind.WORD, "whose rules decided", _text(lambda event: event.side), _same(Side)),
        Field("iface", Kind.NAME, "either of its interfaces", _interfaces),
        Field("in_interface", Kind.NAME, "the one it came by", _text(lambda event: event.in_interface)),
        Field("out_interface", Kind.NAME, "the one it leaves by", _text(lambda event: event.out_interface)),
        Field(
            "proto",
            Kind.NUMBER,
            "protocol, by name or number",
            _of_packet("protocol"),
            names=_PROTOCOLS,
            last=_LAST_BYTE,
        ),
        Field("src", Kind.ADDRESS, "source address", _addresses("src")),
        Field("dst", Kind.ADDRESS, "destination address", _addresses("dst")),
        Field("host", Kind.ADDRESS, "either address", _addresses("src", "dst")),
        Field("sport", Kind.NUMBER, "source port", _of_packet("sport"), last=LAST_PORT),
        Field("dport", Kind.NUMBER, "destination port", _of_packet("dport"), last=LAST_PORT),
        Field("port", Kind.NUMBER, "either port", _of_packet("sport", "dport"), last=LAST_PORT),
        Field("icmp_type", Kind.NUMBER, "ICMP or ICMPv6 type", _of_packet("icmp_type"), last=_LAST_BYTE),
        Field("icmp_code", Kind.NUMBER, "ICMP or ICMPv6 code", _of_packet("icmp_code"), last=_LAST_BYTE),
        Field("family", Kind.NUMBER, "4 or 6", _of_packet("family"), names=_FAMILIES, last=6),
        Field("tier", Kind.NAME, "tier of the rule, or that ended", _of_rule(lambda rule: (rule.tier,))),
        Field("policy", Kind.NAME, "policy or profile, with or without its namespace", _of_rule(_policy)),
        Field(
            "kind",
            Kind.NAME,
            "kind of what decided, in any letter case",
            _of_rule(lambda rule: (rule.kind.lower(),)),
            short=_KINDS,
        ),
        Field(
            "rule",
            Kind.NAME,
            "index of the rule in its direction, or default",
            _of_rule(lambda rule: (rule.rule,)),
        ),
        Field(
            "length",
            Kind.NUMBER,
            "bytes of the packet, from its IP header on",
            _known(lambda event: event.length),
            last=_LAST_LENGTH,
        ),
        Field(
            "generation",
            Kind.NUMBER,
            "of the policy that judged",
            _known(lambda event: event.generation),
            last=_LAST_GENERATION,
        ),
        Field("rejected", Kind.FLAG, "its sender was told", _rejected, _FLAGS),
        Field(
            "unparsable",
            Kind.WORD,
            "why it could not be judged",
            _text(lambda event: event.unparsable),
            _same(UnparsableReason),
        ),
    )
}
"""By name, in the order of the documentation."""

_ELSEWHERE = {
    "in_interface": "iif iifname",
    "out_interface": "oif oifname",
    "iface": "interface dev",
    "proto": "protocol l4proto ip.proto",
    "src": "saddr ip.src ipv6.src",
    "dst": "daddr ip.dst ipv6.dst",
    "host": "addr net ip.addr ipv6.addr",
    "sport": "srcport",
    "dport": "dstport",
    "port": "portrange",
    "icmp_type": "type",
    "icmp_code": "code",
    "length": "len frame.len",
    "generation": "gen",
}
ALIASES = {alias: name for name, aliases in _ELSEWHERE.items() for alias in aliases.split()}
"""What these are called in tcpdump, nft and Wireshark."""

PAIRS = {
    **{("src", word): "src" for word in ("host", "net")},
    **{("dst", word): "dst" for word in ("host", "net")},
    **{("src", word): "sport" for word in ("port", "portrange")},
    **{("dst", word): "dport" for word in ("port", "portrange")},
}
"""Two words for one field, as in tcpdump: `src port 53`."""

BARE_FIELDS = ("verdict", "direction", "side", "stage", "reason", "proto", "family", "unparsable")
"""Whose values stand by themselves: `deny`, `in`, `tcp`. Where two have the same, the first."""


def bare_words() -> dict[str, tuple[str, str]]:
    """Return the words that are a comparison by themselves, each with field and value."""
    found: dict[str, tuple[str, str]] = {}
    for name in BARE_FIELDS:
        for word in (*FIELDS[name].words, *FIELDS[name].names):
            found.setdefault(word, (name, word))
    rejects = {"reject": ("rejected", TRUE)}
    return {word: meant for word, meant in (found | rejects).items() if word not in FIELDS}


BARE = bare_words()
