from __future__ import annotations

from nfq_guard.daemon.throttle import Throttle


def test_a_burst_passes_and_the_rest_is_counted_for_the_next_one() -> None:
    throttle = Throttle(2, 1)

    answers = [throttle.admit(0.0) for _ in range(5)]

    assert answers == [0, 0, None, None, None]
    assert throttle.admit(1.0) == 3


def test_no_more_than_a_burst_is_saved_up() -> None:
    throttle = Throttle(2, 1)
    throttle.admit(0.0)

    answers = [throttle.admit(1000.0) for _ in range(3)]

    assert answers == [0, 0, None]
