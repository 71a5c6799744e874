"""IP addresses and networks as integers, and sets of them as intervals.

Owns the one representation both families share: an integer and a family (4 or 6).
Must never hold `ipaddress` objects beyond parsing: they cost 0.25 us each to make.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FAMILIES = (4, 6)
LAST_ADDRESS = {4: (1 << 32) - 1, 6: (1 << 128) - 1}


class Net(NamedTuple):
    """A network of one family: `first`..`last` inclusive."""

    family: int
    prefix: int
    first: int
    last: int

    def __str__(self) -> str:
        """Return the CIDR text, `10.0.0.0/8`."""
        return f"{format_address(self.family, self.first)}/{self.prefix}"


class Intervals(NamedTuple):
    """A set of integers as sorted, disjoint, non-adjacent inclusive intervals."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> Intervals:
        """Build from spans in any order, overlapping or not."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(spans):
            if merged and low <= merged[-1][1] + 1:
                if high > merged[-1][1]:
                    merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    def __contains__(self, value: object) -> bool:
        """Return whether the integer lies in one of the spans."""
        if not isinstance(value, int):
            return False
        at = bisect_right(self.spans, (value, LAST_ADDRESS[6] + 1)) - 1
        return at >= 0 and self.spans[at][0] <= value <= self.spans[at][1]

    def complement(self, last: int) -> Intervals:
        """Return what of 0..last is not in the set."""
        return Intervals(tuple(self._gaps(last)))

    def _gaps(self, last: int) -> Iterator[tuple[int, int]]:
        start = 0
        for low, high in self.spans:
            if low > start:
                yield start, low - 1
            start = high + 1
        if start <= last:
            yield start, last

    def intersect(self, other: Intervals) -> Intervals:
        """Return the integers in both sets."""
        found: list[tuple[int, int]] = []
        mine, theirs = 0, 0
        while mine < len(self.spans) and theirs < len(other.spans):
            low = max(self.spans[mine][0], other.spans[theirs][0])
            high = min(self.spans[mine][1], other.spans[theirs][1])
            if low <= high:
                found.append((low, high))
            if self.spans[mine][1] < other.spans[theirs][1]:
                mine += 1
            else:
                theirs += 1
        return Intervals(tuple(found))


class AddressSet(NamedTuple):
    """Addresses of both families."""

    v4: Intervals = Intervals()
    v6: Intervals = Intervals()

    @classmethod
    def of(cls, nets: Iterable[Net]) -> AddressSet:
        """Build from networks of either family."""
        spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for net in nets:
            spans[net.family].append((net.first, net.last))
        return cls(Intervals.of(spans[4]), Intervals.of(spans[6]))

    def family(self, family: int) -> Intervals:
        """Return the addresses of family 4 or 6."""
        return self.v4 if family == 4 else self.v6  # noqa: PLR2004 - a family is 4 or 6


def parse_address(text: str) -> tuple[int, int]:
    """Return (family, address) of a plain address; ValueError for anything else.

    As in Go's net.ParseIP: no zone, and an IPv4-mapped IPv6 address is IPv4.
    """
    if "%" in text:
        raise ValueError(f"{text!r} is not an IP address: zones are not allowed")
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)


def parse_net(text: str, *, bare: bool = False, host_bits: bool = False) -> Net:
    """Return the network a CIDR names; ValueError for anything else.

    `bare` accepts an address without prefix length, `host_bits` masks bits right of
    the prefix instead of refusing them (Calico: network sets yes, rule nets no).
    """
    address, slash, length = text.partition("/")
    family, value = parse_address(address)
    bits = 32 if family == 4 else 128  # noqa: PLR2004 - a family is 4 or 6
    if not slash:
        if not bare:
            raise ValueError(f"{text!r} is not a CIDR: the prefix length is missing")
        return Net(family, bits, value, value)
    if not (length.isascii() and length.isdigit()) or len(length) > 3 or int(length) > bits:  # noqa: PLR2004 - 128
        raise ValueError(f"{text!r} is not a CIDR: the prefix length must be 0-{bits}")
    prefix = int(length)
    span = (1 << (bits - prefix)) - 1
    first = value & ~span
    if first != value and not host_bits:
        masked = Net(family, prefix, first, first | span)
        raise ValueError(f"{text!r} has bits set right of its prefix; did you mean {masked}?")
    return Net(family, prefix, first, first | span)


def format_address(family: int, value: int) -> str:
    """Return the usual text of an address."""
    if family == 4:  # noqa: PLR2004 - a family is 4 or 6
        return str(ipaddress.IPv4Address(value))
    return str(ipaddress.IPv6Address(value))
