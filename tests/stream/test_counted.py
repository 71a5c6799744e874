from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.stream.counted import Counted, Counts, Labels

FAILSAFE = {"reason": "failsafe", "verdict": "allow", "direction": "ingress", "stage": "normal"}
LEARNED = {"reason": "policy", "verdict": "deny", "direction": "egress", "stage": "normal"}


def rows(failsafe: int, learned: int) -> list[dict[str, Any]]:
    return [{**FAILSAFE, "packets": failsafe}, {**LEARNED, "packets": learned}]


def test_the_first_reading_is_where_counting_begins() -> None:
    counts = Counts()

    assert counts.update(rows(5, 7)) == []
    assert counts.update(rows(5, 9)) == [Counted(Labels(*LEARNED.values()), 2)]
    assert counts.update(rows(6, 9)) == [Counted(Labels(*FAILSAFE.values()), 1)]
    assert counts.update(rows(6, 9)) == []


def test_what_was_not_there_before_counts_from_zero() -> None:
    counts = Counts()
    counts.update([])

    assert [counted.packets for counted in counts.update(rows(1, 2))] == [1, 2]


def test_counters_that_went_back_begin_anew() -> None:
    counts = Counts()
    counts.update(rows(5, 7))

    assert counts.update(rows(1, 0)) == []
    assert [counted.packets for counted in counts.update(rows(2, 1))] == [1, 1]


@pytest.mark.parametrize(
    "bad", [{}, {**FAILSAFE}, {**FAILSAFE, "packets": "1"}, {**FAILSAFE, "stage": 1, "packets": 1}, 7, "x"]
)
def test_anything_else_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="no count of the kernel's"):
        Counts().update([bad])


@pytest.mark.parametrize(
    ("side", "stage", "direction"),
    [
        ("ingress", "normal", "in"),
        ("egress", "normal", "out"),
        ("ingress", "pre-dnat", "in"),
        ("ingress", "forward", "forward"),
        ("sideways", "normal", ""),
    ],
)
def test_what_the_packets_have_in_common(side: str, stage: str, direction: str) -> None:
    event = Counted(Labels("invalid", "deny", side, stage), 4).event(17)

    assert (event.time_ns, event.verdict, event.reason, event.side) == (17, "deny", "invalid", side)
    assert (event.stage, event.direction) == (stage, direction)
    assert (event.packet, event.rule, event.length) == (None, None, -1)
