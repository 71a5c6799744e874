from __future__ import annotations

import pytest

from nfq_guard.cli.gaps import Gaps


@pytest.mark.parametrize(
    ("seconds", "verdicts", "said"),
    [
        (58.04, 1200, "not watching for 58 s: 1200 verdicts that fell meanwhile were not written down"),
        (0.25, 1, "not watching for 0.2 s: 1 verdict that fell meanwhile was not written down"),
        (3.0, None, "not watching for 3.0 s: what fell meanwhile was not written down"),
        (3.0, 0, ""),
    ],
)
def test_a_gap_is_told_with_what_fell_in_it(seconds: float, verdicts: int | None, said: str) -> None:
    assert Gaps().add(seconds, verdicts) == said


@pytest.mark.parametrize(
    ("gaps", "number", "said"),
    [
        ([], "", ""),
        ([(30.0, 0)], "", ""),
        ([(30.0, 0), (20.0, 5), (8.0, 7000)], "7,005", "7005 not written down in 28 s without watching"),
        ([(2.0, None)], "some", "an unknown number not written down in 2.0 s without watching"),
        ([(2.0, None), (20.0, 5)], "5+", "5 or more not written down in 22 s without watching"),
    ],
)
def test_all_gaps_are_summed_up(gaps: list[tuple[float, int | None]], number: str, said: str) -> None:
    found = Gaps()
    for gap in gaps:
        found.add(*gap)

    assert (found.number, found.sum_up()) == (number, said)
