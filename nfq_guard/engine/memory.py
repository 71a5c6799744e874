"""What is remembered about a chain: the classes of values met, and the outcomes of classes.

Owns bounded dicts that fill themselves. A full one is emptied: constant work a packet
and bounded memory under a flood of distinct values, and nothing to keep in order. What
is forgotten is worked out again, never answered differently.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from functools import partial
from itertools import chain as joined
from itertools import repeat
from operator import sub
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, Union

from nfq_guard.engine.chain import PORTED, icmp_key, port_key
from nfq_guard.model.addresses import FAMILIES
from nfq_guard.model.flow import ICMP_OF_FAMILY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from nfq_guard.engine.axis import Axis
    from nfq_guard.engine.chain import Chain, Match
    from nfq_guard.engine.slices import Key, Slice
    from nfq_guard.model.flow import Packet

Outcome = TypeVar("Outcome")
Asked = TypeVar("Asked")

_PLACES = port_key(65_535) + 1
"""Of the port axis."""
PORTS, ICMP_FIELDS, NUMBER = range(3)
"""What a slice's packets have as their third field."""


VALUES = 16_384
"""Values of a field that a slice remembers at most: to find one again takes no longer than to keep more."""


class Seen(dict[int, int]):
    """Values of one field to their class's share of a number. Asking for one that is not there finds it."""

    __slots__ = ("_classes", "_limit", "_starts", "_stride")

    def __init__(self, axis: Axis, stride: int, limit: int) -> None:
        """Start empty."""
        super().__init__()
        self._starts, self._classes = axis.starts, axis.classes
        self._stride = stride
        self._limit = limit

    def __missing__(self, value: int) -> int:
        """Find the share of a value."""
        share = self._classes[bisect_right(self._starts, value)] * self._stride
        if len(self) >= self._limit:
            self.clear()
        self[value] = share
        return share


Shares = Union[Seen, "array[int]"]
"""By value."""


