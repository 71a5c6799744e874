from __future__ import annotations

import pytest

from nfq_guard.kernel.text import interface_set, one_of, replaced, set_text, starting_with


@pytest.mark.parametrize(
    ("mask", "value", "expected"),
    [
        (0x3000, 0, "meta mark set meta mark & 0xffffcfff"),
        (0x3000, 0x1000, "meta mark set meta mark & 0xffffdfff | 0x00001000"),
        (0x3000, 0x3000, "meta mark set meta mark | 0x00003000"),
        (0xF000, 0x3000, "meta mark set meta mark & 0xffff3fff | 0x00003000"),
    ],
)
def test_bits_of_a_mark_are_replaced_in_nfts_own_words(mask: int, value: int, expected: str) -> None:
    assert replaced("meta mark", mask, value) == expected


@pytest.mark.parametrize(
    ("prefix", "pattern"), [("cali", "cali*"), ("fifteen-letters", "fifteen-letters"), ("l", "l*")]
)
def test_a_prefix_becomes_a_pattern_where_there_is_room(prefix: str, pattern: str) -> None:
    assert starting_with(prefix) == pattern


def test_an_empty_set_has_no_elements_line() -> None:
    assert "elements" not in set_text(interface_set("managed", ()))
    assert 'elements = { "a",\n\t\t\t     "b" }' in set_text(interface_set("managed", ("a", "b")))


def test_one_of_several_interfaces_is_written_as_nft_lists_it() -> None:
    assert one_of(("eth0",)) == '"eth0"'
    assert one_of(("eth0", "eth1")) == '{ "eth0", "eth1" }'
