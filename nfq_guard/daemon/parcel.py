"""A ruleset on its way to the workers, in pieces that are small enough to be taken in between two packets.

Owns the form: a memory file of frames, each a pickle. Whatever is long (the lines of a
chain, the intervals of a field) is cut into frames of its own, ahead of what holds it,
and so is each object of classes of which there are many. What arrives equals what was
sent, types included, and what has frames of its own is one thing wherever it stands.
Must never be given what contains itself.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import time
from itertools import chain as joined
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    Container = list[Any] | dict[Any, Any]

LONG = 256
"""Items that stay together; a worker needs a millisecond for as many rules."""
_FRAME = struct.Struct("=iI")
"""Number of what this is, or is the next part of; and length."""
_WHOLE = -1
"""Number of the last frame: what holds all others. A frame that holds the class `tuple` makes one of its
number's parts."""
_CONTAINERS = frozenset({list, tuple, dict})
_ATOMS = frozenset({int, float, bool, str, bytes, type(None)})
_ROWS = frozenset({tuple, type(None)})


def store(content: object, name: str, apart: Iterable[type] = (), plain: Iterable[type] = ()) -> int:
    """Return a descriptor of a memory file with an object, to be sent to any number of workers.

    `apart`: classes whose every object gets a frame of its own. `plain`: classes whose objects
    hold nothing long, and nothing of those.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        _Packer(stream, apart, plain).pack(content)
    return descriptor


class _Packer:
    """Writes frames."""

    def __init__(self, stream: BinaryIO, apart: Iterable[type], plain: Iterable[type]) -> None:
        self._stream = stream
        self._apart = frozenset(apart)
        self._plain = _ATOMS | frozenset(plain)
        self._numbers: dict[int, int] = {}
        self._held: list[object] = []
        """What was written: no identity of it may be used again meanwhile."""

    def pack(self, content: object) -> None:
        """Write an object, with all its pieces ahead of it."""
        self._frame(_WHOLE, content)

    def number(self, item: Any) -> int | None:  # noqa: ANN401 - pickle's
        """Return the number of what has frames of its own, written by now; None for all else."""
        kind = type(item)
        if kind not in self._apart and (kind not in _CONTAINERS or len(item) <= LONG):
            return None
        known = self._numbers.get(id(item))
        if known is not None:
            return known
        number = self._numbers[id(item)] = len(self._numbers)
        self._held.append(item)
        if kind in self._apart:
            self._frame(number, item)
            return number
        rest = iter(item.items() if kind is dict else item)
        while part := list(islice(rest, LONG)):
            self._frame(number, dict(part) if kind is dict else part)
        if kind is tuple:
            self._frame(number, tuple)
        return number

    def _is_plain(self, part: object) -> bool:
        """Return whether no item of a list has frames of its own: nor has it to be asked for each."""
        if type(part) is not list:
            return False
        kinds = set(map(type, part))
        if kinds <= self._plain:
            return True
        if not kinds <= _ROWS:
            return False
        rows = [row for row in part if row]
        return max(map(len, rows), default=0) <= LONG and set(map(type, joined.from_iterable(rows))) <= _ATOMS

    def _frame(self, number: int, content: object) -> None:
        if self._is_plain(content):
            data = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
            self._stream.write(_FRAME.pack(number, len(data)))
            self._stream.write(data)
            return
        buffer = io.BytesIO()
        _Pickler(buffer, self, content).dump(content)
        self._stream.write(_FRAME.pack(number, buffer.tell()))
        self._stream.write(buffer.getbuffer())


class _Pickler(pickle.Pickler):
    """Leaves to its packer what has frames of its own, but for what this frame is about."""

    def __init__(self, stream: io.BytesIO, packer: _Packer, content: object) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self._packer = packer
        self._content = content

    def persistent_id(self, obj: Any) -> int | None:  # noqa: ANN401 - pickle's
        """Return the number of what has frames of its own, None for all else."""
        return None if obj is self._content else self._packer.number(obj)


class _Unpickler(pickle.Unpickler):
    """Puts pieces in their place."""

    def __init__(self, stream: io.BytesIO, pieces: dict[int, Any]) -> None:
        super().__init__(stream)
        self._pieces = pieces

    def persistent_load(self, pid: Any) -> Any:  # noqa: ANN401 - pickle's
        """Return a piece by its number."""
        return self._pieces[pid]


class Unpacking:
    """An object that is being taken in from a stored file."""

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor. ValueError for an empty file."""
        with os.fdopen(descriptor, "rb") as stream:
            self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 0
        self._pieces: dict[int, Any] = {}
        self._long: list[Container] = []
        """Everything long, tuples as the lists that they were made from: those keep the items
        when the tuple goes, which cannot be emptied, so that they can go bit by bit."""

    def take_apart(self) -> Iterator[None]:
        """Free all that has come so far, bit by bit; whoever got the object has to let go of it first."""
        # One at a time: each may be a long tuple.
        while self._pieces:
            self._pieces.popitem()
            yield
        yield from take_apart(self._long)

    def step(self, seconds: float) -> Any:  # noqa: ANN401 - whatever was stored
        """Go on for about so long, one frame at the least; return the object when it is there, else None.

        Any exception if the file is not what `store` made.
        """
        until = time.monotonic() + seconds
        while True:
            whole = self._next()
            if whole is not None or time.monotonic() > until:
                return whole

    def _next(self) -> Any:  # noqa: ANN401 - as above
        number, length = _FRAME.unpack_from(self._data, self._at)
        self._at += _FRAME.size
        part = _Unpickler(io.BytesIO(self._data[self._at : self._at + length]), self._pieces).load()
        self._at += length
        if number == _WHOLE:
            self._data.close()
            return part
        if part is tuple:
            # All at once, but a hundred thousand in a millisecond: their items are there.
            self._pieces[number] = tuple(self._pieces[number])
            return None
        known = self._pieces.setdefault(number, part)
        if known is not part:
            (known.extend if isinstance(known, list) else known.update)(part)
        elif isinstance(part, list | dict):
            self._long.append(part)
        return None


def take_apart(containers: Iterable[Container]) -> Iterator[None]:
    """Empty lists and dicts bit by bit: to free a hundred thousand objects at once takes too long."""
    for entries in containers:
        while entries:
            if isinstance(entries, list):
                del entries[-LONG:]
            else:
                for _ in range(min(LONG, len(entries))):
                    entries.popitem()
            yield
