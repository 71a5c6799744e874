"""What the screen shows, got from the guard by a thread of its own.

Owns the Follower, the questions about the status, and how much of either is done: a
bounded number of verdicts a second is read, the rest is left aside and counted; the
guard is asked for its status the less often the longer it takes to tell it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.adapters.control import ask
from nfq_guard.cli.follow import Follower
from nfq_guard.cli.screen.board import Board, Figures, Sort
from nfq_guard.model.printable import printable
from nfq_guard.stream.filter import may_mean, wishes
from nfq_guard.stream.record import DENY

if TYPE_CHECKING:
    from nfq_guard.stream.filter import Filter

PAUSE = 0.1
"""Seconds between two looks at the rings."""
MOST = 200
"""Verdicts of a look: two thousand a second, a tenth of a processor."""
_STATUS_SECONDS = 1.0
_STATUS_PART = 20
"""The guard's status is asked for after this many times what it took to tell it: a large one is work for the guard."""
_PATIENCE = 5.0


class View(NamedTuple):
    """A board, and what else there is to say at that moment."""

    board: Board
    wanted: str
    """The filter, in its canonical form."""
    gone: float | None
    """Seconds since the guard was there; None: it is."""
    said: str
    """What was last said of the connection."""
    skipped: int
    """Verdicts that were left aside: too many to read."""
    lost: int
    """Verdicts that were overwritten just when they were to be read."""
    unwritten: str
    """How many nobody wrote down, while the guard had forgotten us (cli/gaps.py); empty for none."""
    reading_rate: float
    """Verdicts read a second, of late."""


class Feed:
    """Runs from `start` to `close`; asked for a View at any time, from any thread."""

    def __init__(self, path: str, wanted: Filter) -> None:
        """Follow the guard of this socket. Nobody is asked before `connect`."""
        self._path = path
        self._wanted = wanted
        self._said = ""
        self._follower = Follower(path, wishes(wanted.node), self._say)
        self._figures = Figures()
        self._lock = threading.Lock()
        """Held while figures are changed or looked at; never while the guard is asked."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._skipped = 0
        self._gone_at: float | None = None
        self._next_status = 0.0
        self._asks_anew = False
        """Whether the guard is to be told that others are wanted."""
        self._read = 0
        self._pace = (0.0, 0, 0.0)
        """When verdicts read were last looked at, how many those were, and how many a second."""
        self.fault: Exception | None = None
        """What ended the thread: a bug of ours."""

    def connect(self) -> None:
        """Find the guard; OSError if nobody answers, RefusedError if it will not."""
        self._follower.connect()

    def start(self) -> None:
        """Begin, once connected."""
        self._thread.start()

    def close(self) -> None:
        """End, and hang up."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        self._follower.close()

    @property
    def moves(self) -> int:
        """Return how often the guard has taken in other rules (Follower.moves)."""
        return self._follower.moves

    @property
    def sources(self) -> object:
        """Return what the guard said its policy is made of (Follower.sources)."""
        return self._follower.sources

    def want(self, wanted: Filter) -> None:
        """Mean others from now on; what was counted of those before is forgotten."""
        with self._lock:
            self._wanted = wanted
            self._figures.start_over()
            self._asks_anew = True

    def view(self, sort: Sort, *, by_policy: bool) -> View:
        """Return what is to be shown now."""
        now = time.monotonic()
        with self._lock:
            return View(
                self._figures.board(now, sort, by_policy=by_policy),
                self._wanted.canonical,
                None if self._gone_at is None else now - self._gone_at,
                self._said,
                self._skipped,
                self._follower.lost,
                self._follower.gaps.number,
                self._pace[2],
            )

    def _say(self, text: str) -> None:
        self._said = printable(text)

    def _run(self) -> None:
        try:
            while not self._stop.wait(PAUSE):
                self._turn(time.monotonic())
        except Exception as error:  # noqa: BLE001 - the thread's boundary: a screen that stands still has to end
            self.fault = error

    def _turn(self, now: float) -> None:
        if self._asks_anew:
            self._asks_anew = False
            self._follower.want(wishes(self._wanted.node))
        self._follower.keep()
        self._note_whether_gone(now)
        skipped = self._follower.skip(MOST)
        events = self._follower.read(MOST)
        with self._lock:
            meant = [event for event in events if self._wanted.matches(event)]
            self._figures.events(meant, len(events) - len(meant), now)
            self._skipped += skipped
            self._read += len(events)
            self._keep_pace(now)
        if now >= self._next_status and self._gone_at is None:
            self._count_kernel(now)
            self._status()

    def _keep_pace(self, now: float) -> None:
        began, read, _ = self._pace
        if now - began >= 1.0:
            self._pace = (now, self._read, (self._read - read) / (now - began) if began else 0.0)

    def _note_whether_gone(self, now: float) -> None:
        with self._lock:
            if self._follower.connected:
                self._gone_at = None
            elif self._gone_at is None:
                self._gone_at = now
                self._figures.forget_rates()

    def _count_kernel(self, now: float) -> None:
        counts = self._follower.counted()
        with self._lock:
            node = self._wanted.node
            denied = (each for each in counts if each.labels.verdict == DENY)
            self._figures.by_kernel(
                sum(each.packets for each in denied if may_mean(node, each.event(0))), now
            )

    def _status(self) -> None:
        began = time.monotonic()
        try:
            answer = ask(self._path, {"command": "status"}, _PATIENCE)
            ended = time.monotonic()
            with self._lock:
                self._figures.status(answer, ended)
        except (OSError, ValueError) as error:
            self._say(f"no status: {error}")
        ended = time.monotonic()
        self._next_status = ended + max(_STATUS_SECONDS - (ended - began), _STATUS_PART * (ended - began))
