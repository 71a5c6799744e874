from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.kernel.marks import (
    NEVER_JUDGED,
    ConnectionMark,
    PacketMark,
    Stamp,
    check_connection_mask,
    check_packet_mask,
)

CONNECTION_MASKS = st.builds(
    lambda width, shift: ((1 << width) - 1) << min(shift, 32 - width), st.integers(4, 12), st.integers(0, 28)
)


def test_allowed_is_the_lowest_bit_of_the_mask() -> None:
    assert PacketMark(0x3000).allowed == 0x1000
    assert PacketMark(0x80000000).allowed == 0x80000000


def test_bits_outside_the_mask_are_the_others() -> None:
    assert PacketMark(0x3000).others == 0xFFFFCFFF
    assert ConnectionMark(0xF0000000).others == 0x0FFFFFFF


def test_four_bits_hold_five_generations() -> None:
    mark = ConnectionMark(0xF0000000)
    assert mark.last_generation == 5
    assert mark.value(1) == 0x10000000
    assert mark.value(5) == 0x50000000


def test_a_generation_the_mask_cannot_hold_is_refused() -> None:
    for generation in (-1, NEVER_JUDGED, 6):
        with pytest.raises(ValueError, match=f"generation must be 1-5, got {generation}"):
            ConnectionMark(0xF0000000).value(generation)


def test_one_follows_the_last_generation_and_the_first_follows_none() -> None:
    mark = ConnectionMark(0xF)
    assert [mark.following(generation) for generation in (NEVER_JUDGED, 1, 4, 5)] == [1, 2, 5, 1]


@given(CONNECTION_MASKS)
def test_each_stamp_of_each_generation_has_a_value_of_its_own_within_the_mask(mask: int) -> None:
    mark = ConnectionMark(check_connection_mask(mask))
    generations = range(1, mark.last_generation + 1)
    values = {mark.value(generation, stamp) for generation in generations for stamp in Stamp}
    assert len(values) == len(Stamp) * len(generations)
    assert all(value and value & mark.others == 0 for value in values)


@pytest.mark.parametrize("width", range(4, 9))
def test_a_number_comes_round_again_only_after_a_clearing_that_its_use_cannot_outlive(width: int) -> None:
    mark = ConnectionMark((1 << width) - 1 << 4)
    for generation in range(1, mark.last_generation + 1):
        # While the very next generation is prepared, connections are still stamped with this one.
        at = mark.following(generation)
        clears = []
        while at != generation:
            at = mark.following(at)
            clears.append(mark.starts_over(at))
        assert any(clears)


def test_connections_are_cleared_twice_in_a_round() -> None:
    mark = ConnectionMark(0xF0000000)
    assert [generation for generation in range(1, 6) if mark.starts_over(generation)] == [1, 3]


@pytest.mark.parametrize("mask", [0, -1, 1 << 32, (1 << 33) - 1])
def test_a_mask_that_is_no_32_bit_word_is_refused(mask: int) -> None:
    with pytest.raises(ValueError, match="packet mark mask"):
        check_packet_mask(mask)
    with pytest.raises(ValueError, match="connection mark mask"):
        check_connection_mask(mask)


@pytest.mark.parametrize("mask", [0x1, 0x80000000, 0x70, 0x1B, 0xF000000F])
def test_a_connection_mask_of_less_than_four_bits_or_with_gaps_is_refused(mask: int) -> None:
    with pytest.raises(ValueError, match="4 or more bits side by side"):
        check_connection_mask(mask)


@pytest.mark.parametrize("mask", [0x1, 0x1000, 0x80000000])
def test_a_packet_mask_of_one_bit_is_refused(mask: int) -> None:
    with pytest.raises(ValueError, match="packet mark mask must have 2-32 bits"):
        check_packet_mask(mask)


def test_packet_masks_may_have_gaps() -> None:
    assert check_packet_mask(0x5) == 0x5
