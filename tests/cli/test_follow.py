from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from events import ALLOW_SSH, END_OF_TIER, SSH
from netns import until
from records import DENIED
from told import Telling

from nfq_guard.cli.follow import Follower, RefusedError
from nfq_guard.daemon.ring import WATCHED
from nfq_guard.stream.record import DENY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.stream.event import Event


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Telling]:
    made = Telling(str(tmp_path / "control.sock"), queues=(4600, 4601))
    made.legends = {3: (ALLOW_SSH, END_OF_TIER)}
    with made:
        yield made
    made.close()


class Watcher:
    """A follower with everything that it said."""

    def __init__(self, path: str, *verdicts: str) -> None:
        self.said: list[str] = []
        self.follower = Follower(path, verdicts or (DENY,), self.said.append)

    def keep_until_said(self, words: str) -> None:
        def said() -> bool:
            self.follower.keep()
            return any(words in line for line in self.said)

        until(said, words)

    def read(self) -> list[Event]:
        return self.follower.read()


@pytest.fixture
def watcher(telling: Telling) -> Iterator[Watcher]:
    made = Watcher(telling.path)
    made.follower.connect()
    yield made
    made.follower.close()


def test_verdicts_of_all_queues_come_in_the_order_of_their_time_with_their_rules(
    telling: Telling, watcher: Watcher
) -> None:
    telling.write(DENIED, DENIED._replace(time_ns=DENIED.time_ns + 2))
    telling.write(DENIED._replace(time_ns=DENIED.time_ns + 1, counter=0), queue=4601)

    first, second, third = watcher.read()
    assert [event.queue for event in (first, second, third)] == [4600, 4601, 4600]
    assert (first.rule, second.rule) == (END_OF_TIER, ALLOW_SSH)
    assert first.packet == SSH
    assert watcher.read() == []
    assert len([request for request in telling.asked if request["command"] == "legend"]) == 1


def test_what_was_there_before_is_not_shown(telling: Telling) -> None:
    telling.write(DENIED)
    watcher = Watcher(telling.path)
    watcher.follower.connect()

    assert watcher.read() == []
    watcher.follower.close()


def test_the_wish_names_the_verdicts_and_is_renewed_before_it_runs_out(
    telling: Telling, watcher: Watcher
) -> None:
    assert [(wish["verdicts"], wish["open"]) for wish in telling.wishes()] == [([DENY], True)]
    watcher.follower.keep()
    assert len(telling.wishes()) == 1

    def renewed() -> bool:
        watcher.follower.keep()
        return len(telling.wishes()) > 1

    began = time.monotonic()
    until(renewed, "the wish is renewed")
    assert time.monotonic() - began < telling.lease
    first, second = telling.wishes()
    assert (second["id"], second["open"]) == (first["id"], False)
    assert watcher.said == []


def test_losses_are_counted_over_all_rings_and_lives(telling: Telling, watcher: Watcher) -> None:
    telling.write(*[DENIED] * (WATCHED.slots + 5))
    telling.write(*[DENIED] * (WATCHED.slots + 2), queue=4601)
    while watcher.read():
        pass
    assert watcher.follower.lost == 7

    watcher.follower.connect()
    telling.write(*[DENIED] * (WATCHED.slots + 1))
    while watcher.read():
        pass
    assert watcher.follower.lost == 8


@pytest.mark.parametrize(
    ("verdicts", "more", "missing"),
    [
        (("deny",), 30, "30 verdicts that fell meanwhile were"),
        (("allow", "deny", "log"), 230, "230 verdicts that fell meanwhile were"),
        (("log",), None, "what fell meanwhile was"),
    ],
)
def test_who_was_held_up_past_the_lease_says_for_how_long_and_what_nobody_wrote_down(
    telling: Telling, verdicts: tuple[str, ...], more: int | None, missing: str
) -> None:
    telling.lease = 0.05
    telling.unwritten = {"allow": 1000, "deny": 500}
    watcher = Watcher(telling.path, *verdicts)
    watcher.follower.connect()
    time.sleep(0.2)
    telling.unwritten = {"allow": 1200, "deny": 530}
    watcher.follower.keep()
    watcher.follower.close()

    (said,) = watcher.said
    assert said.startswith("not watching for 0.")
    assert said.endswith(f" s: {missing} not written down")
    assert watcher.follower.gaps.verdicts == (more or 0)


