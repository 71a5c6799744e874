from __future__ import annotations

from nfq_guard.daemon.throttle import RuleThrottles, Throttle
from nfq_guard.engine.ruleset import LogLimit


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


def test_an_admission_that_is_withdrawn_was_none() -> None:
    throttle = Throttle(1, 0)
    assert throttle.admit(0.0) == 0
    assert throttle.admit(0.0) is None

    throttle.withdraw(0)

    assert throttle.admit(0.0) == 1
    assert throttle.admit(0.0) is None


def rules(limit: LogLimit | None, *, together: Throttle | None = None, most: int = 10) -> RuleThrottles:
    throttles = RuleThrottles(together or Throttle(1000, 0), most)
    throttles.limit(limit)
    return throttles


def test_each_rule_has_a_limit_of_its_own() -> None:
    throttles = rules(LogLimit(2, 1))

    assert [throttles.admit("a", 0.0) for _ in range(4)] == [0, 0, None, None]
    assert [throttles.admit("b", 0.0) for _ in range(3)] == [0, 0, None]
    assert throttles.admit("a", 1.0) == 2
    assert throttles.admit("b", 1.0) == 1


def test_without_a_limit_the_bound_on_all_of_them_is_left() -> None:
    throttles = rules(None, together=Throttle(3, 1))

    assert [throttles.admit(rule, 0.0) for rule in "aabba"] == [0, 0, 0, None, None]
    assert throttles.admit("b", 1.0) == 1
    assert throttles.admit("a", 2.0) == 1


def test_the_bound_on_all_stands_above_each_rules_own_limit() -> None:
    throttles = rules(LogLimit(100, 100), together=Throttle(2, 1))

    assert [throttles.admit("a", 0.0) for _ in range(4)] == [0, 0, None, None]


def test_what_a_rules_own_limit_refuses_costs_the_others_nothing() -> None:
    throttles = rules(LogLimit(1, 0), together=Throttle(2, 0))

    assert [throttles.admit("a", 0.0) for _ in range(100)] == [0] + [None] * 99
    assert throttles.admit("b", 0.0) == 0


def test_what_the_bound_on_all_refuses_costs_a_rule_nothing_of_its_own_limit() -> None:
    throttles = rules(LogLimit(1, 0), together=Throttle(1, 1))
    throttles.admit("a", 0.0)
    assert [throttles.admit("b", 0.0) for _ in range(2)] == [None, None]

    assert throttles.admit("b", 1.0) == 2
    assert throttles.admit("b", 2.0) is None


def test_a_reload_is_no_way_around_a_limit_and_another_limit_starts_afresh() -> None:
    throttles = rules(LogLimit(1, 0))
    assert throttles.admit("a", 0.0) == 0

    throttles.limit(LogLimit(1, 0))
    assert throttles.admit("a", 1.0) is None

    throttles.limit(LogLimit(2, 0))
    assert [throttles.admit("a", 2.0) for _ in range(3)] == [0, 0, None]


def test_no_more_rules_are_remembered_than_asked_for_and_the_most_silent_one_is_forgotten() -> None:
    throttles = rules(LogLimit(1, 0), most=2)
    for rule in ("a", "b", "a", "c"):
        throttles.admit(rule, 0.0)

    assert len(throttles._rules) == 2
    assert throttles.admit("a", 0.0) is None
    assert throttles.admit("b", 0.0) == 0
