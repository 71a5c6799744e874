"""packet.parse: every input gives fields or a reason, never an exception."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from captures import PACKETS
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.model.flow import ABSENT, Packet
from nfq_guard.packet import MAX_EXTENSION_HEADERS, Unparsable, UnparsableReason, parse

V4, V6 = ("10.0.0.2", "10.0.0.1"), ("fd00::2", "fd00::1")


def expected(family: int, protocol: int, *fields: int) -> Packet:
    src, dst = (int(ip_address(text)) for text in (V4 if family == 4 else V6))
    return Packet(family, protocol, src, dst, *fields)


FIELDS = {
    "a TCP SYN over IPv4": expected(4, 6, 40000, 443),
    "a TCP SYN with IPv4 options": expected(4, 6, 40000, 443),
    "a UDP datagram over IPv4": expected(4, 17, 5353, 53),
    "an SCTP INIT over IPv4": expected(4, 132, 40000, 9899),
    "an echo request over IPv4": expected(4, 1, ABSENT, ABSENT, 8, 0),
    "a first fragment over IPv4": expected(4, 17, 1000, 2000),
    "a later fragment over IPv4": expected(4, 17),
    "a GRE packet over IPv4": expected(4, 47),
    "ICMPv6 in IPv4 has no ICMP fields": expected(4, 58),
    "a TCP SYN over IPv6": expected(6, 6, 40000, 443),
    "a UDP datagram over IPv6": expected(6, 17, 5353, 53),
    "an echo request over IPv6": expected(6, 58, ABSENT, ABSENT, 128, 0),
    "a neighbor solicitation": expected(6, 58, ABSENT, ABSENT, 135, 0),
    "TCP behind hop-by-hop, routing and destination options": expected(6, 6, 40000, 443),
    "TCP behind an authentication header": expected(6, 6, 40000, 443),
    "a first fragment over IPv6": expected(6, 17, 1000, 2000),
    "a later fragment over IPv6": expected(6, 17),
    "no next header": expected(6, 59),
    "ESP ends the walk": expected(6, 50),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_those_of_the_packet(name: str) -> None:
    assert parse(PACKETS[name]) == FIELDS[name]


def test_every_capture_has_an_expectation() -> None:
    assert set(PACKETS) == set(FIELDS)


@pytest.mark.parametrize("name", PACKETS)
def test_every_prefix_of_a_packet_gives_its_fields_or_a_reason(name: str) -> None:
    data = PACKETS[name]

    for length in range(len(data)):
        outcome = parse(data[:length])
        assert isinstance(outcome, Unparsable) or outcome == FIELDS[name]


@given(st.binary(max_size=300))
def test_random_bytes_give_fields_or_a_reason(data: bytes) -> None:
    assert isinstance(parse(data), Packet | Unparsable)


@given(
    st.sampled_from(sorted(PACKETS)), st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255)), max_size=6)
)
def test_damaged_packets_give_fields_or_a_reason(name: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(PACKETS[name])
    for at, value in damage:
        data[at % len(data)] = value

    assert isinstance(parse(bytes(data)), Packet | Unparsable)


def ipv6(next_header: int, payload: bytes) -> bytes:
    addresses = b"".join(ip_address(text).packed for text in V6)
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + addresses + payload


def ipv4(protocol: int, payload: bytes, offset: int = 0, total: int | None = None) -> bytes:
    addresses = b"".join(ip_address(text).packed for text in V4)
    length = 20 + len(payload) if total is None else total
    return struct.pack("!BBHHHBBH", 0x45, 0, length, 1, offset, 64, protocol, 0) + addresses + payload


TCP_HEADER = struct.pack("!HHIIBBHHH", 40000, 443, 0, 0, 0x50, 2, 0, 0, 0)

REASONS = {
    "nothing": (b"", UnparsableReason.NOT_IP),
    "another IP version": (b"\x50" + bytes(60), UnparsableReason.NOT_IP),
    "half an IPv4 header": (b"\x45" + bytes(18), UnparsableReason.BAD_IP_HEADER),
    "an IPv4 header length below five words": (
        b"\x44" + ipv4(6, TCP_HEADER)[1:],
        UnparsableReason.BAD_IP_HEADER,
    ),
    "IPv4 options that run past the data": (
        b"\x4f" + ipv4(6, TCP_HEADER)[1:40],
        UnparsableReason.BAD_IP_HEADER,
    ),
    "an IPv4 total length shorter than the header": (
        ipv4(6, TCP_HEADER, total=19),
        UnparsableReason.BAD_IP_HEADER,
    ),
    "an IPv4 total length that cuts the TCP header": (
        ipv4(6, TCP_HEADER, total=39),
        UnparsableReason.TRUNCATED_TRANSPORT,
    ),
    "a first fragment with only the ports of TCP": (
        ipv4(6, TCP_HEADER[:8], offset=0x2000),
        UnparsableReason.TRUNCATED_TRANSPORT,
    ),
    "a fragment that overlaps the TCP header": (ipv4(6, bytes(16), offset=1), UnparsableReason.TINY_FRAGMENT),
    "an IPv6 fragment that overlaps the TCP header": (
        ipv6(44, struct.pack("!BBHI", 6, 0, 1 << 3, 7) + bytes(16)),
        UnparsableReason.TINY_FRAGMENT,
    ),
    "half an IPv6 header": (b"\x60" + bytes(38), UnparsableReason.BAD_IP_HEADER),
    "an extension header without room": (ipv6(0, b"\x06\x00"), UnparsableReason.BAD_EXTENSION_HEADER),
    "an extension header longer than the packet": (
        ipv6(60, b"\x06\xff" + bytes(30)),
        UnparsableReason.BAD_EXTENSION_HEADER,
    ),
    "an authentication header longer than the packet": (
        ipv6(51, b"\x06\xff" + bytes(30)),
        UnparsableReason.BAD_EXTENSION_HEADER,
    ),
    "a chain of extension headers without end": (
        ipv6(60, (b"\x3c\x00" + bytes(6)) * (MAX_EXTENSION_HEADERS + 1) + TCP_HEADER),
        UnparsableReason.TOO_MANY_EXTENSION_HEADERS,
    ),
    "no room for the UDP header": (ipv6(17, bytes(7)), UnparsableReason.TRUNCATED_TRANSPORT),
    "no room for the ICMPv6 type": (ipv6(58, bytes(3)), UnparsableReason.TRUNCATED_TRANSPORT),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_cannot_be_judged_has_a_reason(name: str) -> None:
    data, reason = REASONS[name]

    assert parse(data) == Unparsable(reason)


def test_every_reason_has_a_case() -> None:
    # An interface is not the parser's business.
    found = {reason for _data, reason in REASONS.values()}
    assert found == {*UnparsableReason} - {UnparsableReason.UNKNOWN_INTERFACE}


def test_a_packet_too_long_to_say_its_length_is_bounded_by_its_data() -> None:
    packet = parse(ipv4(6, TCP_HEADER, total=0))
    assert isinstance(packet, Packet)
    assert packet == parse(ipv4(6, TCP_HEADER))


def test_a_jumbogram_is_bounded_by_its_data() -> None:
    packet = bytearray(ipv6(6, TCP_HEADER))
    packet[4:6] = b"\x00\x00"

    assert parse(bytes(packet)) == expected(6, 6, 40000, 443)


def test_as_many_extension_headers_as_allowed_are_walked() -> None:
    options = (b"\x3c\x00" + bytes(6)) * (MAX_EXTENSION_HEADERS - 1) + b"\x06\x00" + bytes(6)

    assert parse(ipv6(60, options + TCP_HEADER)) == expected(6, 6, 40000, 443)
