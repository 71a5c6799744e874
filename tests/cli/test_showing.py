from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from records import DENIED

from nfq_guard.cli.explaining import Explaining, Source
from nfq_guard.cli.follow import Follower
from nfq_guard.cli.showing import EXPLAINED, SECOND, Showing
from nfq_guard.daemon.settings import Settings
from nfq_guard.stream.filter import parse_filter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from told import Telling

    from nfq_guard.stream.event import Event

EXPLAINS = Explaining(Source((), None, Settings()))
SLOW = 0.05
LEARNED = {"reason": "policy", "verdict": "allow", "direction": "ingress", "stage": "normal", "packets": 5}
UNTOLD = (
    "that the kernel decided by itself, which this filter cannot tell apart; "
    "--learned-verdicts false at the guard shows each that it has learned"
)


class Shelf:
    """Takes what is shown, as slowly as an explanation is made."""

    def __init__(self, seconds: float = 0.0, *, shows_counts: bool = True) -> None:
        self.seconds = seconds
        self.shows_counts = shows_counts
        self.taken = 0
        self.written: list[int] = []
        self.counts: list[int] = []

    def event(self, event: Event) -> None:  # noqa: ARG002 - an Output
        time.sleep(self.seconds)
        self.taken += 1

    def counted(self, event: Event, packets: int) -> bool:  # noqa: ARG002 - an Output
        if self.shows_counts:
            self.counts.append(packets)
        return self.shows_counts

    def flush(self) -> None:
        self.written.append(self.taken)


class Stand:
    """The loop over a guard that only tells."""

    def __init__(self, telling: Telling) -> None:
        self.telling = telling
        self.said: list[str] = []
        self.follower = Follower(telling.path, ("allow", "deny"), self.said.append)
        self.follower.connect()

    def showing(self, shelf: Shelf, wanted: str = "", *, explains: bool = False) -> Showing:
        explaining = EXPLAINS if explains else None
        return Showing(
            self.follower, parse_filter(wanted), [shelf], None, time.sleep, self.said.append, explaining
        )


@pytest.fixture
def stand(telling: Telling) -> Iterator[Stand]:
    made = Stand(telling)
    yield made
    made.follower.close()


def test_what_is_explained_is_written_at_once(stand: Stand) -> None:
    shelf = Shelf()
    stand.telling.write(*[DENIED] * 20)
    stand.showing(shelf, explains=True).run(time.monotonic() + 0.2)

    assert list(dict.fromkeys(shelf.written)) == list(range(21))


def test_what_needs_no_explanation_is_written_together(stand: Stand) -> None:
    shelf = Shelf()
    stand.telling.write(*[DENIED] * 20)
    stand.showing(shelf).run(time.monotonic() + 0.2)

    assert set(shelf.written) == {0, 20}


@pytest.mark.parametrize("explains", [True, False])
def test_the_end_of_its_time_does_not_wait_for_what_was_read(stand: Stand, *, explains: bool) -> None:
    shelf = Shelf(SLOW)
    stand.telling.write(*[DENIED] * 400)
    began = time.monotonic()
    showing = stand.showing(shelf, explains=explains)
    showing.run(began + 10 * SLOW)

    assert time.monotonic() - began < 40 * SLOW
    assert 1 <= shelf.taken == showing.shown == showing.read < EXPLAINED
    assert shelf.written[-1] == shelf.taken


def test_being_stopped_does_not_wait_for_what_was_read(stand: Stand) -> None:
    class Stopping(Shelf):
        def event(self, event: Event) -> None:
            super().event(event)
            if self.taken == 3:
                showing.stop()

    shelf = Stopping()
    stand.telling.write(*[DENIED] * 400)
    showing = stand.showing(shelf, explains=True)
    showing.run(None)

    assert (shelf.taken, shelf.written[-1]) == (3, 3)
    with pytest.raises(KeyboardInterrupt):
        showing.stop()


def test_the_wish_is_renewed_while_explanations_are_made(stand: Stand) -> None:
    stand.telling.unwritten = {"allow": 0, "deny": 0}
    stand.telling.lease = 0.5
    stand.follower.connect()
    stand.telling.write(*[DENIED] * EXPLAINED)
    stand.showing(Shelf(SLOW), explains=True).run(time.monotonic() + 1.5)

    assert len(stand.telling.wishes()) > 5
    assert not any("not watching" in text for text in stand.said)


def left_out(
    stand: Stand, wanted: str, kernel: list[dict[str, object]], *, shows_counts: bool = True
) -> tuple[Shelf, Showing]:
    """Return what was shown, and the loop, when the kernel has counted twice seven packets more."""
    shelf = Shelf(shows_counts=shows_counts)
    showing = stand.showing(shelf, wanted)
    for more in (0, 7, 14):
        stand.telling.kernel = [{**row, "packets": 5 + more} for row in kernel]
        showing.run(time.monotonic() + SECOND + 0.1)
        asked = sum(request["command"] == "kernel-verdicts" for request in stand.telling.asked)
        assert asked > more // 7
    return shelf, showing


def test_what_the_kernel_decides_and_the_filter_cannot_tell_is_said_once_and_in_all(stand: Stand) -> None:
    shelf, showing = left_out(stand, "dport 22", [LEARNED])
    showing.sum_up()

    assert shelf.counts == []
    assert showing.left_out == 14
    assert stand.said == [
        f"not shown: packets {UNTOLD}",
        f"0 shown of 0 read, 0 lost, 14 more {UNTOLD}",
    ]


@pytest.mark.parametrize(("wanted", "shown"), [("deny and dport 22", []), ("allow", [7, 7])])
def test_what_cannot_be_meant_or_is_shown_is_not_said(stand: Stand, wanted: str, shown: list[int]) -> None:
    shelf, showing = left_out(stand, wanted, [LEARNED])

    assert (shelf.counts, showing.left_out, stand.said) == (shown, 0, [])


def test_what_is_meant_and_known_by_its_number_alone_is_said_where_no_number_is_shown(stand: Stand) -> None:
    _, showing = left_out(stand, "allow", [LEARNED], shows_counts=False)
    showing.sum_up()

    assert stand.said == [
        (
            "0 shown of 0 read, 0 lost, 14 more that the kernel decided by itself, without their packets; "
            "--learned-verdicts false at the guard shows each that it has learned"
        )
    ]


def test_losses_are_told_as_they_happen(stand: Stand) -> None:
    stand.telling.write(*[DENIED] * 9000)
    shelf = Shelf()
    stand.showing(shelf).run(time.monotonic() + 0.5)

    lost = stand.follower.lost
    assert shelf.taken
    assert stand.said == [f"too slow: {lost} verdicts lost, {lost} in all"]
