from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.stream.heavy import Hitter, SpaceSaving, Window

KEYS = st.text("abcdefgh", min_size=1, max_size=2)
STREAMS = st.lists(KEYS, max_size=200)
TIMES = st.lists(st.tuples(KEYS, st.floats(0, 5)), max_size=120)
WIDTH, SLICES = 1.0, 4


@given(STREAMS, st.integers(1, 12))
def test_counts_are_within_their_bounds_and_what_is_frequent_is_there(
    stream: list[str], capacity: int
) -> None:
    exact, kept = Counter(stream), SpaceSaving[str](capacity)
    for key in stream:
        kept.add(key)
    bounds = kept.bounds()

    assert kept.total == len(stream)
    assert len(bounds) <= capacity
    for key, (count, error) in bounds.items():
        assert count - error <= exact[key] <= count
        assert error <= len(stream) / capacity
    for key, count in exact.items():
        if key not in bounds:
            assert count <= kept.unkept <= len(stream) / capacity


@given(STREAMS)
def test_few_keys_are_counted_exactly(stream: list[str]) -> None:
    window = Window[str](64 + 8, 1.0, 1)
    for key in stream:
        window.add(key, 0.5)

    assert {one.key: one.times for one in window.top(1000, 0.5)} == Counter(stream)
    assert all(one.error == 0 for one in window.top(1000, 0.5))


@given(TIMES, st.integers(1, 6))
def test_a_window_counts_within_its_bounds_what_came_in_its_time(
    stream: list[tuple[str, float]], capacity: int
) -> None:
    window = Window[str](capacity, WIDTH * SLICES, SLICES)
    now = 0.0
    met: list[tuple[str, float]] = []
    for key, pause in stream:
        now += pause / 10
        window.add(key, now)
        met.append((key, now))
    since = (int(now / WIDTH) - SLICES + 1) * WIDTH
    exact = Counter(key for key, at in met if int(at / WIDTH) * WIDTH >= since)

    assert window.total(now) == exact.total()
    for key, count, error in window.top(1000, now):
        assert count - error <= exact[key] <= count
    assert len(window.top(1000, now)) <= capacity * SLICES


def test_the_most_often_met_comes_first() -> None:
    window = Window[str](10, 10.0, 5)
    for key in "abracadabra":
        window.add(key, 0.0)

    assert window.top(2, 0.0) == [Hitter("a", 5, 0), Hitter("b", 2, 0)]


def test_what_is_only_doubt_is_not_put_ahead_of_what_is_sure() -> None:
    window = Window[str](4, 10.0, 1)
    for key in ("sure",) * 5 + tuple("abcdefghijklmn"):
        window.add(key, 0.0)

    first, second = window.top(2, 0.0)
    assert (first.key, first.error) == ("sure", 0)
    assert second.times - second.error == 1


def test_what_is_long_ago_is_forgotten_also_if_nothing_comes() -> None:
    window = Window[str](10, 10.0, 5)
    window.add("old", 0.0)
    window.add("new", 8.0)

    assert [one.key for one in window.top(5, 9.0)] == ["old", "new"]
    assert [one.key for one in window.top(5, 10.0)] == ["new"]
    assert (window.top(5, 30.0), window.total(30.0)) == ([], 0)
