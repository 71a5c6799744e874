"""Packet bytes to the fields that rules match.

Owns the parser and the closed list of reasons why bytes are no packet we can judge.
It is total: every input gives a Packet or an Unparsable, never an exception, because
an exception on the packet path is a packet without verdict. A field is only read
after its whole header was found inside the data (short fragments are an old way
past packet filters, RFC 1858).
"""

from __future__ import annotations

from enum import StrEnum
from struct import Struct
from typing import NamedTuple

from nfq_guard.model.flow import ABSENT, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, Packet

Data = bytes | bytearray | memoryview

MAX_EXTENSION_HEADERS = 16
"""IPv6 allows each kind once, destination options twice (RFC 8200 section 4.1); more is an attack."""

_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_EXTENSIONS = frozenset({_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION})
"""What Linux walks over to find the upper layer (ipv6_ext_hdr); ESP and the rest end the walk."""

_PORT_HEADER_LENGTH = {TCP: 20, UDP: 8, SCTP: 12, UDPLITE: 8}
_ICMP_OF_VERSION = {4: ICMP, 6: ICMPV6}
_ICMP_HEADER_LENGTH = 4

_IPV4 = Struct("!BxHxxHxBxxII").unpack_from
_IPV6 = Struct("!4xHBx4Q").unpack_from
_PORTS = Struct("!HH").unpack_from
_FRAGMENT_OFFSET = Struct("!H").unpack_from

PORTED_IPV4 = Struct("!BxHxxHxBxxIIHH").unpack_from
_new = tuple.__new__
"""Makes a NamedTuple at a third of the price of calling its class."""

_IPV4_HEADER = 20
PLAIN_IPV4 = 0x45
"""Version 4, no options."""
PORTED_IPV4_LENGTH = _IPV4_HEADER + 4
_NEVER = 1 << 17
"""Longer than any packet."""
WHOLE_LENGTH = tuple(
    _IPV4_HEADER + _PORT_HEADER_LENGTH[protocol] if protocol in _PORT_HEADER_LENGTH else _NEVER
    for protocol in range(256)
)
"""By protocol, of an IPv4 packet without options that has its whole transport header; longer than any for others."""
FRAGMENTED = 0x3FFF
"""More fragments, or an offset."""
_IPV6_HEADER = 40
_OFFSET_MASK = 0x1FFF


class Unparsable(NamedTuple):
    """Bytes that cannot be judged, and why."""

    reason: UnparsableReason


class UnparsableReason(StrEnum):
    """Why bytes cannot be judged; label values of a metric, so the list is closed."""

    NOT_IP = "not-ip"
    """Empty, or neither version 4 nor 6."""
    BAD_IP_HEADER = "bad-ip-header"
    """Shorter than its own header says, or a header length that cannot be."""
    BAD_EXTENSION_HEADER = "bad-extension-header"
    """An IPv6 extension header runs past the end of the data."""
    TOO_MANY_EXTENSION_HEADERS = "too-many-extension-headers"
    TRUNCATED_TRANSPORT = "truncated-transport"
    """The first fragment does not hold the whole transport header (RFC 1858, RFC 8200 section 4.5)."""
    TINY_FRAGMENT = "tiny-fragment"
    """A fragment that could overwrite the transport header of its first one (RFC 3128)."""
    UNKNOWN_INTERFACE = "unknown-interface"
    """No fault of the bytes: nothing is known to govern the interface that they were queued for.
    The kernel queues for guarded interfaces only, so one of us is behind the times."""


_UNPARSABLE = {reason: Unparsable(reason) for reason in UnparsableReason}


def parse(data: Data, at: int = 0, end: int | None = None) -> Packet | Unparsable:
    """Return the fields of the IPv4 or IPv6 packet in `data[at:end]`, which may be cut after the headers."""
    if end is None:
        end = len(data)
    length = end - at
    if length >= PORTED_IPV4_LENGTH:
        # Nearly all packets there are: with ports, whole, without IP options.
        first, total, fragment, protocol, src, dst, sport, dport = PORTED_IPV4(data, at)
        needed = WHOLE_LENGTH[protocol]
        if first == PLAIN_IPV4 and total >= needed <= length and not fragment & FRAGMENTED:
            return _new(Packet, (4, protocol, src, dst, sport, dport, ABSENT, ABSENT))
    if at >= end:
        return _UNPARSABLE[UnparsableReason.NOT_IP]
    version = data[at] >> 4
    if version == 4:  # noqa: PLR2004 - the IP version
        return _parse_ipv4(data, at, end)
    if version == 6:  # noqa: PLR2004 - the IP version
        return _parse_ipv6(data, at, end)
    return _UNPARSABLE[UnparsableReason.NOT_IP]


