"""Classes of values: which lines accept them, however many lines there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.engine import axis as axis_module
from nfq_guard.engine.axis import SPARSE, Axis
from nfq_guard.model.addresses import Intervals

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST = 2**32 - 1
values = st.integers(0, 40) | st.sampled_from([1000, LAST - 1, LAST])
intervals = st.lists(st.tuples(values, values).map(lambda pair: (min(pair), max(pair))), max_size=4).map(
    Intervals.of
)


@pytest.fixture(
    params=[SPARSE, 2, 0], ids=["few lines a class", "some of many", "many lines a class"], autouse=True
)
def sparse(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(axis_module, "SPARSE", request.param)
        patched.setattr(axis_module, "_STRIDE", 2)
        yield


def lines_of(mask: int) -> set[int]:
    return {line for line in range(mask.bit_length()) if mask >> line & 1}


@given(wanted=st.dictionaries(st.integers(0, 9), intervals), asked=st.lists(values, min_size=1))
def test_a_value_is_accepted_by_the_lines_whose_intervals_hold_it(
    wanted: dict[int, Intervals], asked: list[int]
) -> None:
    axis = Axis(wanted.items(), 10)

    for value in asked:
        expected = {line for line in range(10) if line not in wanted or value in wanted[line]}
        number = axis.class_of(value)
        assert lines_of(axis.mask(number)) == expected
        few = axis.members[number]
        assert few is None or set(few) == expected & wanted.keys()


@given(wanted=st.dictionaries(st.integers(0, 9), intervals), one=values, other=values)
def test_values_are_of_one_class_exactly_if_the_same_lines_accept_them(
    wanted: dict[int, Intervals], one: int, other: int
) -> None:
    axis = Axis(wanted.items(), 10)

    alike = axis.mask(axis.class_of(one)) == axis.mask(axis.class_of(other))
    assert (axis.class_of(one) == axis.class_of(other)) == alike


def test_lines_that_want_something_are_told_from_those_that_do_not() -> None:
    axis = Axis([(1, Intervals(((5, 9),)))], 3)

    assert list(axis.specific) == [0, 1, 0]


def test_an_axis_on_which_nobody_wants_anything_has_one_class() -> None:
    axis = Axis([], 3)

    assert axis.members == [()]
    assert axis.class_of(0) == axis.class_of(LAST) == 0
    assert lines_of(axis.mask(0)) == {0, 1, 2}


def test_bit_vectors_that_were_asked_for_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(axis_module, "SPARSE", 0)
    monkeypatch.setattr(axis_module, "_KEPT_BYTES", 100)
    axis = Axis([(line, Intervals(((line, line + 2),))) for line in range(100)], 100)

    for _ in range(2):
        for value in range(100):
            expected = {line for line in (value - 2, value - 1, value) if line >= 0}
            assert lines_of(axis.mask(axis.class_of(value))) == expected
            assert len(axis._kept) * 100 / 8 <= 100 + 100 / 8


def test_equal_wishes_make_equal_tables() -> None:
    wanted = [(line, Intervals(((line, line + 50),))) for line in range(100)]
    one, other = Axis(wanted, 100), Axis(wanted, 100)

    assert (one.starts, one.classes, one.members) == (other.starts, other.classes, other.members)
