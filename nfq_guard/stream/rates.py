"""Counters that only grow as rates: what they grew by in the last while, and its history.

Owns what is remembered of readings. Time is a parameter. A counter that went back is
another guard's: it counts from there on.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

Key = TypeVar("Key", bound="Hashable")

_BARS = "▁▂▃▄▅▆▇█"


class Rates(Generic[Key]):
    """Readings of counters, a few of them."""

    def __init__(self, seconds: float, most: int = 8) -> None:
        """Look back so many seconds, over so many readings at most."""
        self._seconds = seconds
        self._readings: deque[tuple[float, Mapping[Key, int]]] = deque(maxlen=most)

    def update(self, counts: Mapping[Key, int], now: float) -> None:
        """Take a reading; `now` in seconds of a clock that does not go back."""
        self._readings.append((now, counts))
        # One that is old enough is what the others are compared with.
        while len(self._readings) > 2 and now - self._readings[1][0] >= self._seconds:  # noqa: PLR2004 - a pair
            self._readings.popleft()

    def forget(self) -> None:
        """Begin anew: what comes next is another guard's, or comes after a gap."""
        self._readings.clear()

    def rates(self) -> dict[Key, float]:
        """Return what each counter of the last reading grew by a second; nothing before there are two."""
        return self._since(0)

    def latest(self) -> dict[Key, float]:
        """Return the same since the reading before the last alone."""
        return self._since(-2)

    def _since(self, index: int) -> dict[Key, float]:
        if len(self._readings) < 2:  # noqa: PLR2004 - a pair
            return {}
        (began, first), (ended, last) = self._readings[index], self._readings[-1]
        elapsed = ended - began
        if elapsed <= 0:
            return {}
        return {key: max(0, count - first.get(key, 0)) / elapsed for key, count in last.items()}


def sparkline(values: Iterable[float], width: int) -> str:
    """Return the last values as a line of bars, the highest of them a whole one; anything but 0 is seen."""
    shown: Sequence[float] = list(values)[-width:] if width > 0 else ()
    highest = max(shown, default=0.0)
    if highest <= 0:
        return _BARS[0] * len(shown)
    steps = len(_BARS) - 1
    return "".join(_BARS[0 if value <= 0 else max(1, round(value / highest * steps))] for value in shown)
