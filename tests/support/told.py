"""A guard that only tells: the daemon's own control socket over rings that a test writes to.

Owns what it answers. What it is told of verdicts, the test decides; no packet is judged.
"""

from __future__ import annotations

import os
import selectors
import threading
from typing import TYPE_CHECKING, Any, Self

from records import parts_of

from nfq_guard.adapters.control import ControlServer, Passing
from nfq_guard.daemon.ring import Writer, create_ring, read_only
from nfq_guard.stream.event import Legend

if TYPE_CHECKING:
    from types import TracebackType

    from nfq_guard.stream.event import Rule
    from nfq_guard.stream.record import Record


class Telling:
    """Answers what a watcher asks. A context manager."""

    def __init__(self, path: str, queues: tuple[int, ...] = (4600,)) -> None:
        """Nobody is answered before it is entered."""
        self.path = path
        self.lease = 2.0
        self.changes = 1
        self.unwritten: dict[str, int] | None = None
        """What nobody wished to be written down; None: an answer does not say it."""
        self.legends: dict[int, tuple[Rule | None, ...]] = {}
        self.kernel: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.refusal = ""
        self.sources: object = None
        """What it says that its policy is made of; None: an answer does not say it."""
        self.status: dict[str, Any] = {}
        self._rings = {queue: create_ring() for queue in queues}
        self._given = tuple(map(read_only, self._rings.values()))
        self._writers = {queue: Writer(ring) for queue, ring in self._rings.items()}

    def __enter__(self) -> Self:
        """Begin to answer."""
        self.come()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Go away."""
        self.go()

    def come(self) -> None:
        """Begin to answer."""
        self._selector = selectors.DefaultSelector()
        self._server = ControlServer(self.path, self._handle, self._selector)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def go(self) -> None:
        """Go away; the rings stay, for when it comes back."""
        self._stop.set()
        self._thread.join()
        self._server.close()
        self._selector.close()

    def close(self) -> None:
        """Give the rings back."""
        for descriptor in (*self._rings.values(), *self._given):
            os.close(descriptor)

    def write(self, *records: Record, queue: int = 4600) -> None:
        """Write down verdicts; their numbers are the ring's."""
        for record in records:
            self._writers[queue].write(record.time_ns, *parts_of(record), record.data, 0, len(record.data))

    def wishes(self) -> list[dict[str, Any]]:
        """Return the requests to be told verdicts, so far."""
        return [request for request in self.asked if request["command"] == "watch"]

    def _handle(self, request: dict[str, Any]) -> dict[str, Any] | Passing:
        self.asked.append(request)
        if self.refusal:
            return {"error": self.refusal}
        if request["command"] == "watch":
            answer: dict[str, Any] = {
                "queues": list(self._rings),
                "lease_seconds": self.lease,
                "generation": 3,
                "changes": self.changes,
            }
            if self.unwritten is not None:
                answer["unwritten"] = self.unwritten
            if self.sources is not None and request["open"]:
                answer["sources"] = self.sources
            return Passing(answer, self._given) if request["open"] else answer
        if request["command"] == "legend":
            rules = self.legends.get(request["generation"])
            known = None if rules is None else Legend(request["generation"], rules)
            return {"error": "not known"} if known is None else known.to_json()
        return self.status if request["command"] == "status" else {"verdicts": self.kernel}

    def _serve(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.02):
                key.data()
