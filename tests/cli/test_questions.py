"""Flows typed by hand."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.cli.questions import captured_question, parse_question
from nfq_guard.model.addresses import parse_address
from nfq_guard.model.flow import ABSENT, CtState, Direction, Packet

WEB = "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443"
PACKET = Packet(4, 6, 1, 2, 3, 4)


def address(text: str) -> int:
    return parse_address(text)[1]


def test_a_flow_that_says_everything() -> None:
    flow, left_open = parse_question(WEB.split())

    assert flow.packet == Packet(4, 6, address("203.0.113.9"), address("10.0.0.1"), 40000, 443)
    assert (flow.direction, flow.in_interface, flow.ct_state) == (Direction.IN, "eth0", CtState.NEW)
    assert left_open == ()


def test_a_flow_may_stand_in_one_word() -> None:
    assert parse_question([WEB]) == parse_question(WEB.split())


@pytest.mark.parametrize(
    ("text", "left_open"),
    [
        ("in eth0 tcp 203.0.113.9 10.0.0.1:443", ("sport",)),
        ("in eth0 udp any 10.0.0.1", ("src", "dport", "sport")),
        ("in eth0 udp any:53 *:53", None),
        ("in eth0 tcp 203.0.113.9:any 10.0.0.1:443", ("sport",)),
        ("out eth0 icmp 10.0.0.1 any", ("dst", "icmp")),
        ("out eth0 icmp 10.0.0.1 192.0.2.1 type 8 code 0", ()),
        ("in eth0 47 192.0.2.1 10.0.0.1", ()),
        ("forward eth0 eth1 icmpv6 2001:db8::1 2001:db8::2", ("icmp",)),
        ("in eth0 tcp [2001:db8::1]:1 [2001:db8::2]", ("dport",)),
    ],
)
def test_what_is_left_open_is_told(text: str, left_open: tuple[str, ...] | None) -> None:
    if left_open is None:
        with pytest.raises(ValueError, match="both any"):
            parse_question([text])
    else:
        assert parse_question([text]).open == left_open


def test_the_connection_and_the_destination_ahead_of_nat() -> None:
    flow, _ = parse_question([f"{WEB} state established before 198.51.100.1:80"])

    assert (flow.ct_state, flow.original_dst, flow.original_dport) == (
        CtState.ESTABLISHED,
        address("198.51.100.1"),
        80,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "direction is missing"),
        ("into eth0", "expected in, out or forward"),
        ("in", "interface it comes in by is missing"),
        ("forward eth0", "interface it leaves by is missing"),
        ("in eth0", "protocol is missing"),
        ("in eth0 tcp", "source is missing"),
        ("in eth0 tpc 10.0.0.9:1 10.0.0.1:2", "'protocol' must be"),
        ("in eth0 tcp 10.0.0.9:1", "destination is missing"),
        ("in eth0 tcp 10.0.0:1 10.0.0.1:2", "expected an address"),
        ("in eth0 tcp 10.0.0.9:x 10.0.0.1:2", "found port 'x'"),
        ("in eth0 tcp 10.0.0.9:65536 10.0.0.1:2", "0-65535"),
        ("in eth0 tcp [2001:db8::1]1 10.0.0.1:2", r"expected \[IPV6\]:PORT"),
        ("in eth0 tcp 2001:db8::1 10.0.0.1:2", "one family"),
        ("in eth0 icmp 10.0.0.9:1 10.0.0.1", "has no ports"),
        ("in eth0 icmpv6 10.0.0.9 10.0.0.1", "does not go with IPv4"),
        (f"{WEB} type", "ICMP type is missing"),
        ("in eth0 icmp 10.0.0.9 10.0.0.1 code 4", "a code belongs to its type"),
        (f"{WEB} before 10.0.0.1:99999", "0-65535"),
        (f"{WEB} with", "expected type, code, state or before"),
        (f"{WEB} state fresh", "'ct_state' must be one of"),
    ],
)
def test_what_is_no_flow_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_question([text])


@given(st.lists(st.text(max_size=12), max_size=9))
def test_any_words_are_a_flow_or_refused(words: list[str]) -> None:
    with contextlib.suppress(ValueError):
        assert parse_question(words).flow.packet.family in {4, 6}


def test_a_captured_packet_lacks_only_where_it_was_seen() -> None:
    flow, left_open = captured_question(["forward eth0", "eth1 state established before 192.0.2.9:1"], PACKET)

    assert flow.packet is PACKET
    assert (flow.in_interface, flow.out_interface, flow.ct_state) == ("eth0", "eth1", CtState.ESTABLISHED)
    assert (flow.original_dst, flow.original_dport, left_open) == (address("192.0.2.9"), 1, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("in eth0 tcp", "found 'tcp'"),
        ("in eth0 type 8", "its own ICMP"),
        ("in eth0 before 2001:db8::1", "is IPv6"),
    ],
)
def test_what_a_packet_says_itself_is_not_said_again(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        captured_question([text], PACKET)


def test_ahead_of_nat_the_port_alone_may_be_another() -> None:
    flow, _ = captured_question(["in eth0 before any:80"], PACKET)

    assert (flow.original_dst, flow.original_dport) == (None, 80)


def test_a_packet_without_ports_is_not_open() -> None:
    fragment = PACKET._replace(sport=ABSENT, dport=ABSENT)

    assert captured_question(["in eth0"], fragment).flow.packet == fragment