@pytest.mark.parametrize("told", [None, {}, {"deny": "many"}], ids=str)
def test_a_guard_that_does_not_count_what_nobody_wrote_down_is_watched_all_the_same(
    telling: Telling, told: dict[str, int] | None
) -> None:
    telling.lease = 0.05
    telling.unwritten = told
    watcher = Watcher(telling.path)
    watcher.follower.connect()
    time.sleep(0.2)
    watcher.follower.keep()
    watcher.follower.close()

    assert [line.partition(": ")[2] for line in watcher.said] == ["what fell meanwhile was not written down"]


def test_what_was_not_written_down_is_said_though_nobody_was_held_up(telling: Telling) -> None:
    telling.unwritten = {"deny": 0}
    watcher = Watcher(telling.path)
    watcher.follower.connect()
    telling.unwritten = {"deny": 4}

    watcher.keep_until_said("4 verdicts that fell meanwhile were not written down")
    watcher.follower.close()


def test_a_generation_whose_number_comes_round_again_gets_its_own_rules(
    telling: Telling, watcher: Watcher
) -> None:
    telling.write(DENIED)
    assert [event.rule for event in watcher.read()] == [END_OF_TIER]
    telling.legends, telling.changes = {3: (END_OF_TIER, ALLOW_SSH)}, 6

    def renewed() -> bool:
        watcher.follower.keep()
        return len(telling.wishes()) > 1

    until(renewed, "the wish is renewed")
    telling.write(DENIED)
    assert [event.rule for event in watcher.read()] == [ALLOW_SSH]


def test_rules_that_are_not_known_yet_are_asked_for_again(telling: Telling, watcher: Watcher) -> None:
    early = DENIED._replace(generation=4)
    telling.write(early)
    assert [event.rule for event in watcher.read()] == [None]
    telling.legends[4] = (ALLOW_SSH, END_OF_TIER)

    def known() -> bool:
        telling.write(early)
        return watcher.read()[0].rule is not None

    until(known, "the rules are known")


def test_a_worker_that_makes_generations_up_has_the_guard_asked_a_few_times_only(
    telling: Telling, watcher: Watcher
) -> None:
    telling.write(DENIED)
    watcher.read()
    began = time.monotonic()
    for generation in range(100, 600):
        telling.write(DENIED._replace(generation=generation), DENIED)
    rules = [event.rule for event in watcher.read()]
    tenths = (time.monotonic() - began) / 0.1 + 1

    assert rules == [None, END_OF_TIER] * 500
    asked = [request["generation"] for request in telling.asked if request["command"] == "legend"]
    assert asked.count(3) == 1
    assert len(asked) <= 1 + 8 * tenths


def test_what_the_kernel_decides_is_told_as_a_difference(telling: Telling, watcher: Watcher) -> None:
    row = {"reason": "failsafe", "verdict": "allow", "direction": "ingress", "stage": "normal", "packets": 5}
    telling.kernel = [row]
    assert watcher.follower.counted() == []

    telling.kernel = [{**row, "packets": 9}]
    (counted,) = watcher.follower.counted()
    assert (counted.labels.reason, counted.packets) == ("failsafe", 4)

    telling.kernel = [{"nonsense": 1}]
    assert watcher.follower.counted() == []


