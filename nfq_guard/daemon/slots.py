"""Which shared counter word belongs to which rule, across reloads.

Owns the map from CountedKey to slot. A rule keeps its slot, and with it its count, as
long as it is in the policy, and after it has gone until space is short. Must never
hand a slot of a rule that a worker may still be counting to another rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nfq_guard.engine.ruleset import CountedKey

UNCOUNTED = -1


class SlotTable:
    """A bounded map of counter keys to slots."""

    def __init__(
        self, capacity: int, read: Callable[[int], int], refresh: Callable[[], object] | None = None
    ) -> None:
        """Hand out slots 0..capacity-1; `read` returns a slot's raw count.

        `refresh` is called ahead of slots changing hands, where `read` may be behind.
        """
        self._capacity = capacity
        self._read = read
        self._refresh = refresh
        self._slots: dict[CountedKey, int] = {}
        """In order of last use: those that vanished first come first."""
        self._base: dict[int, int] = {}
        """Raw count of a slot at the time it was handed to its present key."""
        self._active: frozenset[CountedKey] = frozenset()
        self.uncounted = 0
        """Keys of the last assignment that got no slot."""
        self._assigned: tuple[tuple[CountedKey, ...], tuple[int, ...]] = ((), ())
        """The last assignment."""

    def assign(self, keys: Sequence[CountedKey]) -> tuple[int, ...]:
        """Return a slot for each key, UNCOUNTED where the table is full.

        Neither slots of these keys nor of the assignment before are recycled: the
        workers count by that one until they have swapped.
        """
        asked = tuple(keys)
        if not self.uncounted and asked == self._assigned[0]:
            return self._assigned[1]
        wanted = frozenset(keys)
        vanished = {key: slot for key, slot in self._slots.items() if key not in wanted}
        spare = self._spare(vanished)
        living: dict[CountedKey, int] = {}
        for key in dict.fromkeys(keys):
            slot = self._slots.get(key, UNCOUNTED)
            living[key] = slot if slot != UNCOUNTED else next(spare, UNCOUNTED)
        # In one go: a scrape in another thread sees the map before or the map after.
        self._slots = vanished | {key: slot for key, slot in living.items() if slot != UNCOUNTED}
        self._active = wanted
        self.uncounted = sum(slot == UNCOUNTED for slot in living.values())
        self._assigned = asked, tuple(living[key] for key in keys)
        return self._assigned[1]

    def _spare(self, vanished: dict[CountedKey, int]) -> Iterator[int]:
        """Yield slots never used, then those of keys that vanished first, taking them out."""
        yield from range(len(self._slots), self._capacity)
        recycled = [key for key in vanished if key not in self._active]
        if recycled and self._refresh is not None:
            # All of what was counted until now is the former holder's.
            self._refresh()
        for key in recycled:
            slot = vanished.pop(key)
            self._base[slot] = self._read(slot)
            yield slot

    def items(self) -> list[tuple[CountedKey, int]]:
        """Return every key that has a slot, with its slot."""
        return list(self._slots.items())

    def counts(self) -> Iterator[tuple[CountedKey, int]]:
        """Yield every key that has a slot, with its count since it got it."""
        # A copy: the metrics threads read while the controller assigns.
        for key, slot in self.items():
            yield key, max(0, self._read(slot) - self._base.get(slot, 0))

    def count(self, key: CountedKey) -> int:
        """Return the count of one key, 0 where it has no slot."""
        slot = self._slots.get(key, UNCOUNTED)
        return 0 if slot == UNCOUNTED else self._read(slot) - self._base.get(slot, 0)
