"""nft's grammar, as far as the table needs it: blocks, sets, addresses.

Owns how things are spelled, in the very form in which nft lists them. Must never know
what they are for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.marks import WORD
from nfq_guard.model.addresses import format_address
from nfq_guard.model.flow import SCTP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.kernel.plan import FailsafePorts, PortSpan

_PROTOCOLS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
_LONGEST_NAME = 15


class Chain(NamedTuple):
    """A chain's name and its lines, rules mostly."""

    name: str
    lines: tuple[str, ...]


class Set(NamedTuple):
    """A set's or map's name, what it is declared as, and its elements."""

    name: str
    declaration: tuple[str, ...]
    elements: tuple[str, ...] = ()
    word: str = "set"
    """`set` or `map`."""


def block(head: str, lines: Iterable[str]) -> str:
    """Return a block of the table."""
    return f"\t{head} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"


def chain_text(chain: Chain) -> str:
    """Return a chain's block."""
    return block(f"chain {chain.name}", chain.lines)


def set_text(one: Set) -> str:
    """Return a set's block with its elements."""
    lines = one.declaration
    if one.elements:
        lines = (*lines, "elements = { " + ",\n\t\t\t     ".join(one.elements) + " }")
    return block(f"{one.word} {one.name}", lines)


def interface_set(name: str, interfaces: Iterable[str]) -> Set:
    """Return a set of interface names."""
    return Set(name, ("type ifname",), tuple(f'"{interface}"' for interface in interfaces))


def one_of(interfaces: Iterable[str]) -> str:
    """Return what matches any of these interfaces, at least one, in a rule of its own."""
    quoted = [f'"{interface}"' for interface in interfaces]
    return quoted[0] if len(quoted) == 1 else "{ " + ", ".join(quoted) + " }"


def failsafe_sets(name: str, ports: FailsafePorts) -> Iterator[Set]:
    """Yield the sets of ports open to all, to IPv4 nets and to IPv6 nets."""
    service = "type inet_proto . inet_service"
    anywhere = tuple(f"{_protocol(protocol)} . {port}" for protocol, port in ports.anywhere)
    yield Set(name, (service,), anywhere)
    for family, spans in ((4, ports.v4), (6, ports.v6)):
        elements = tuple(_span_text(family, span) for span in spans)
        yield Set(f"{name}{family}", (f"{service} . ipv{family}_addr", "flags interval"), elements)


def starting_with(prefix: str) -> str:
    """Return the pattern of interface names that begin so."""
    # A prefix as long as a name can be has no room for the asterisk and needs none.
    return prefix if len(prefix) == _LONGEST_NAME else f"{prefix}*"


def replaced(mark: str, mask: int, value: int) -> str:
    """Return the statement that puts `value` into the bits of a mask and leaves all others.

    As nft prints it: bits that are set next are not cleared first, and a mask of all bits
    is left out.
    """
    keep = WORD & ~mask | value
    kept = mark if keep == WORD else f"{mark} & {keep:#010x}"
    return f"{mark} set {kept} | {value:#010x}" if value else f"{mark} set {kept}"


def _span_text(family: int, span: PortSpan) -> str:
    return f"{_protocol(span.protocol)} . {span.port} . {_addresses(family, span.first, span.last)}"


def _addresses(family: int, first: int, last: int) -> str:
    text = format_address(family, first)
    if first == last:
        return text
    size = last - first + 1
    if size & (size - 1) or first & (size - 1):
        return f"{text}-{format_address(family, last)}"
    bits = 32 if family == 4 else 128  # noqa: PLR2004 - a family is 4 or 6
    return f"{text}/{bits - size.bit_length() + 1}"


def _protocol(number: int) -> str:
    return _PROTOCOLS.get(number, str(number))
