"""One field of a chain: which lines accept which values.

Owns the elementary intervals of a field (between two neighboring boundaries every value
is accepted by the same lines) and their classes: intervals that the same lines accept
are one class, however many there are. Must never know what the values mean.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nfq_guard.model.addresses import Intervals

SPARSE = 32
"""A class of at most so many lines is kept as their list; beyond, as bits made when asked for."""
_STRIDE = 64
"""Intervals between two bit vectors that are kept for good: bounds the work of making one in between."""
_KEPT_BYTES = 4 << 20
"""Bit vectors in between that an axis keeps once they were asked for."""
_INVERTED_DIGITS = bytes.maketrans(b"\0\1", b"10")


class Axis:
    """The lines by the values of one field that they accept.

    Lines that accept any value are members of no class: `specific` tells which are.
    """

    __slots__ = (
        "_at",
        "_first",
        "_flips",
        "_indifferent",
        "_kept",
        "_marks",
        "classes",
        "lines",
        "members",
        "specific",
        "starts",
    )

    def __init__(self, wanted: Iterable[tuple[int, Intervals]], lines: int) -> None:
        """Take in (line, values it accepts) of those of `lines` lines that do not accept all."""
        specific = bytearray(lines)
        flips: dict[int, list[int]] = {0: []}
        for line, intervals in wanted:
            specific[line] = 1
            for low, high in intervals.spans:
                flips.setdefault(low, []).append(line)
                flips.setdefault(high + 1, []).append(line)
        self.lines = lines
        self.specific = bytes(specific)
        """By line: 1 if it accepts some values only."""
        self.starts: list[int] = sorted(flips)
        """First value of each interval, ascending; the first is 0."""
        self.classes: list[int] = [-1]
        """Class of each interval, shifted by one: `bisect_right(starts, value)` is its place."""
        self.members: list[tuple[int, ...] | None] = []
        """By class: its lines, ascending; None where they are many."""
        self._first: list[int] = []
        """By class: its first interval."""
        # Lines are rarely hashed: most fields have few lines a class.
        if not self._sweep(flips, ()):
            self._sweep(flips, _hashes(lines))
        self._at, self._flips = array("I"), array("I")
        self._marks: list[int] = []
        self._kept: dict[int, int] = {}
        self._indifferent: int | None = None
        if None in self.members:
            self._record(flips)

    def _sweep(self, flips: Mapping[int, Sequence[int]], hashes: Sequence[int]) -> bool:
        """Find the classes; False if that needs hashes of lines: many lines are told apart by theirs."""
        active: set[int] = set()
        found: dict[object, int] = {}
        code = 0
        self.classes, self.members, self._first = [-1], [], []
        for interval, start in enumerate(self.starts):
            active.symmetric_difference_update(flips[start])
            if hashes:
                for line in flips[start]:
                    code ^= hashes[line]
            sparse = len(active) <= SPARSE
            if not (sparse or hashes):
                return False
            members = tuple(sorted(active)) if sparse else None
            known = found.setdefault(code if members is None else members, len(found))
            if known == len(self.members):
                self.members.append(members)
                self._first.append(interval)
            self.classes.append(known)
        return True

    def _record(self, flips: Mapping[int, Sequence[int]]) -> None:
        """Keep what changes at each interval, and every so often what has come of it."""
        mask = 0
        for interval, start in enumerate(self.starts):
            if interval % _STRIDE == 0:
                self._marks.append(mask)
            self._at.append(len(self._flips))
            self._flips.extend(flips[start])
            for line in flips[start]:
                mask ^= 1 << line
        self._at.append(len(self._flips))

    def class_of(self, value: int) -> int:
        """Return the class of a value."""
        return self.classes[bisect_right(self.starts, value)]

    def mask(self, number: int) -> int:
        """Return a class as an integer: bit i is set iff line i accepts its values."""
        members = self.members[number]
        if members is not None:
            return self._anyway() | sum(1 << line for line in members)
        kept = self._kept.get(number)
        return self._make(number) if kept is None else kept

    def _anyway(self) -> int:
        if self._indifferent is None:
            digits = self.specific[::-1].translate(_INVERTED_DIGITS)
            self._indifferent = int(digits or b"0", 2)
        return self._indifferent

    def _make(self, number: int) -> int:
        interval = self._first[number]
        mark = interval // _STRIDE
        mask = self._marks[mark]
        for line in self._flips[self._at[mark * _STRIDE] : self._at[interval + 1]]:
            mask ^= 1 << line
        if self._kept and len(self._kept) * self.lines > 8 * _KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = mask = mask | self._anyway()
        return mask


def _hashes(lines: int) -> Sequence[int]:
    # Always the same: equal policies have equal tables. Sets of lines do not meet by chance.
    return [int.from_bytes(blake2b(line.to_bytes(8), digest_size=16).digest()) for line in range(lines)]
