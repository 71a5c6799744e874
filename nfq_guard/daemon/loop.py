"""The controller's loop: descriptors, timers and signals, one after the other.

Owns waiting. What a turn does is the callbacks' business; nothing here knows the guard.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class Readable(Protocol):
    """Something with a descriptor."""

    def fileno(self) -> int:
        """Return it."""


class Loop:
    """A selector whose entries carry what to call, with named timers and signals."""

    def __init__(self) -> None:
        """Start empty."""
        self.selector = selectors.DefaultSelector()
        self.on_fault: Callable[[Exception], None] | None = None
        """Told of what a callback raises, and the loop goes on; None: `turn` raises it."""
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}
        self._signals: dict[int, Callable[[], None]] = {}
        self._previous: dict[int, object] = {}
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        self.watch(self._wake, self._signalled)

    def watch(self, source: int | Readable, call: Callable[[], None]) -> None:
        """Call this when the descriptor turns readable."""
        self.selector.register(source, selectors.EVENT_READ, call)

    def at(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Call this once, so many seconds from now; a timer of the same name is replaced."""
        self._timers[name] = (time.monotonic() + seconds, call)

    def within(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Like `at`, but a timer of the same name that is due earlier stays."""
        if name not in self._timers or self._timers[name][0] > time.monotonic() + seconds:
            self.at(name, seconds, call)

    def pending(self, name: str) -> bool:
        """Return whether a timer waits."""
        return name in self._timers

    def on_signal(self, number: signal.Signals, call: Callable[[], None]) -> None:
        """Call this, within the loop, when the signal has come."""
        self._signals[number] = call
        self._previous[number] = signal.signal(number, _nothing)

    def turn(self, longest: float) -> None:
        """Wait for the first thing to do, at most so many seconds, and do all that is due."""
        due = min((at for at, _ in self._timers.values()), default=float("inf"))
        wait = max(0.0, min(longest, due - time.monotonic()))
        for key, _ in self.selector.select(wait):
            # An earlier callback of this turn may have hung up on this one.
            current = self.selector.get_map().get(key.fd)
            if current is not None and current.data is key.data:
                self._call(key.data)
        now = time.monotonic()
        for name, (at, call) in list(self._timers.items()):
            if at <= now and self._timers.get(name) == (at, call):
                del self._timers[name]
                self._call(call)

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            if self.on_fault is None:
                raise
            self.on_fault(error)

    def _signalled(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in os.read(self._wake, 4096):
                if number in self._signals:
                    self._signals[number]()

    def close(self) -> None:
        """Give the signals back and close what is ours."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        self.selector.close()
        os.close(self._wake)
        os.close(self._woken)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Let the wake-up descriptor do the work."""
