"""The first line that accepts, found by classes, is the one that a walk finds."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.engine import axis as axis_module
from nfq_guard.engine.axis import SPARSE
from nfq_guard.engine.slices import Slice
from nfq_guard.model.addresses import Intervals

if TYPE_CHECKING:
    from nfq_guard.engine.slices import Wanted

values = st.integers(0, 6)
intervals = st.lists(
    st.tuples(values, values).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=2
).map(Intervals.of)
wishes = st.tuples(*[st.none() | intervals] * 4)
fields = st.tuples(*[values] * 4)


@pytest.mark.parametrize("sparse", [SPARSE, 1, 0])
@given(
    wanted=st.lists(wishes, max_size=8),
    gaps=st.lists(st.integers(1, 3), min_size=9, max_size=9),
    packets=st.lists(fields, min_size=1, max_size=8),
)
def test_a_slice_finds_what_a_walk_finds(
    sparse: int, wanted: list[Wanted], gaps: list[int], packets: list[tuple[int, int, int, int]]
) -> None:
    wanted = [*wanted, (None, None, None, None)]
    lines = [sum(gaps[: index + 1]) for index in range(len(wanted))]
    with patch.object(axis_module, "SPARSE", sparse):
        piece = Slice(lines, wanted)

    for packet in packets:
        key = piece.key(*packet)
        expected = [
            line
            for line, wish in zip(lines, wanted, strict=True)
            if all(some is None or value in some for some, value in zip(wish, packet, strict=True))
        ]
        assert list(piece.accepting(key)) == expected
        for start in range(lines[-1] + 1):
            assert piece.first(key, start) == next(line for line in expected if line >= start)


def test_packets_whose_fields_no_line_tells_apart_have_one_key() -> None:
    piece = Slice([0, 1], [(Intervals(((5, 9),)), None, None, None), (None, None, None, None)])

    assert piece.key(5, 1, 2, 3) == piece.key(9, 4, 5, 6) != piece.key(4, 1, 2, 3)
