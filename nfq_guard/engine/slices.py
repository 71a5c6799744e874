"""The lines of a chain that may accept packets of one family and protocol.

Owns the search for the first of them that accepts a packet: by the classes of its
fields, not by the packet, so that an outcome can be remembered for a whole class of
packets. Must never know what a line does.

A slice looks at four fields at most: source, destination, and, depending on the
protocol, ports, ICMP type and code, or the protocol's number itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from nfq_guard.engine.axis import Axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from nfq_guard.model.addresses import Intervals

Wanted = tuple["Intervals | None", "Intervals | None", "Intervals | None", "Intervals | None"]
"""What a line wants of source, destination, third and fourth field; None: anything."""
Key = tuple[int, int, int, int]
"""The classes of a packet's fields."""

FIELDS = 4


class Slice:
    """Lines in evaluation order, by fields. The last must accept anything."""

    __slots__ = ("_everywhere", "_specific", "axes", "lines", "wanted")

    def __init__(self, lines: Sequence[int], wanted: Sequence[Wanted], like: Slice | None = None) -> None:
        """Take in lines, as the chain numbers them, and what each wants.

        Axes that a slice `like` this one has are taken over.
        """
        self.lines = tuple(lines)
        """Of the chain, by our own numbers, which follow the same order."""
        self.wanted = wanted
        """By our own numbers; empty in a slice that has travelled: only another one is made with it."""
        kept: Sequence[Axis | None] = (None,) * FIELDS if like is None else _kept(wanted, like)
        self.axes = tuple(
            Axis(_specific(wanted, field), len(self.lines)) if axis is None else axis
            for field, axis in enumerate(kept)
        )
        self._specific = tuple(axis.specific for axis in self.axes)
        self._everywhere = tuple(line for line, fields in enumerate(wanted) if fields == _ANYTHING)

    @classmethod
    def of(cls, lines: Sequence[int], wanted: Sequence[Wanted], like: Slice | None) -> Slice:
        """Return a slice of lines: `like` itself, if it is that."""
        if like is not None and like.lines == tuple(lines) and like.wanted == wanted:
            return like
        return cls(lines, wanted, like)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Leave out what only another slice is made with."""
        return None, {name: getattr(self, name) for name in self.__slots__} | {"wanted": ()}

    def key(self, source: int, destination: int, third: int, fourth: int) -> Key:
        """Return the classes of a packet's fields."""
        one, two, three, four = self.axes
        return (
            one.classes[bisect_right(one.starts, source)],
            two.classes[bisect_right(two.starts, destination)],
            three.classes[bisect_right(three.starts, third)],
            four.classes[bisect_right(four.starts, fourth)],
        )

    def first(self, key: Key, start: int = 0) -> int:
        """Return the first line from `start` on, both of the chain's numbers, that accepts the classes."""
        begin = bisect_left(self.lines, start) if start else 0
        members = [axis.members[number] for axis, number in zip(self.axes, key, strict=True)]
        if None in members:
            mask = self.mask(key) >> begin
            return self.lines[begin + (mask & -mask).bit_length() - 1]
        # A line is specific in some field, and then among that field's members, or accepts anything.
        best = self._everywhere[bisect_left(self._everywhere, begin)]
        for few in members:
            for line in few or ():
                if line >= best:
                    break
                if line >= begin and self._accepts(line, members):
                    best = line
                    break
        return self.lines[best]

    def _accepts(self, line: int, members: Sequence[tuple[int, ...] | None]) -> bool:
        for specific, few in zip(self._specific, members, strict=True):
            if specific[line] and (few is None or line not in few):
                return False
        return True

    def asks_fourth(self, line: int) -> bool:
        """Return whether the fourth field may decide that a packet comes as far as this line, of the chain's numbers."""
        return self._specific[3].find(1, 0, bisect_right(self.lines, line)) >= 0

    def mask(self, key: Key) -> int:
        """Return an integer: bit i is set iff our line i accepts the classes."""
        mask = (1 << len(self.lines)) - 1
        for axis, number in zip(self.axes, key, strict=True):
            mask &= axis.mask(number)
        return mask

    def accepting(self, key: Key) -> Iterator[int]:
        """Yield the lines, by the chain's numbers, that accept the classes."""
        mask = self.mask(key)
        while mask:
            low = mask & -mask
            yield self.lines[low.bit_length() - 1]
            mask ^= low


def _kept(wanted: Sequence[Wanted], like: Slice) -> Sequence[Axis | None]:
    """Return, by field, the axis of a slice if all lines want the same of the field."""
    if len(wanted) != len(like.wanted):
        return (None,) * FIELDS
    changed = [pair for pair in zip(wanted, like.wanted, strict=True) if pair[0] is not pair[1]]
    return [
        axis if all(one[field] == other[field] for one, other in changed) else None
        for field, axis in enumerate(like.axes)
    ]


def _specific(wanted: Sequence[Wanted], field: int) -> Iterator[tuple[int, Intervals]]:
    for line, fields in enumerate(wanted):
        intervals = fields[field]
        if intervals is not None:
            yield line, intervals


_ANYTHING: Wanted = (None, None, None, None)
