from __future__ import annotations

import pytest
from netns import Namespace

from nfq_guard.adapters.command import KernelError
from nfq_guard.daemon.counters import VerdictLabels
from nfq_guard.daemon.readings import KernelReader, Monotone

FAILSAFE = VerdictLabels("failsafe", "allow", "ingress", "normal")


def test_a_source_that_starts_again_goes_on_from_where_it_was() -> None:
    counter: Monotone[str] = Monotone()

    seen = []
    for reading in ({"a": 5}, {"a": 7}, {"a": 1}, {}, {"a": 2, "b": 1}):
        counter.update(reading)
        seen.append(counter.value("a"))

    assert seen == [5, 7, 8, 8, 9]
    assert counter.items() == {"a": 9, "b": 1}


@pytest.mark.netns
def test_while_there_is_no_table_its_counts_still_stand() -> None:
    answers: list[dict[VerdictLabels, int] | None] = [{FAILSAFE: 3}, None, {FAILSAFE: 4}]

    def verdicts() -> dict[VerdictLabels, int]:
        answer = answers.pop(0)
        if answer is None:
            raise KernelError("no table")
        return answer

    with Namespace() as space, space.entered():
        reader = KernelReader((4600,), verdicts)
        seen = [reader().verdicts[FAILSAFE] for _ in range(3)]
        depth = KernelReader((4600,), dict)().queue_depth

    assert seen == [3, 3, 4]
    assert depth == 0
