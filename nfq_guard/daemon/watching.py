"""Whoever watches verdicts, and the deny log, which watches too.

Owns what workers are told to write down, and reading their rings for the log. A watcher
gets the rings to read by itself and has to keep saying that it lives; whatever it does,
neither a verdict nor the controller's loop waits for it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfq_guard.adapters.control import Passing
from nfq_guard.adapters.host import node_name
from nfq_guard.daemon.counters import Word
from nfq_guard.daemon.denylog import DenyLog
from nfq_guard.daemon.legends import Legends
from nfq_guard.daemon.protocol import Watch
from nfq_guard.daemon.ring import DENIALS, Reader, read_only
from nfq_guard.daemon.unwritten import Fallen, Unwritten
from nfq_guard.daemon.wishes import LEASE_SECONDS, MOST, Wishes
from nfq_guard.stream.event import event_of
from nfq_guard.stream.record import DENY, WISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nfq_guard.adapters.control import Answer
    from nfq_guard.daemon.counters import Reader as CountersReader
    from nfq_guard.daemon.counters import VerdictLabels
    from nfq_guard.daemon.logs import Log
    from nfq_guard.daemon.pool import Pool
    from nfq_guard.daemon.settings import Settings

_RECORDS, _LEAST_RECORDS = 512, 16
"""Records that a turn of the controller's loop reads for the deny log: of all rings together, of each at least."""
_KERNEL_SECONDS = 0.5
"""What the kernel counts is read anew after so long: each reading starts an nft."""
_LONGEST_NAME = 128
COMMANDS = ("kernel-verdicts", "legend", "watch")


def sources(settings: Settings) -> Answer:
    """Return what policy is made of here, for watchers that explain verdicts; they may run in another folder."""
    return {
        "rules": [str(Path(path).absolute()) for path in settings.rules],
        "node": node_name(settings.node),
        "allow_neighbor_discovery": settings.allow_neighbor_discovery,
    }


class Watching:
    """Turned by the controller's loop, and asked over its socket."""

    def __init__(
        self,
        pool: Pool,
        log: Log,
        kernel_verdicts: Callable[[], Mapping[VerdictLabels, int]],
        *,
        sources: Answer,
        deny_log: bool,
    ) -> None:
        """Watch what the pool's workers write down. `sources`: what the policy is made of, to be told."""
        self._sources = sources
        self.legends = Legends()
        self._pool = pool
        self._log = log
        self._wishes = Wishes()
        self._kernel_verdicts = kernel_verdicts
        self._kernel: list[Answer] = []
        self._kernel_read_at = -math.inf
        self._given: tuple[int, ...] = ()
        """The rings' descriptors for watchers; made for the first."""
        self._counters = pool.reader
        self._readers = {queue: Reader(ring) for queue, ring in pool.rings.items()}
        self._unwritten = Unwritten(self._fallen)
        self._denials = _Denials(pool.rings, self._counters, self.legends) if deny_log else None

    @property
    def missed(self) -> int:
        """Return how many denials the deny log has not seen."""
        return 0 if self._denials is None else self._denials.missed

    def turn(self, now: float) -> None:
        """Forget who has gone, and log what was denied; `now` in seconds of a clock that does not go back."""
        self._tell(now)
        if self._denials is not None:
            for fields in self._denials.take(now):
                self._log.info("denied", **fields)

    def renew(self, who: str, watch: Watch, now: float) -> bool:
        """Keep a watcher's wish for a lease; return whether there is room for it."""
        if not self._wishes.renew(who, watch, now):
            return False
        self._tell(now)
        return True

    def answer(self, request: Answer, now: float) -> Answer | Passing | None:
        """Return the answer to a request, None if it is not for us."""
        command = request.get("command")
        if command == "watch":
            return self._watch(request, now)
        if command == "legend":
            return self._legend(request.get("generation"))
        if command == "kernel-verdicts":
            return {"verdicts": self._of_kernel(now)}
        return None

    def _watch(self, request: Answer, now: float) -> Answer | Passing:
        who, verdicts = request.get("id"), request.get("verdicts")
        if not isinstance(who, str) or not 0 < len(who) <= _LONGEST_NAME:
            return {"error": f"a watcher's id is a text of 1 to {_LONGEST_NAME} characters"}
        if not isinstance(verdicts, list) or not all(verdict in WISHED for verdict in verdicts):
            return {"error": f"verdicts is a list of {', '.join(map(repr, WISHED))}"}
        if not self.renew(who, Watch(**{one: one in verdicts for one in WISHED}), now):
            return {"error": f"there are {MOST} watchers already"}
        answer: Answer = {
            "queues": list(self._pool.rings),
            "lease_seconds": LEASE_SECONDS,
            "unwritten": self._unwritten.count(),
            "generation": self.legends.generation,
            "changes": self.legends.changes,
        }
        if not request.get("open"):
            return answer
        return Passing(answer | {"sources": self._sources}, self._rings())

    def _tell(self, now: float) -> None:
        wish = self._wishes.wanted(now)
        self._unwritten.follow(wish)
        self._pool.watch(wish)

    def _fallen(self) -> Fallen:
        written = sum(reader.written for reader in self._readers.values())
        return Fallen(self._counters.word(Word.PACKETS), self._counters.word(Word.DENIED), written)

    def _rings(self) -> tuple[int, ...]:
        if not self._given:
            self._given = tuple(map(read_only, self._pool.rings.values()))
        return self._given

    def _legend(self, generation: Any) -> Answer:  # noqa: ANN401 - whatever was asked
        legend = self.legends.of(generation) if isinstance(generation, int) else None
        if legend is None:
            return {"error": f"the rules of generation {generation!r} are not known (any more)"}
        return legend.to_json()

    def _of_kernel(self, now: float) -> list[Answer]:
        if now - self._kernel_read_at >= _KERNEL_SECONDS:
            found = self._kernel_verdicts()
            self._kernel = [labels._asdict() | {"packets": packets} for labels, packets in found.items()]
            self._kernel_read_at = now
        return self._kernel


class _Denials:
    """The rings that are the deny log's."""

    def __init__(self, rings: Mapping[int, int], counters: CountersReader, legends: Legends) -> None:
        self._readers = {queue: Reader(descriptor, DENIALS) for queue, descriptor in rings.items()}
        self._most = max(_LEAST_RECORDS, _RECORDS // len(rings))
        self._counters = counters
        self._legends = legends
        self._log = DenyLog()
        self._seen = 0
        self.missed = 0
        """Denials without a record, or whose record was overwritten."""

    def take(self, now: float) -> list[dict[str, object]]:
        """Return the lines of what was denied since, not more than a bounded number of records."""
        # Counted later than written down: whatever is counted by now, and not in a ring, never was or is lost.
        # What is still to be read is neither: a flood is told of while it lasts, not when it ends.
        denied = self._counters.word(Word.DENIED)
        lines = []
        unread = 0
        for queue, reader in self._readers.items():
            records = reader.read(self._most)
            unread += reader.behind
            for record in records:
                if record.verdict == DENY:
                    self._seen += 1
                    legend = self._legends.of(record.generation)
                    lines.append(self._log.meet(event_of(record, queue, legend), now))
        if (missed := denied - self._seen - self.missed - unread) > 0:
            self.missed += missed
            self._log.miss(missed)
        return [line for line in lines if line is not None]
