from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.stream.rates import Rates, sparkline

GROWTH = st.lists(st.tuples(st.floats(0.5, 3), st.integers(0, 1000)), min_size=1, max_size=20)


@given(GROWTH)
def test_a_rate_is_what_was_counted_in_the_time_looked_back(growth: list[tuple[float, int]]) -> None:
    rates = Rates[str](5.0, most=100)
    now, count = 0.0, 0
    readings = [(now, count)]
    rates.update({"a": 0}, now)
    for pause, more in growth:
        now, count = now + pause, count + more
        readings.append((now, count))
        rates.update({"a": count}, now)
    began, first = next(one for one in reversed(readings[:-1]) if now - one[0] >= 5 or one is readings[0])

    assert rates.rates()["a"] == pytest.approx((count - first) / (now - began))
    (before, then), (_, last) = readings[-2:]
    assert rates.latest()["a"] == pytest.approx((last - then) / (now - before))


def test_nothing_is_known_before_the_second_reading_or_after_all_is_forgotten() -> None:
    rates = Rates[str](5.0)
    assert (rates.rates(), rates.latest()) == ({}, {})
    rates.update({"a": 5}, 0.0)
    assert (rates.rates(), rates.latest()) == ({}, {})
    rates.update({"a": 6}, 1.0)
    assert rates.rates() == rates.latest() == {"a": 1.0}
    rates.forget()
    assert rates.rates() == {}


def test_two_readings_at_one_moment_tell_no_rate() -> None:
    rates = Rates[str](5.0)
    rates.update({"a": 5}, 1.0)
    rates.update({"a": 6}, 1.0)

    assert rates.rates() == {}


def test_a_counter_that_went_back_counts_from_there_and_a_new_one_from_nothing() -> None:
    rates = Rates[str](5.0)
    rates.update({"back": 100}, 0.0)
    rates.update({"back": 3, "new": 8}, 2.0)

    assert rates.rates() == {"back": 0.0, "new": 4.0}


def test_no_more_readings_are_kept_than_there_may_be() -> None:
    rates = Rates[str](1000.0, most=3)
    for second in range(10):
        rates.update({"a": second * second}, float(second))

    assert rates.rates() == {"a": (81 - 49) / 2}


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ([], 5, ""),
        ([0, 0], 5, "▁▁"),
        ([0, 1, 1000], 5, "▁▂█"),
        ([8, 4, 2], 2, "█▅"),
        ([1, 2], 0, ""),
    ],
)
def test_a_sparkline_ends_with_the_last_value(values: list[float], width: int, bars: str) -> None:
    assert sparkline(values, width) == bars
