"""What the kernel counts: queue figures from /proc, named counters from the table.

Owns keeping the former from going backwards: a queue that is bound again counts from
zero (adapters/namedcounters.py does so for the latter). Called from metrics threads; must only read.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from nfq_guard.adapters import procfs
from nfq_guard.adapters.command import KernelError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from nfq_guard.daemon.counters import VerdictLabels

Key = TypeVar("Key", bound="Hashable")


class KernelReadings(NamedTuple):
    """What the kernel counts, as last read."""

    verdicts: Mapping[VerdictLabels, int]
    """Packets that the table decided about."""
    queue_depth: int = 0
    queue_dropped: int = 0
    queue_user_dropped: int = 0


class Monotone(Generic[Key]):
    """Counters whose sources start again from zero now and then."""

    def __init__(self) -> None:
        """Start at zero."""
        self._past: dict[Key, int] = {}
        self._last: dict[Key, int] = {}

    def update(self, now: Mapping[Key, int]) -> None:
        """Take new readings; a source that is missing keeps its count."""
        for key, value in now.items():
            last = self._last.get(key, 0)
            if value < last:
                self._past[key] = self._past.get(key, 0) + last
            self._last[key] = value

    def value(self, key: Key) -> int:
        """Return the count of all lives of a source."""
        return self._past.get(key, 0) + self._last.get(key, 0)

    def items(self) -> dict[Key, int]:
        """Return every source's count."""
        return {key: self.value(key) for key in self._last}


class KernelReader:
    """Reads the queues' and the table's counters."""

    def __init__(self, queues: tuple[int, ...], verdicts: Callable[[], Mapping[VerdictLabels, int]]) -> None:
        """`verdicts` reads the table's counters, which never go back; it may raise KernelError."""
        self._queues = queues
        self._read_verdicts = verdicts
        self._verdicts: Mapping[VerdictLabels, int] = {}
        self._drops: Monotone[tuple[int, str]] = Monotone()
        self._lock = threading.Lock()

    def __call__(self) -> KernelReadings:
        """Return what the kernel counts now. One reader at a time: each starts an nft."""
        with self._lock:
            return self._read()

    def _read(self) -> KernelReadings:
        # Where the table cannot be read at the moment, what it counted before still stands.
        with contextlib.suppress(KernelError):
            self._verdicts = self._read_verdicts()
        depth = 0
        for queue in self._queues:
            stats = procfs.queue_stats(queue)
            if stats is not None:
                depth += stats.queued
                self._drops.update(
                    {(queue, "queue"): stats.queue_dropped, (queue, "user"): stats.user_dropped}
                )
        return KernelReadings(
            self._verdicts,
            depth,
            sum(self._drops.value((queue, "queue")) for queue in self._queues),
            sum(self._drops.value((queue, "user")) for queue in self._queues),
        )
