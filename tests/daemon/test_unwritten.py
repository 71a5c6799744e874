from __future__ import annotations

import pytest

from nfq_guard.daemon.protocol import NOBODY_WATCHES, Watch
from nfq_guard.daemon.unwritten import Fallen, Unwritten

DENIALS = Watch(deny=True, allow=False, log=False)
ALLOWED = Watch(deny=False, allow=True, log=False)
LOGS = Watch(deny=False, allow=False, log=True)
ALL = Watch(deny=True, allow=True, log=True)


class Guard:
    """Counters that a test moves, and what is made of them."""

    def __init__(self) -> None:
        self.fallen = Fallen(1000, 100, 50)
        self.unwritten = Unwritten(lambda: self.fallen)

    def fall(self, judged: int, denied: int, written: int) -> None:
        self.fallen = Fallen(*map(sum, zip(self.fallen, (judged, denied, written), strict=True)))

    def total(self) -> tuple[int, int]:
        total = self.unwritten.count()
        return total["allow"], total["deny"]


def test_what_fell_before_is_not_counted() -> None:
    assert Guard().total() == (0, 0)


@pytest.mark.parametrize(
    ("wish", "written", "total"),
    [
        (NOBODY_WATCHES, 7, (90, 3)),
        (DENIALS, 10, (90, 0)),
        (ALLOWED, 97, (0, 3)),
        (ALL, 120, (0, 0)),
    ],
    ids=["nobody watches", "denials", "allowed packets", "everything"],
)
def test_what_was_not_wished_for_is_counted_but_for_what_has_a_record(
    wish: Watch, written: int, total: tuple[int, int]
) -> None:
    guard = Guard()
    guard.unwritten.follow(wish)

    guard.fall(100, 10, written)

    assert guard.total() == guard.total() == total


def test_records_of_log_rules_make_too_few_of_denials_never_too_many() -> None:
    guard = Guard()
    guard.unwritten.follow(LOGS)
    guard.fall(100, 10, 8)

    assert guard.total() == (90, 2)

    guard.fall(100, 10, 50)

    assert guard.total() == (180, 2)


def test_each_wish_is_counted_while_it_is_in_force() -> None:
    guard = Guard()
    guard.unwritten.follow(ALL)
    guard.fall(100, 10, 100)
    guard.unwritten.follow(NOBODY_WATCHES)
    guard.fall(20, 5, 1)
    guard.unwritten.follow(DENIALS)
    guard.fall(100, 10, 10)

    assert guard.total() == (15 + 90, 4)


def test_counters_that_go_back_take_nothing_away() -> None:
    guard = Guard()
    guard.fall(10, 4, 0)
    assert guard.total() == (6, 4)

    guard.fallen = Fallen(0, 0, 0)

    assert guard.total() == (6, 4)


def test_a_record_that_comes_ahead_of_its_count_is_not_missing() -> None:
    guard = Guard()

    guard.fall(0, 0, 50)
    assert guard.total() == (0, 0)
    guard.fall(60, 50, 0)
    assert guard.total() == (10, 0)
    guard.fall(5, 5, 0)
    assert guard.total() == (10, 5)


def test_nonsense_in_a_ring_hides_no_more_than_a_turn_of_it() -> None:
    guard = Guard()
    guard.fall(0, 0, 2**64)
    guard.total()

    guard.fall(20_000, 20_000, 0)

    assert guard.total() == (0, 20_000 - 8192)


def test_records_of_log_rules_hide_nothing_once_they_are_not_wished_for() -> None:
    guard = Guard()
    guard.unwritten.follow(LOGS)
    guard.fall(100, 10, 500)
    guard.unwritten.follow(NOBODY_WATCHES)
    guard.fall(100, 10, 3)

    assert guard.total() == (180, 7)
