from __future__ import annotations

import pytest

from nfq_guard.daemon.protocol import NOBODY_WATCHES, Watch
from nfq_guard.daemon.wishes import LEASE_SECONDS, MOST, Wishes

DENIALS = Watch(deny=True, allow=False, log=False)
ALL, LOGS = Watch(deny=True, allow=True, log=False), Watch(deny=False, allow=False, log=True)


def test_nobody_watches_at_first() -> None:
    assert Wishes().wanted(0.0) == NOBODY_WATCHES


def test_all_wishes_together_are_wanted() -> None:
    wishes = Wishes()
    wishes.renew("a", DENIALS, 0.0)
    assert wishes.wanted(0.0) == DENIALS

    wishes.renew("b", ALL, 0.0)

    assert wishes.wanted(0.0) == ALL
    wishes.renew("c", LOGS, 0.0)
    assert wishes.wanted(0.0) == Watch(deny=True, allow=True, log=True)


def test_a_wish_that_is_not_renewed_is_forgotten_and_one_that_is_stays() -> None:
    wishes = Wishes()
    wishes.renew("a", DENIALS, 0.0)
    wishes.renew("b", ALL, 0.0)

    wishes.renew("a", DENIALS, LEASE_SECONDS - 0.1)

    assert wishes.wanted(LEASE_SECONDS - 0.01) == ALL
    assert wishes.wanted(LEASE_SECONDS) == DENIALS
    assert wishes.wanted(2 * LEASE_SECONDS) == NOBODY_WATCHES


def test_a_later_wish_of_the_same_watcher_takes_the_place_of_the_one_before() -> None:
    wishes = Wishes()
    wishes.renew("a", ALL, 0.0)
    wishes.renew("a", DENIALS, 0.0)
    assert wishes.wanted(0.0) == DENIALS

    assert wishes.renew("a", NOBODY_WATCHES, 0.0)

    assert wishes.wanted(0.0) == NOBODY_WATCHES


@pytest.mark.parametrize("leaving", ["its lease", "its word"])
def test_there_is_room_for_so_many_and_again_when_one_leaves(leaving: str) -> None:
    wishes = Wishes()
    for number in range(MOST):
        assert wishes.renew(str(number), DENIALS, number / MOST)
    assert not wishes.renew("one more", DENIALS, 1.0)
    assert wishes.renew("1", DENIALS, 1.0)

    now = 1.0
    if leaving == "its lease":
        now = LEASE_SECONDS
    else:
        wishes.renew("0", NOBODY_WATCHES, now)

    assert wishes.renew("one more", DENIALS, now)
    assert not wishes.renew("yet another", DENIALS, now)
