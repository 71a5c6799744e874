"""Addresses, networks and interval sets."""

from __future__ import annotations

import itertools
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.model.addresses import (
    LAST_ADDRESS,
    AddressSet,
    Intervals,
    Net,
    format_address,
    parse_address,
    parse_net,
)

LAST = 40
spans = st.lists(
    st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(lambda pair: (min(pair), max(pair))), max_size=6
)


def members(pairs: list[tuple[int, int]]) -> set[int]:
    return {value for low, high in pairs for value in range(low, high + 1)}


@given(spans)
def test_an_interval_set_holds_what_its_spans_hold(pairs: list[tuple[int, int]]) -> None:
    intervals = Intervals.of(pairs)

    assert {value for value in range(-1, LAST + 2) if value in intervals} == members(pairs)


@given(spans)
def test_spans_are_sorted_and_neither_overlap_nor_touch(pairs: list[tuple[int, int]]) -> None:
    merged = Intervals.of(pairs).spans

    assert all(high + 1 < low for (_, high), (low, _) in itertools.pairwise(merged))


@given(spans)
def test_the_complement_is_everything_else(pairs: list[tuple[int, int]]) -> None:
    other = Intervals.of(pairs).complement(LAST)

    assert members(list(other.spans)) == set(range(LAST + 1)) - members(pairs)


@given(spans, spans)
def test_the_intersection_is_what_both_hold(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    both = Intervals.of(one).intersect(Intervals.of(other))

    assert members(list(both.spans)) == members(one) & members(other)
    assert both == Intervals.of(both.spans)


def test_only_integers_are_in_an_interval_set() -> None:
    assert "1" not in Intervals(((0, 9),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", (4, 0x0A000001)),
        ("::1", (6, 1)),
        ("::ffff:10.0.0.1", (4, 0x0A000001)),
        ("FD00::A", (6, 0xFD << 120 | 10)),
    ],
)
def test_an_address_is_a_family_and_an_integer(text: str, expected: tuple[int, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10.0.0", "10.0.0.01", "fe80::1%eth0", "10.0.0.1/32", "host", " 10.0.0.1", "1"]
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


def test_a_net_spans_first_to_last() -> None:
    assert parse_net("10.1.0.0/16") == Net(4, 16, 0x0A010000, 0x0A01FFFF)
    assert parse_net("::/0") == Net(6, 0, 0, LAST_ADDRESS[6])


def test_a_bare_address_is_a_net_only_where_asked_for() -> None:
    assert parse_net("10.0.0.1", bare=True) == Net(4, 32, 0x0A000001, 0x0A000001)
    with pytest.raises(ValueError, match="prefix length is missing"):
        parse_net("10.0.0.1")


def test_host_bits_are_masked_only_where_asked_for() -> None:
    assert parse_net("10.0.0.9/8", host_bits=True) == parse_net("10.0.0.0/8")
    with pytest.raises(ValueError, match=r"did you mean 10\.0\.0\.0/8\?"):
        parse_net("10.0.0.9/8")


@pytest.mark.parametrize(
    "text", ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/٣"]
)
def test_a_bad_prefix_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="prefix length"):
        parse_net(text)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_formatting_an_address_gives_its_usual_text(address: object) -> None:
    parsed = ip_address(str(address))

    assert format_address(parsed.version, int(parsed)) == str(parsed)


@given(st.sampled_from([4, 6]), st.data())
def test_a_net_is_what_ipaddress_says(family: int, data: st.DataObject) -> None:
    bits = 32 if family == 4 else 128
    value, prefix = data.draw(st.integers(0, LAST_ADDRESS[family])), data.draw(st.integers(0, bits))
    text = f"{format_address(family, value)}/{prefix}"
    if family == 6 and value >> 32 == 0xFFFF:
        return
    expected = ip_network(text, strict=False)

    net = parse_net(text, host_bits=True)

    assert (net.first, net.last) == (int(expected.network_address), int(expected.broadcast_address))
    assert str(net) == str(expected)


def test_an_address_set_keeps_families_apart() -> None:
    both = AddressSet.of([parse_net("10.0.0.0/8"), parse_net("fd00::/8"), parse_net("11.0.0.0/8")])

    assert both.family(4) == Intervals(((10 << 24, (12 << 24) - 1),))
    assert both.family(6).spans[0][0] == 0xFD << 120
