"""Counters shared between a worker and the controller: a block of 64-bit words.

Owns the layout. One writer, the worker; readers in other processes may see a word a
moment old, never half of one (aligned 64-bit stores). The controller holds the memory
while workers come and go, so that no counter goes backwards when one is restarted.
Must never need a lock or a system call on the packet path.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum
from itertools import accumulate, product
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Side, Stage
from nfq_guard.packet import UnparsableReason

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD = 8
"""Bytes."""
POLICY_SLOTS = 65536
"""Rules with a counter at once, per direction of a policy; 512 KiB, touched as used.

Bounds the number of series whatever the policy: rules past it are enforced, not counted.
"""
LATENCY_BOUNDS_NS = tuple(
    int(microseconds * 1000) for microseconds in (2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20000, 100000)
)
"""Upper bounds of the decision latency buckets; one more bucket takes the rest."""


class Word(IntEnum):
    """Single words at the head of the block."""

    HEARTBEAT_NS = 0
    """Monotonic clock of the worker's last turn round its loop."""
    GENERATION = 1
    """Of the ruleset that it decides by."""
    PACKETS = 2
    FLOW_HITS = 3
    FLOW_MISSES = 4
    FLOW_ENTRIES = 5
    """A gauge."""
    ENGINE_ERRORS = 6
    LATENCY_SUM_NS = 7
    NOTES_LOST = 8
    """Log lines that found the way to the controller full."""
    DENIED = 9
    """Packets that were denied, whatever for: each has a record, or might have had one."""


class VerdictLabels(NamedTuple):
    """How a verdict is told from others wherever they are counted."""

    reason: str
    verdict: str
    direction: str
    stage: str


VERDICTS: tuple[tuple[Reason, Verdict, Side, Stage], ...] = tuple(product(Reason, Verdict, Side, Stage))
UNPARSABLE: tuple[UnparsableReason, ...] = tuple(UnparsableReason)

_SIZES = (len(Word), len(VERDICTS), len(LATENCY_BOUNDS_NS) + 1, len(UNPARSABLE), POLICY_SLOTS)
_STARTS = tuple(accumulate(_SIZES, initial=0))
VERDICT_BASE, LATENCY_BASE, UNPARSABLE_BASE, POLICY_BASE, WORDS = _STARTS[1:]
"""First word of each section, and the number of all words."""

VERDICT_WORD = {key: VERDICT_BASE + index for index, key in enumerate(VERDICTS)}
UNPARSABLE_WORD = {reason: UNPARSABLE_BASE + index for index, reason in enumerate(UNPARSABLE)}


def create_block() -> int:
    """Return a descriptor of a new block of zeroes, of fixed size, inheritable by name only."""
    descriptor = os.memfd_create("nfq-guard-counters", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, WORDS * WORD)
    return descriptor


def map_block(descriptor: int) -> memoryview:
    """Return the block's words, to be read and written as integers."""
    return memoryview(mmap.mmap(descriptor, WORDS * WORD)).cast("Q")


class Histogram(NamedTuple):
    """A latency distribution: how many in each bucket, and the sum in nanoseconds."""

    counts: tuple[int, ...]
    sum_ns: int


class Reader:
    """The sum over the blocks of all workers."""

    def __init__(self, blocks: tuple[memoryview, ...]) -> None:
        """Read these blocks from now on."""
        self._blocks = blocks

    def word(self, index: int) -> int:
        """Return the sum of one word."""
        return sum(block[index] for block in self._blocks)

    def policy(self, slot: int) -> int:
        """Return the count of a policy slot."""
        return self.word(POLICY_BASE + slot)

    def verdicts(self) -> Iterator[tuple[VerdictLabels, int]]:
        """Yield every (reason, verdict, direction, stage) with its count."""
        for key, index in VERDICT_WORD.items():
            yield VerdictLabels(*map(str, key)), self.word(index)

    def unparsable(self) -> Iterator[tuple[UnparsableReason, int]]:
        """Yield every reason why bytes could not be judged, with its count."""
        for reason, index in UNPARSABLE_WORD.items():
            yield reason, self.word(index)

    def latency(self) -> Histogram:
        """Return the distribution of decision times."""
        counts = tuple(self.word(LATENCY_BASE + index) for index in range(len(LATENCY_BOUNDS_NS) + 1))
        return Histogram(counts, self.word(Word.LATENCY_SUM_NS))
