"""Records of verdicts in shared memory: two rings a worker, overwritten round and round.

One ring is for whoever watches, a small one for the deny log, which must not miss denials
because somebody watches what is allowed.

Owns who may write a slot when. One writer, the worker; it never waits for a reader and
knows of none. Readers in other processes, who cannot write, see whole records only, and
learn from the numbers how many were overwritten before they came to them. The
controller holds the memory while workers come and go.

A slot's number is taken away before it is written anew and put there when it is whole,
so a reader compares it before and after it copies. That needs stores to be seen in their
order, as x86 has it; elsewhere some thousand instructions of the interpreter lie between.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.stream.record import RECORD, RECORD_AT, SLOT, Record, read

if TYPE_CHECKING:
    from nfq_guard.packet import Data

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Whoever holds it, even for writing, cannot take the memory away from under the others."""
_HEADER = 64
"""Bytes ahead of the slots; the first word is the last whole record's number."""
_WORD = 8
_FIRST = _HEADER + RECORD_AT
"""Where the first slot's record begins, behind its number."""
_pack = RECORD.pack_into
_SLOT_WORDS, _FIRST_WORD = SLOT // _WORD, _HEADER // _WORD


class Part(NamedTuple):
    """One ring of a worker's file."""

    at: int
    """Where it begins."""
    slots: int
    """A power of two."""

    @property
    def end(self) -> int:
        """Return where it ends."""
        return self.at + _HEADER + self.slots * SLOT


WATCHED = Part(0, 8192)
"""3 MiB, touched as used. At 20,000 records a second a reader may be 0.4 s late."""
DENIALS = Part(WATCHED.end, 1024)
"""Some of the denials, at a bounded rate (daemon/recorder.py): a controller that takes in a large policy may be late by
seconds."""
SIZE = DENIALS.end


def create_ring() -> int:
    """Return a descriptor of new, empty rings in one file, inheritable by name only."""
    descriptor = os.memfd_create("nfq-guard-verdicts", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, SIZE)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


def read_only(descriptor: int) -> int:
    """Return another descriptor of the rings, by which nothing can be written."""
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


_LAST_NUMBER = 1 << 62
"""No worker lives to write so many records: a number from there on is nonsense."""
_LONGEST_LEAP = 1 << 48


class Writer:
    """The worker's end. Goes on behind the last whole record of whoever wrote before, if that can be."""

    def __init__(self, descriptor: int, part: Part = WATCHED) -> None:
        """Map the ring. The descriptor stays the caller's."""
        self._memory = memoryview(mmap.mmap(descriptor, SIZE))[part.at : part.end]
        self._mask = part.slots - 1
        self._words = self._memory.cast("Q")
        self._last = self._words[0] if self._words[0] < _LAST_NUMBER else 0

    def write(self, time_ns: int, note: bytes, place: bytes, message: Data, at: int, end: int) -> None:
        """Write down what became of the packet in `message[at:end]`.

        `note` and `place` are as stream/record.py makes them; the time is in nanoseconds.
        """
        memory, words = self._memory, self._words
        number = self._last + 1
        slot = number & self._mask
        word = _FIRST_WORD + slot * _SLOT_WORDS
        words[word] = 0
        # What is longer than what is kept, pack cuts off.
        _pack(memory, _FIRST + slot * SLOT, time_ns, end - at, note, place, bytes(message[at:end]))
        words[word] = number
        words[0] = self._last = number


class Reader:
    """A watcher's end: every record from now on, as far as it keeps up."""

    def __init__(self, descriptor: int, part: Part = WATCHED) -> None:
        """Map the ring, for reading alone. The descriptor stays the caller's. ValueError if it is no ring."""
        if os.fstat(descriptor).st_size != SIZE:
            raise ValueError(f"the rings have {SIZE} bytes, this has {os.fstat(descriptor).st_size}")
        self._map = mmap.mmap(descriptor, SIZE, prot=mmap.PROT_READ)
        self._memory = memoryview(self._map)[part.at : part.end]
        self._slots = part.slots
        self._words = self._memory.cast("Q")
        self._at = self._words[0]
        """Number of the last record that was read, or lost."""
        self.lost = 0
        """Records that were overwritten before they were read."""

    def read(self, most: int) -> list[Record]:
        """Return the records that have come since, oldest first, at most so many. Never waits."""
        found: list[Record] = []
        for _ in range(most):
            last = self._newest()
            if last <= self._at:
                break
            oldest = last - self._slots + 1
            if self._at + 1 < oldest:
                self.lost += oldest - self._at - 1
                self._at = oldest - 1
            self._at += 1
            record = self._copied(self._at)
            if record is None:
                self.lost += 1
            else:
                found.append(record)
        return found

    def skip(self, kept: int) -> int:
        """Leave out all but so many of the newest records; return how many those are."""
        over = max(0, self._newest() - kept - self._at)
        self._at += over
        return over

    @property
    def written(self) -> int:
        """Return how many records were ever written, as the worker says."""
        return self._words[0]

    @property
    def behind(self) -> int:
        """Return how many records of the ring have not been read yet: of what a worker says, as many as there is room for at most."""
        return max(0, min(self._newest() - self._at, self._slots))

    def _newest(self) -> int:
        """Return the last record's number.

        A worker that is not itself any more may have written anything there, and its successor begins anew: from
        where it is now, what comes next is read, and what a leap seems to leave out is not told as lost.
        """
        last = self._words[0]
        if not 0 <= last - self._at < _LONGEST_LEAP:
            self._at = last
        return last

    def _copied(self, number: int) -> Record | None:
        """Return a record, None if the writer has come round to its slot."""
        slot = number & self._slots - 1
        word = _FIRST_WORD + slot * _SLOT_WORDS
        if self._words[word] != number:
            return None
        start = _HEADER + slot * SLOT
        copy = bytes(self._memory[start : start + SLOT])
        return read(copy) if self._words[word] == number else None

    def close(self) -> None:
        """Give the memory back."""
        self._words.release()
        self._memory.release()
        self._map.close()