def test_a_guard_that_goes_away_is_waited_for_and_its_workers_are_read_on(
    telling: Telling, watcher: Watcher
) -> None:
    telling.write(DENIED)
    assert len(watcher.read()) == 1
    telling.go()
    watcher.keep_until_said("the guard is gone")
    assert watcher.follower.counted() == []

    telling.write(DENIED)
    assert [event.rule for event in watcher.read()] == [END_OF_TIER]

    telling.come()
    watcher.keep_until_said("the guard is back")
    telling.write(DENIED)
    assert [event.rule for event in watcher.read()] == [END_OF_TIER]
    assert [line.split(" (")[0] for line in watcher.said] == [
        "the guard is gone",
        "the guard is back; verdicts of the time between are missing",
    ]
    assert watcher.follower.gaps.sum_up().startswith("an unknown number not written down in ")


def test_a_guard_that_refuses_later_on_counts_as_gone(telling: Telling) -> None:
    telling.lease = 0.05
    watcher = Watcher(telling.path)
    watcher.follower.connect()
    telling.refusal = "there are 64 watchers already"

    watcher.keep_until_said("there are 64 watchers already")
    telling.refusal = ""
    watcher.keep_until_said("the guard is back")
    watcher.follower.close()


@pytest.mark.parametrize("answer", ["there is no command 'watch'", "there are 64 watchers already"])
def test_a_guard_that_refuses_at_once_is_an_error(telling: Telling, answer: str) -> None:
    telling.refusal = answer
    watcher = Watcher(telling.path)

    with pytest.raises(RefusedError, match=answer):
        watcher.follower.connect()


def test_no_guard_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Watcher(str(tmp_path / "none")).follower.connect()


def open_descriptors() -> set[tuple[str, str]]:
    """Return what is open, by number and target: others of this process may come and go."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(entry.readlink())
            # That of the folder that is being read.
            if not target.endswith("/fd"):
                found.add((entry.name, target))
    return found


def test_no_descriptor_is_left_open(telling: Telling) -> None:
    before = open_descriptors()
    watcher = Watcher(telling.path)
    watcher.follower.connect()
    watcher.follower.connect()
    watcher.follower.close()

    until(lambda: open_descriptors() <= before, "all are closed")


def test_it_tells_when_the_guard_has_taken_in_other_rules_or_came_back(
    telling: Telling, watcher: Watcher
) -> None:
    first = watcher.follower.moves
    telling.changes += 1

    def moved() -> bool:
        watcher.follower.keep()
        return watcher.follower.moves > first

    until(moved, "other rules")
    second = watcher.follower.moves
    telling.go()
    watcher.keep_until_said("the guard is gone")
    telling.come()
    watcher.keep_until_said("the guard is back")

    assert watcher.follower.moves > second


def test_what_is_too_much_is_left_aside_and_counted(telling: Telling, watcher: Watcher) -> None:
    telling.write(*[DENIED] * 50)
    telling.write(*[DENIED] * 50, queue=4601)

    assert watcher.follower.skip(20) == 80
    assert watcher.follower.skip(20) == 0
    assert len(watcher.follower.read(8)) == 8
    assert len(watcher.read()) == 12
    assert watcher.follower.lost == 0


def test_other_verdicts_may_be_wanted_later(telling: Telling, watcher: Watcher) -> None:
    watcher.follower.want([DENY, "allow"])

    assert telling.wishes()[-1]["verdicts"] == [DENY, "allow"]
    assert len({wish["id"] for wish in telling.wishes()}) == 1


def test_it_knows_whether_the_guard_answered(telling: Telling, watcher: Watcher) -> None:
    answered = [watcher.follower.connected]
    telling.go()
    watcher.keep_until_said("the guard is gone")
    answered.append(watcher.follower.connected)
    watcher.follower.want(["allow"])
    telling.come()
    watcher.keep_until_said("the guard is back")
    answered.append(watcher.follower.connected)

    assert answered == [True, False, True]
    assert telling.wishes()[-1]["verdicts"] == ["allow"]
