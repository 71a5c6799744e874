"""Flows and verdicts as JSON objects, one a line: the contract of `nfq-guard decide`.

Owns the names of the keys and every check of a flow given by hand. What is missing,
misspelt or of the wrong type is refused, never guessed. A field that packets of the
protocol, or flows of the direction, do not have is checked and otherwise ignored, so
that a program may write every key for every flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from nfq_guard.model.addresses import parse_address
from nfq_guard.model.flow import (
    ABSENT,
    ICMP_OF_FAMILY,
    PORT_PROTOCOLS,
    PROTOCOL_NUMBERS,
    UDPLITE,
    CtState,
    Direction,
    Flow,
    Packet,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nfq_guard.model.decision import Decision

_DCCP = 33
_HAVE_PORTS = PORT_PROTOCOLS | {UDPLITE, _DCCP}
_PROTOCOLS = {name.lower(): number for name, number in PROTOCOL_NUMBERS.items()}
_LAST_PORT, _LAST_BYTE = 65535, 255

_INTERFACES = {
    Direction.IN: ("in_interface",),
    Direction.OUT: ("out_interface",),
    Direction.FORWARD: ("in_interface", "out_interface"),
}
"""The interfaces that a flow of each direction has."""


_NUMBERS = {
    "sport": _LAST_PORT,
    "dport": _LAST_PORT,
    "icmp_type": _LAST_BYTE,
    "icmp_code": _LAST_BYTE,
    "original_dport": _LAST_PORT,
}
"""The highest value of each number that only some packets have."""

KEYS = frozenset(
    {
        "direction",
        "in_interface",
        "out_interface",
        "protocol",
        "src",
        "dst",
        "ct_state",
        "original_dst",
        *_NUMBERS,
    }
)


def parse_flow(document: object) -> Flow:
    """Return the flow of a decoded JSON document; ValueError says what was expected."""
    if not isinstance(document, dict):
        raise ValueError("a flow must be a JSON object")  # noqa: TRY004 - one error type for bad input
    given = {key: value for key, value in document.items() if value is not None}
    unknown = sorted(given.keys() - KEYS)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; a flow has: {', '.join(sorted(KEYS))}")
    direction = Direction(_word(given, "direction", tuple(Direction)))
    interfaces = _interfaces(given, direction)
    packet, original_dport = _packet(given)
    return Flow(
        direction,
        packet,
        interfaces.get("in_interface"),
        interfaces.get("out_interface"),
        CtState(_word(given, "ct_state", tuple(CtState), CtState.NEW)),
        _original_dst(given, packet),
        None if original_dport == ABSENT else original_dport,
    )


def parse_observed(document: object) -> Flow:
    """Return the flow of a line of the verdict stream, or of a plain flow; ValueError as from `parse_flow`.

    A verdict has the keys of its packet beside its own, which are left aside here.
    """
    if isinstance(document, dict) and "verdict" in document:
        if document.get("src") is None:
            raise ValueError("the verdict is about no packet that could be read, or about several")
        document = {key: value for key, value in document.items() if key in KEYS}
    return parse_flow(document)


def _packet(given: Mapping[str, Any]) -> tuple[Packet, int]:
    protocol = _protocol(given)
    family, src = _address(given, "src")
    family_of_dst, dst = _address(given, "dst")
    if family != family_of_dst:
        raise ValueError(f"src is IPv{family} and dst is IPv{family_of_dst}: a packet has one family")
    sport, dport, kind, code, original_dport = (_number(given, key) for key in _NUMBERS)
    if protocol not in _HAVE_PORTS:
        sport = dport = original_dport = ABSENT
    if protocol != ICMP_OF_FAMILY[family] or kind == ABSENT:
        kind = code = ABSENT
    elif code == ABSENT:
        code = 0
    return Packet(family, protocol, src, dst, sport, dport, kind, code), original_dport


def _original_dst(given: Mapping[str, Any], packet: Packet) -> int | None:
    if "original_dst" not in given:
        return None
    family, address = _address(given, "original_dst")
    if family != packet.family:
        raise ValueError(f"original_dst is IPv{family} and dst is IPv{packet.family}: DNAT keeps the family")
    return address


def _interfaces(given: Mapping[str, Any], direction: Direction) -> dict[str, str]:
    expected = _INTERFACES[direction]
    for key in expected:
        if key not in given:
            raise ValueError(f"missing key {key!r}: a flow with direction {direction} has one")
    return {key: _text(given, key) for key in expected}


def _protocol(given: Mapping[str, Any]) -> int:
    value = _required(given, "protocol")
    if isinstance(value, str) and value.lower() in _PROTOCOLS:
        return _PROTOCOLS[value.lower()]
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _LAST_BYTE:
        _refuse("protocol", f"{', '.join(PROTOCOL_NUMBERS)} or a number 0-255", value)
    return number


def _address(given: Mapping[str, Any], key: str) -> tuple[int, int]:
    text = _text(given, key)
    try:
        return parse_address(text)
    except ValueError as error:
        raise ValueError(f"{key!r} must be an IPv4 or IPv6 address, found {text!r}") from error


def _number(given: Mapping[str, Any], key: str) -> int:
    if key not in given:
        return ABSENT
    value, last = given[key], _NUMBERS[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= last:
        _refuse(key, f"a number 0-{last}", value)
    return value


def _word(given: Mapping[str, Any], key: str, words: tuple[str, ...], default: str = "") -> str:
    value = given.get(key, default) if default else _required(given, key)
    if value not in words:
        _refuse(key, f"one of {', '.join(words)}", value)
    return str(value)


def _text(given: Mapping[str, Any], key: str) -> str:
    value = _required(given, key)
    if not isinstance(value, str) or not value:
        _refuse(key, "text", value)
    return value


def _required(given: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - decoded JSON
    if key not in given:
        raise ValueError(f"missing key {key!r}")
    return given[key]


def _refuse(key: str, expected: str, found: object) -> NoReturn:
    raise ValueError(f"{key!r} must be {expected}, found {found!r}")


def verdict_object(decision: Decision) -> dict[str, object]:
    """Return a decision as the JSON object that `decide` prints."""
    rule = decision.rule
    return {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "stage": decision.stage,
        "direction": decision.side,
        "endpoint": decision.endpoint,
        "tier": decision.tier,
        "policy": None if rule is None else {"kind": rule.kind, "name": rule.name},
        "rule": None if rule is None else rule.rule,
    }