class Outcomes(dict[Asked, Outcome], Generic[Asked, Outcome]):
    """Classes of packets to what becomes of them. Asking for one that is not there works it out."""

    __slots__ = ("_limit", "_work_out")

    def __init__(self, work_out: Callable[[Asked], Outcome], limit: int) -> None:
        """Start empty."""
        super().__init__()
        self._work_out = work_out
        self._limit = limit

    def __missing__(self, key: Asked) -> Outcome:
        """Work one out."""
        outcome = self._work_out(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = outcome
        return outcome


class Part(NamedTuple, Generic[Outcome]):
    """The memory of one slice. A field all of whose values are alike has none.

    The classes of a packet's fields are one number, the sum of a share for each field:
    a dict finds a number sooner than a tuple.
    """

    kind: int
    source: Shares | None
    destination: Shares | None
    third: Shares | None
    fourth: Shares | None
    outcomes: Outcomes[int, Outcome]

    def number(self, packet: Packet) -> int:
        """Return the number of the classes of a packet's fields."""
        _, protocol, src, dst, sport, dport, icmp_type, icmp_code = packet
        number = 0
        if self.third is not None:
            if self.kind == PORTS:
                number = self.third[dport]
            else:
                number = self.third[icmp_key(icmp_type, icmp_code) if self.kind == ICMP_FIELDS else protocol]
        if self.source is not None:
            number += self.source[src]
        if self.destination is not None:
            number += self.destination[dst]
        if self.fourth is not None:
            number += self.fourth[sport]
        return number

    def dicts(self) -> Iterator[dict[int, Any]]:
        """Yield what grows with the packets met."""
        yield self.outcomes
        for shares in (self.source, self.destination, self.third, self.fourth):
            if isinstance(shares, Seen):
                yield shares


class Row(dict[int, Part[Outcome]], Generic[Outcome]):
    """The memories of one family's slices by protocol, each made when it is first asked for."""

    __slots__ = ("_family", "_make", "_pieces", "_shared")

    def __init__(
        self, family: int, pieces: tuple[Slice, ...], make: Callable[[Slice, int], Part[Outcome]]
    ) -> None:
        """Start empty."""
        super().__init__()
        self._family = family
        self._pieces = pieces
        self._make = make
        self._shared: dict[int, Part[Outcome]] = {}

    def __missing__(self, protocol: int) -> Part[Outcome]:
        """Make one; protocols with one slice share it."""
        piece = self._pieces[protocol]
        part = self._shared.get(id(piece))
        if part is None:
            part = self._shared[id(piece)] = self._make(piece, _kind(self._family, protocol))
        self[protocol] = part
        return part


Memory = dict[int, Row[Outcome]]
"""By family."""


def remember(chain: Chain, prepare: Callable[[Match, bool], Outcome], limit: int) -> Memory[Outcome]:
    """Return an empty memory of a chain; `prepare` makes of a match what is to be remembered.

    It is told whether every packet with these addresses, protocol and destination port has
    this match, be its source port what it will.

    `limit`: classes of packets that each slice remembers, and values of each field, up to VALUES.
    """

    def work_out(piece: Slice, by_line: dict[int, Outcome], number: int) -> Outcome:
        key = _classes(piece, number)
        line = piece.first(key)
        outcome = by_line.get(line)
        if outcome is not None:
            return outcome
        settled = chain.settled(line)
        if settled is None:
            return prepare(chain.walk(piece, key, line), False)
        return by_line.setdefault(line, prepare(settled, not piece.asks_fourth(line)))

    def make(piece: Slice, kind: int) -> Part[Outcome]:
        # Of this slice alone: in another, a source port may decide who comes as far as the same line.
        by_line: dict[int, Outcome] = {}
        outcomes = Outcomes(partial(work_out, piece, by_line), limit)
        source, destination, third, fourth = (
            None
            if len(axis.members) == 1
            else _by_port(axis, stride)
            if kind == PORTS and place >= 2  # noqa: PLR2004 - ports
            else Seen(axis, stride, min(limit, VALUES))
            for place, (axis, stride) in enumerate(zip(piece.axes, _strides(piece), strict=True))
        )
        return Part(kind, source, destination, third, fourth, outcomes)

    return {family: Row(family, chain.slices[family], make) for family in FAMILIES}


def grown(memory: Memory[Any]) -> Iterator[dict[int, Any]]:
    """Yield all of a memory that grows with the packets met."""
    for row in memory.values():
        for part in {id(part): part for part in row.values()}.values():
            yield from part.dicts()


def _kind(family: int, protocol: int) -> int:
    if protocol in PORTED:
        return PORTS
    return ICMP_FIELDS if protocol == ICMP_OF_FAMILY[family] else NUMBER


def _strides(piece: Slice) -> tuple[int, int, int, int]:
    """Return what one class more of each field adds to a number: ports least, their tables are long."""
    source, _, third, fourth = (len(axis.members) for axis in piece.axes)
    return third * fourth, third * fourth * source, 1, third


def _classes(piece: Slice, number: int) -> Key:
    """Return the classes that a number stands for."""
    sizes = [len(axis.members) for axis in piece.axes]
    number, third = divmod(number, sizes[2])
    number, fourth = divmod(number, sizes[3])
    destination, source = divmod(number, sizes[0])
    return source, destination, third, fourth


def _by_port(axis: Axis, stride: int) -> array[int]:
    """Return the shares of all ports; the last is that of a packet without, at ABSENT."""
    starts = [start for start in axis.starts if start < _PLACES]
    widths = map(sub, (*starts[1:], _PLACES), starts)
    shares = [number * stride for number in axis.classes[1:]]
    table = array(_code(max(shares)), joined.from_iterable(map(repeat, shares, widths)))
    table.append(table.pop(0))
    return table


def _code(largest: int) -> str:
    return next(code for code, bits in (("B", 8), ("H", 16), ("I", 32), ("Q", 64)) if largest < 1 << bits)
