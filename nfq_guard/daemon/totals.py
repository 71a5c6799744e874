"""How the guard fares, in numbers for the web page: read once a second, whoever asks.

Owns how old a number may be. What the kernel counts costs an nft to read, so one thread
reads and the others get what was read before. Must only read.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from nfq_guard.daemon.counters import Word
from nfq_guard.daemon.taught import LEARNED_REASONS

if TYPE_CHECKING:
    from nfq_guard.daemon.telemetry import Telemetry

SECONDS = 1.0
_MOST_ERRORS = 20
_LONGEST_ERROR = 1000


class Totals:
    """Asked in threads."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Read from this, nothing yet."""
        self._telemetry = telemetry
        self._reading = threading.Lock()
        self._read_at = -math.inf
        self._found: dict[str, Any] | None = None

    def read(self, now: float) -> dict[str, Any] | None:
        """Return the numbers as they were at most a reading ago; None while the first is read."""
        if now - self._read_at >= SECONDS and self._reading.acquire(blocking=False):
            try:
                self._found = self._read(now)
                self._read_at = now
            finally:
                self._reading.release()
        return self._found

    def _read(self, now: float) -> dict[str, Any]:
        seen = self._telemetry
        kernel = seen.read_kernel()
        verdicts: Counter[str] = Counter()
        for labels, count in seen.counters.verdicts():
            verdicts[labels.verdict] += count
        for labels, count in kernel.verdicts.items():
            verdicts[labels.verdict] += count
        return {
            "verdicts": dict(verdicts),
            "kernel": [
                labels._asdict() | {"packets": count, "learned": labels.reason in LEARNED_REASONS}
                for labels, count in kernel.verdicts.items()
            ],
            "at": now,
            "packets": seen.counters.word(Word.PACKETS),
            "queue_depth": kernel.queue_depth,
            "queue_dropped": kernel.queue_dropped + kernel.queue_user_dropped,
        }


def state(telemetry: Telemetry) -> dict[str, Any]:
    """Return how the guard is, in words."""
    ready = telemetry.ready()
    ruleset, errors = telemetry.ruleset, telemetry.load_errors
    return {
        "ready": ready.good,
        "detail": ready.text,
        "node": "" if ruleset is None else ruleset.node,
        "generation": telemetry.generation,
        "load_errors": [error[:_LONGEST_ERROR] for error in errors[:_MOST_ERRORS]],
        "more_errors": max(0, len(errors) - _MOST_ERRORS),
    }
