"""Flows typed by hand: `in eth0 tcp 203.0.113.9:40000 10.0.0.1:443`.

Owns the little language of `nfq-guard explain`, and what it leaves open. What is no such
flow is refused, never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.cli.flows import parse_flow
from nfq_guard.model.addresses import parse_address
from nfq_guard.model.flow import ICMP, ICMP_OF_FAMILY, ICMPV6, PORT_PROTOCOLS, UDPLITE, Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nfq_guard.model.flow import Flow, Packet

_CONNECTION = "state STATE, before ADDRESS[:PORT] (the destination ahead of DNAT)"
FORM = (
    "in|out INTERFACE PROTOCOL SOURCE DESTINATION, or forward IN-INTERFACE OUT-INTERFACE PROTOCOL SOURCE DESTINATION; "
    f"an end is ADDRESS, ADDRESS:PORT, [IPV6]:PORT, or any; behind them: type N [code N], {_CONNECTION}"
)
_FORM_OF_WAY = (
    f"in INTERFACE, out INTERFACE, or forward IN-INTERFACE OUT-INTERFACE; behind them: {_CONNECTION}"
)
_PORTED = PORT_PROTOCOLS | {UDPLITE}
_LAST_PORT = 65_535
_ANY = frozenset({"any", "*"})


class Question(NamedTuple):
    """A flow, and which of its fields were left open."""

    flow: Flow
    open: tuple[str, ...] = ()
    """As explain/survey.py names them."""


class _End(NamedTuple):
    address: str | None
    port: int | None


def parse_question(words: Sequence[str]) -> Question:
    """Return what is asked; ValueError says what was found and what was expected."""
    rest = [word for text in words for word in text.split()]
    document: dict[str, object] = {**_way(rest)}
    document["protocol"] = _taken(rest, "protocol")
    source, destination = (_end(_taken(rest, name)) for name in ("source", "destination"))
    document |= _options(rest)
    return _question(document, source, destination)


def captured_question(words: Sequence[str], packet: Packet) -> Question:
    """Return what is asked about a packet that is there; ValueError as from `parse_question`.

    The words say the rest: direction, interfaces, and what may stand behind.
    """
    rest = [word for text in words for word in text.split()]
    way = _way(rest, _FORM_OF_WAY)
    options = _options(rest, "the interfaces, expected state or before: the packet says the rest")
    if "icmp_type" in options or "icmp_code" in options:
        raise ValueError("the packet has its own ICMP type and code")
    anyone = {"protocol": "TCP", "src": "192.0.2.1", "dst": "192.0.2.2"}
    flow = parse_flow({**way, **anyone, **{name: options[name] for name in ("ct_state",) if name in options}})
    before = _end(str(options["original_dst"])) if "original_dst" in options else None
    if before is not None and before.address is not None:
        family, address = parse_address(before.address)
        if family != packet.family:
            raise ValueError(
                f"the packet is IPv{packet.family}, its destination ahead of DNAT is IPv{family}"
            )
        flow = flow._replace(original_dst=address)
    port = options.get("original_dport")
    return Question(flow._replace(packet=packet, original_dport=port if isinstance(port, int) else None))


def _way(rest: list[str], form: str = FORM) -> dict[str, str]:
    direction = _taken(rest, "direction", form).lower()
    if direction not in {str(each) for each in Direction}:
        raise ValueError(f"found {direction!r}, expected in, out or forward; the form is: {form}")
    way = {"direction": direction}
    if direction != Direction.OUT:
        way["in_interface"] = _taken(rest, "interface it comes in by", form)
    if direction != Direction.IN:
        way["out_interface"] = _taken(rest, "interface it leaves by", form)
    return way


def _question(document: dict[str, object], source: _End, destination: _End) -> Question:
    left_open = [name for name, end in (("src", source), ("dst", destination)) if end.address is None]
    known = source.address or destination.address
    if known is None:
        raise ValueError("source and destination are both any: give one of them, so that it is IPv4 or IPv6")
    document["src"], document["dst"] = source.address or known, destination.address or known
    ports = {"sport": source.port, "dport": destination.port}
    document |= {name: port for name, port in ports.items() if port is not None}
    flow = parse_flow(document)
    protocol = flow.packet.protocol
    if protocol in _PORTED:
        left_open += [name for name in ("dport", "sport") if name not in document]
    elif source.port is not None or destination.port is not None:
        raise ValueError(f"{document['protocol']} has no ports: leave them out")
    if protocol == ICMP_OF_FAMILY[flow.packet.family] and "icmp_type" not in document:
        left_open.append("icmp")
    if protocol in {ICMP, ICMPV6} and protocol != ICMP_OF_FAMILY[flow.packet.family]:
        raise ValueError(f"{document['protocol']} does not go with IPv{flow.packet.family} addresses")
    # Where a port is open there is one: a packet without ports is a fragment, which is another question.
    filled = {name: 0 for name in left_open if name in {"sport", "dport"}}
    return Question(flow._replace(packet=flow.packet._replace(**filled)), tuple(left_open))


def _options(
    rest: list[str], behind: str = "the destination, expected type, code, state or before"
) -> dict[str, object]:
    found: dict[str, object] = {}
    while rest:
        name = rest.pop(0).lower()
        if name in {"type", "code"}:
            found[f"icmp_{name}"] = _number(_taken(rest, f"ICMP {name}"))
        elif name == "state":
            found["ct_state"] = _taken(rest, "state of the connection").lower()
        elif name == "before":
            end = _end(_taken(rest, "destination ahead of DNAT"))
            if end.address is not None:
                found["original_dst"] = end.address
            if end.port is not None:
                found["original_dport"] = end.port
        else:
            raise ValueError(f"found {name!r} behind {behind}")
    if "icmp_code" in found and "icmp_type" not in found:
        raise ValueError("found an ICMP code without a type: a code belongs to its type")
    return found


def _end(text: str) -> _End:
    """Return address and port of `10.0.0.1:443`, `[2001:db8::1]:443`, `2001:db8::1`, `any:443`."""
    address, port = text, ""
    if text.startswith("["):
        address, _, behind = text[1:].partition("]")
        if behind and not behind.startswith(":"):
            raise ValueError(f"found {text!r}, expected [IPV6]:PORT")
        port = behind[1:]
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    if address in _ANY or not address:
        return _End(None, _port(port, text))
    try:
        parse_address(address)
    except ValueError as error:
        raise ValueError(f"found {text!r}, expected an address, ADDRESS:PORT, [IPV6]:PORT or any") from error
    return _End(address, _port(port, text))


def _port(text: str, whole: str) -> int | None:
    if not text or text in _ANY:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > _LAST_PORT:  # noqa: PLR2004 - 65535
        raise ValueError(f"found port {text!r} in {whole!r}, expected a number 0-65535")
    return int(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5:  # noqa: PLR2004 - 65535
        raise ValueError(f"found {text!r}, expected a number")
    return int(text)


def _taken(rest: list[str], what: str, form: str = FORM) -> str:
    if not rest:
        raise ValueError(f"the {what} is missing; the form is: {form}")
    return rest.pop(0)
