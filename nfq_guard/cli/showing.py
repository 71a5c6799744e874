"""The loop of `nfq-guard watch`: what is read, shown, and said about it on standard error.

Owns when it ends, and what it has left out. Must never be deaf while it works off what
it has read: a signal, the end of its time and its wish at the guard come first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nfq_guard.stream.filter import may_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.cli.explaining import Explaining
    from nfq_guard.cli.follow import Follower
    from nfq_guard.cli.outputs import Output
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.filter import Filter

PAUSE = 0.05
"""Seconds between two looks at rings that had nothing new."""
SECOND = 1.0
"""Between two readings of what the kernel counts, and two lines about losses."""
EXPLAINED = 64
"""Verdicts read at once where each is explained: what waits to be explained grows old, in the rings it is replaced."""
_NOT_ASKED = "that the kernel decided by itself, which this filter cannot tell apart"
_NUMBERED = "that the kernel decided by itself, without their packets"
_REMEDY = "--learned-verdicts false at the guard shows each that it has learned"


@dataclass
class Showing:
    """The loop, and what it has done so far."""

    follower: Follower
    wanted: Filter
    outputs: list[Output]
    count: int | None
    pause: Callable[[float], None]
    say: Callable[[str], None]
    explaining: Explaining | None = None
    shown: int = 0
    read: int = 0
    left_out: int = 0
    """Packets that the kernel decided by itself, and that may be meant."""
    not_written: int = 0
    """Packets that the kernel decided by itself, and that are meant: only their number is known, and nothing shows it."""
    stopped: bool = False
    _told_lost: int = field(default=0, init=False)
    _moves: int = field(default=0, init=False)
    """Of the guard's rules, when files were last read for explanations."""
    _deadline: float | None = field(default=None, init=False)
    _next_second: float = field(default=0.0, init=False)

    def stop(self) -> None:
        """End after this verdict; asked twice, at once: a write may wait for somebody who does not read."""
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True

    def run(self, deadline: float | None) -> None:
        """Show verdicts until it is stopped, enough are shown or time is over."""
        self._deadline = deadline
        self._moves = self.follower.moves
        self.follower.keep()  # reading rule files may have taken a while
        self._flush()  # what a file begins with
        while not self._is_over():
            came = self._turn()
            self._between()
            if not came and not self.stopped:
                self.pause(PAUSE)

    def _is_over(self) -> bool:
        if self.stopped or (self.count is not None and self.shown >= self.count):
            return True
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _turn(self) -> bool:
        events = self.follower.read(None if self.explaining is None else EXPLAINED)
        self._read_anew()
        for event in events:
            self.read += 1
            if not self.wanted.matches(event):
                continue
            self._show(event)
            if self._is_over():
                break
        return bool(events)

    def _show(self, event: Event) -> None:
        self.shown += 1
        for output in self.outputs:
            output.event(event)
        if self.explaining is not None:
            # Each takes so long that nothing else may wait for the next.
            self._between()

    def _between(self) -> None:
        now = time.monotonic()
        if now >= self._next_second:
            self._next_second = now + SECOND
            self._every_second()
        self._flush()
        self.follower.keep()

    def _read_anew(self) -> None:
        """Explain by the files as they are, once the guard has taken in others."""
        moves = self.follower.moves
        if self.explaining is not None and moves != self._moves:
            self._moves = moves
            self.explaining.reload()

    def _every_second(self) -> None:
        self._tell_lost()
        now = time.time_ns()
        for counted in self.follower.counted():
            event = counted.event(now)
            if self.wanted.matches(event):
                shown = [output.counted(event, counted.packets) for output in self.outputs]
                if not any(shown):
                    self.not_written += counted.packets
            elif may_mean(self.wanted.node, event):
                self._leave_out(counted.packets)

    def _leave_out(self, packets: int) -> None:
        if not self.left_out:
            self.say(f"not shown: packets {_NOT_ASKED}; {_REMEDY}")
        self.left_out += packets

    def _tell_lost(self) -> None:
        lost = self.follower.lost
        if lost > self._told_lost:
            self.say(f"too slow: {lost - self._told_lost} verdicts lost, {lost} in all")
            self._told_lost = lost

    def _flush(self) -> None:
        for output in self.outputs:
            output.flush()

    def sum_up(self) -> None:
        """Say how much was shown, and how much was not."""
        more = f"{self.left_out} more {_NOT_ASKED}; {_REMEDY}" if self.left_out else ""
        parts = (
            f"{self.shown} shown of {self.read} read",
            f"{self.follower.lost} lost",
            self.follower.gaps.sum_up(),
            more,
            f"{self.not_written} more {_NUMBERED}; {_REMEDY}" if self.not_written else "",
        )
        self.say(", ".join(filter(None, parts)))