def _parse_ipv4(data: Data, at: int, end: int) -> Packet | Unparsable:
    if end - at < _IPV4_HEADER:
        return _UNPARSABLE[UnparsableReason.BAD_IP_HEADER]
    first, total, fragment, protocol, src, dst = _IPV4(data, at)
    header = (first & 15) * 4
    # A packet that is too long to say so, not yet cut by segmentation offload: only the data bounds it. From the
    # wire the kernel takes no such packet.
    total = total or end - at
    if header < _IPV4_HEADER or total < header or end - at < header:
        return _UNPARSABLE[UnparsableReason.BAD_IP_HEADER]
    offset = fragment & _OFFSET_MASK
    if offset:
        return _later_fragment(4, protocol, src, dst, offset)
    return _transport(4, protocol, src, dst, data, at + header, min(at + total, end))


def _parse_ipv6(data: Data, at: int, end: int) -> Packet | Unparsable:
    if end - at < _IPV6_HEADER:
        return _UNPARSABLE[UnparsableReason.BAD_IP_HEADER]
    payload, following, src_high, src_low, dst_high, dst_low = _IPV6(data, at)
    src = src_high << 64 | src_low
    dst = dst_high << 64 | dst_low
    at += _IPV6_HEADER
    # A payload length of zero announces a jumbogram (RFC 2675): only the data bounds it.
    if payload:
        end = min(at + payload, end)
    for _ in range(MAX_EXTENSION_HEADERS + 1):
        if following not in _EXTENSIONS:
            return _transport(6, following, src, dst, data, at, end)
        if at + 8 > end:
            return _UNPARSABLE[UnparsableReason.BAD_EXTENSION_HEADER]
        if following == _FRAGMENT:
            offset = _FRAGMENT_OFFSET(data, at + 2)[0] >> 3
            if offset:
                return _later_fragment(6, data[at], src, dst, offset)
            length = 8
        elif following == _AUTHENTICATION:
            length = (data[at + 1] + 2) * 4
        else:
            length = (data[at + 1] + 1) * 8
        following = data[at]
        at += length
        if at > end:
            return _UNPARSABLE[UnparsableReason.BAD_EXTENSION_HEADER]
    return _UNPARSABLE[UnparsableReason.TOO_MANY_EXTENSION_HEADERS]


def _later_fragment(family: int, protocol: int, src: int, dst: int, offset: int) -> Packet | Unparsable:
    # Offset 1 (8 bytes) overlaps the TCP header, where ports and flags are (RFC 3128).
    if offset == 1 and protocol == TCP:
        return _UNPARSABLE[UnparsableReason.TINY_FRAGMENT]
    return Packet(family, protocol, src, dst)


def _transport(  # noqa: PLR0917 - a dataclass here would cost more than the parse
    family: int, protocol: int, src: int, dst: int, data: Data, at: int, end: int
) -> Packet | Unparsable:
    needed = _PORT_HEADER_LENGTH.get(protocol)
    if needed is not None:
        if at + needed > end:
            return _UNPARSABLE[UnparsableReason.TRUNCATED_TRANSPORT]
        sport, dport = _PORTS(data, at)
        return _new(Packet, (family, protocol, src, dst, sport, dport, ABSENT, ABSENT))
    if protocol == _ICMP_OF_VERSION[family]:
        if at + _ICMP_HEADER_LENGTH > end:
            return _UNPARSABLE[UnparsableReason.TRUNCATED_TRANSPORT]
        return Packet(family, protocol, src, dst, ABSENT, ABSENT, data[at], data[at + 1])
    return Packet(family, protocol, src, dst)
