"""What comes most often among more than can be remembered: heavy hitters, and those of the last while.

Owns the bound on what is kept, and how wrong a count may be for it. Time is a parameter.
The algorithm is Space-Saving (Metwally, Agrawal, El Abbadi 2005): what is met anew takes
the place, and the count, of what was met least.
"""

from __future__ import annotations

from collections import deque
from heapq import nlargest
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

Key = TypeVar("Key", bound="Hashable")


class Hitter(NamedTuple, Generic[Key]):
    """A key with how often it was met: `times` at most, `times - error` at least."""

    key: Key
    times: int
    error: int


class SpaceSaving(Generic[Key]):
    """Counts of at most so many keys."""

    def __init__(self, capacity: int) -> None:
        """Keep so many keys; what is met more often than in one of `capacity` times is always among them."""
        self._capacity = capacity
        self._counts: dict[Key, int] = {}
        self._errors: dict[Key, int] = {}
        """Of those that took another's place."""
        self.total = 0
        """How often anything was met."""

    def __len__(self) -> int:
        """Return how many keys are kept."""
        return len(self._counts)

    def add(self, key: Key) -> None:
        """Meet a key."""
        self.total += 1
        counts = self._counts
        if key in counts:
            counts[key] += 1
        elif len(counts) < self._capacity:
            counts[key] = 1
        else:
            least = min(counts, key=counts.__getitem__)
            taken = counts.pop(least)
            self._errors.pop(least, None)
            counts[key], self._errors[key] = taken + 1, taken

    def bounds(self) -> dict[Key, tuple[int, int]]:
        """Return each key's count and error."""
        return {key: (count, self._errors.get(key, 0)) for key, count in self._counts.items()}

    @property
    def unkept(self) -> int:
        """Return how often a key that is not kept may have been met at most."""
        return min(self._counts.values()) if len(self._counts) >= self._capacity else 0


class Window(Generic[Key]):
    """Heavy hitters of the last seconds: forgotten a slice of time at once."""

    def __init__(self, capacity: int, seconds: float, slices: int) -> None:
        """Look back so many seconds, in so many slices, each of at most `capacity` keys."""
        self._capacity = capacity
        self._width = seconds / slices
        self._most = slices
        self._slices: deque[tuple[int, SpaceSaving[Key]]] = deque()
        """With the number of their time, the latest last."""

    def add(self, key: Key, now: float) -> None:
        """Meet a key; `now` in seconds of a clock that does not go back."""
        number = int(now / self._width)
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append((number, SpaceSaving(self._capacity)))
            self._forget(number)
        self._slices[-1][1].add(key)

    def _forget(self, number: int) -> None:
        while self._slices and self._slices[0][0] <= number - self._most:
            self._slices.popleft()

    def total(self, now: float) -> int:
        """Return how often anything was met in that time: exact."""
        self._forget(int(now / self._width))
        return sum(one.total for _, one in self._slices)

    def top(self, most: int, now: float) -> list[Hitter[Key]]:
        """Return what was met most often in that time, with bounds of its true count."""
        self._forget(int(now / self._width))
        # A key may have been met in a slice that does not keep it.
        unkept = sum(one.unkept for _, one in self._slices)
        found: dict[Key, tuple[int, int]] = {}
        for _, one in self._slices:
            spared = one.unkept
            for key, (count, error) in one.bounds().items():
                known, doubt = found.get(key, (unkept, unkept))
                found[key] = known - spared + count, doubt - spared + error
        hitters = (Hitter(key, count, error) for key, (count, error) in found.items())
        # By what is sure: a count that is all doubt is nobody's.
        return nlargest(most, hitters, key=lambda one: (one.times - one.error, one.times))
