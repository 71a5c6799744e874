from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from netns import until
from records import DENIED
from statuses import status

from nfq_guard.cli.follow import RefusedError
from nfq_guard.cli.screen.board import Sort
from nfq_guard.cli.screen.feed import Feed, View
from nfq_guard.daemon.ring import WATCHED
from nfq_guard.model.decision import Reason
from nfq_guard.stream.filter import parse_filter
from nfq_guard.stream.record import ALLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from told import Telling

ALLOWED = DENIED._replace(counter=0, verdict=ALLOW, reason=Reason.POLICY)


@pytest.fixture
def feed(telling: Telling) -> Iterator[Feed]:
    made = Feed(telling.path, parse_filter("deny"))
    made.connect()
    made.start()
    yield made
    made.close()


def view(feed: Feed) -> View:
    return feed.view(Sort.RATE, by_policy=False)


def seen(feed: Feed, probe: Callable[[View], Any], what: str) -> View:
    until(lambda: probe(view(feed)), what)
    return view(feed)


def test_status_and_verdicts_come_by_themselves(telling: Telling, feed: Feed) -> None:
    seen(feed, lambda shown: shown.board.health, "the guard is known")
    telling.write(DENIED, DENIED)
    telling.status = status(allow=30)

    shown = seen(feed, lambda shown: shown.board.read == 2 and shown.board.verdicts, "verdicts and rates")

    assert shown.gone is None
    assert shown.board.verdicts["allow"] > 0
    assert shown.board.denied.sources[0].times == 2
    assert (shown.wanted, shown.skipped, shown.lost) == ("verdict == deny", 0, 0)
    assert next(wish["verdicts"] for wish in telling.wishes()) == ["deny"]


def test_what_the_kernel_denies_is_counted_as_far_as_it_may_be_meant(telling: Telling, feed: Feed) -> None:
    deny = {"reason": "tier-default", "verdict": "deny", "direction": "ingress", "stage": "normal"}
    rows = [deny, {**deny, "verdict": "allow", "reason": "policy"}]
    telling.kernel = [{**row, "packets": 5} for row in rows]
    until(lambda: any(request["command"] == "kernel-verdicts" for request in telling.asked), "it is counted")
    time.sleep(0.2)
    telling.kernel = [{**row, "packets": 25} for row in rows]

    shown = seen(feed, lambda shown: shown.board.denied_by_kernel, "the kernel's are known")
    assert (shown.board.denied_by_kernel, shown.board.denied.packets) == (20, 0)
    feed.want(parse_filter("out and deny"))
    telling.kernel = [{**row, "packets": 45} for row in rows]
    time.sleep(1.5)
    assert view(feed).board.denied_by_kernel == 0


def test_another_filter_starts_over_and_is_told_to_the_guard(telling: Telling, feed: Feed) -> None:
    telling.write(DENIED)
    seen(feed, lambda shown: shown.board.read == 1, "a denial")
    feed.want(parse_filter("allow or deny"))
    assert view(feed).board.read == 0
    until(lambda: telling.wishes()[-1]["verdicts"] == ["allow", "deny"], "the guard is told")
    telling.write(ALLOWED)

    shown = seen(feed, lambda shown: shown.board.read == 1, "an allowed one")
    assert shown.board.latest[0].event.verdict == "allow"


def test_what_the_filter_does_not_mean_is_counted_apart(telling: Telling, feed: Feed) -> None:
    telling.write(DENIED, ALLOWED)

    shown = seen(feed, lambda shown: shown.board.passed_over, "both were read")
    assert (shown.board.read, shown.board.passed_over) == (1, 1)


def test_what_is_too_much_is_left_aside_and_counted(telling: Telling, feed: Feed) -> None:
    telling.write(*[DENIED] * 3000)

    shown = seen(feed, lambda shown: shown.skipped, "some are left aside")
    seen(feed, lambda shown: shown.board.read + shown.skipped + shown.lost == 3000, "all are accounted for")
    assert shown.board.latest


def test_what_a_ring_does_not_hold_is_accounted_for_too(telling: Telling) -> None:
    feed = Feed(telling.path, parse_filter("deny"))
    feed.connect()
    telling.write(*[DENIED] * (WATCHED.slots + 100))
    feed.start()

    shown = seen(feed, lambda shown: shown.board.read, "it reads")
    feed.close()
    assert shown.board.read + shown.skipped + shown.lost == WATCHED.slots + 100


def test_a_guard_that_has_gone_is_said_to_be_gone_until_it_is_back(telling: Telling, feed: Feed) -> None:
    seen(feed, lambda shown: shown.board.health, "the guard is known")
    moves = feed.moves
    telling.go()
    gone = seen(feed, lambda shown: shown.gone is not None, "it is gone")
    assert gone.said.startswith("the guard is gone (")
    assert gone.board.verdicts == {}
    telling.come()

    back = seen(feed, lambda shown: shown.gone is None, "it is back")
    assert feed.moves > moves
    assert back.board.health is not None


def test_a_status_of_another_form_is_said(telling: Telling, feed: Feed) -> None:
    seen(feed, lambda shown: shown.board.health, "the guard is known")
    telling.status = {"node": "x"}

    seen(
        feed, lambda shown: shown.said.startswith("no status: the guard is of another version"), "it is said"
    )


def test_a_large_status_is_asked_for_less_often(telling: Telling, feed: Feed) -> None:
    handle = telling._handle

    def slowly(request: dict[str, Any]) -> Any:
        if request["command"] == "status":
            time.sleep(0.2)
        return handle(request)

    telling._server._handle = slowly
    time.sleep(3.0)

    assert len([request for request in telling.asked if request["command"] == "status"]) <= 2


def test_nobody_there_and_a_refusal_are_raised(tmp_path: Path, telling: Telling) -> None:
    with pytest.raises(OSError, match="No such file"):
        Feed(str(tmp_path / "none"), parse_filter("")).connect()
    telling.refusal = "there are 64 watchers already"
    with pytest.raises(RefusedError, match="64 watchers"):
        Feed(telling.path, parse_filter("")).connect()
