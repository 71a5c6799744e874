"""What is worth teaching: what comes again, and never more than is bounded."""

from __future__ import annotations

from nfq_guard.daemon.learning import BATCH, EVERY, SECONDS, SEEN, Candidates
from nfq_guard.kernel.learned import Learned
from nfq_guard.model.decision import Verdict
from nfq_guard.model.flow import TCP, Side


def decision(number: int) -> Learned:
    return Learned(Side.INGRESS, "eth0", 4, TCP, number, 1, 443, Verdict.ALLOW, 0)


def test_what_is_decided_a_second_time_is_told_once() -> None:
    found = Candidates()
    found.meet(decision(1), now=1.0)
    assert found.take(now=1.0) == []

    found.meet(decision(1), now=1.1)
    found.meet(decision(1), now=1.1)

    assert found.waiting
    assert found.take(now=1.2) == [decision(1)]
    assert not found.waiting


def test_what_was_told_has_to_come_twice_more_to_be_told_again() -> None:
    found = Candidates()
    for _ in range(2):
        found.meet(decision(1), now=1.0)
    found.take(now=1.0)

    found.meet(decision(1), now=2.0)

    assert not found.waiting


def test_a_flood_of_tuples_that_come_once_teaches_nothing_and_fills_nothing() -> None:
    found = Candidates()
    for number in range(10 * SEEN):
        found.meet(decision(number), now=1.0)

    assert not found.waiting
    assert len(found._seen) <= SEEN


def test_what_came_long_ago_is_forgotten() -> None:
    found = Candidates()
    found.meet(decision(1), now=1.0)

    found.meet(decision(1), now=1.1 + SECONDS)

    assert not found.waiting


def test_batches_are_bounded_and_have_a_pause_between_them() -> None:
    found = Candidates()
    for _ in range(2):
        for number in range(2 * BATCH):
            found.meet(decision(number), now=1.0)

    assert len(found.take(now=1.0)) == BATCH
    for _ in range(2):
        found.meet(decision(0), now=1.0)
    assert found.take(now=1.0 + EVERY / 2) == []
    assert found.take(now=1.0 + 1.5 * EVERY) == [decision(0)]


def test_another_policy_starts_anew() -> None:
    found = Candidates()
    found.meet(decision(1), now=1.0)
    found.forget()

    found.meet(decision(1), now=1.0)

    assert not found.waiting
