"""The verdicts of a running guard, read from its rings by this process itself.

Owns the connection to the guard: the wish that its workers record, renewed before it
runs out, the rings, and what the rules of each generation are called. A guard that goes
away is waited for. Must never hold up the guard: whoever is too slow here loses
verdicts, and is told how many.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.adapters.control import Conversation
from nfq_guard.cli.gaps import Gaps
from nfq_guard.daemon.ring import Reader
from nfq_guard.stream.counted import Counts
from nfq_guard.stream.event import Legend, event_of
from nfq_guard.stream.record import ALLOW, DENY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nfq_guard.stream.counted import Counted
    from nfq_guard.stream.event import Event

    Say = Callable[[str], None]

_PATIENCE = 5.0
"""Seconds the guard may take to answer."""
_AGAIN = 0.5
"""Seconds between two attempts to find the guard again."""
_PART_OF_LEASE = 0.25
"""A wish is renewed when this part of its time is over."""
_BATCH = 1024
"""Records read from a ring at once: what was read is shown before more is."""
_LEGENDS = 16
"""Generations whose rules are kept."""
_UNKNOWN_SECONDS = 0.1
"""How long an answer counts that a generation is not known."""
_COUNTED = frozenset({ALLOW, DENY})
"""Of what may be wished for, that of which the guard counts how much nobody wished for."""
_UNKNOWN = 8
"""Generations that are not known which the guard is asked about in that time."""


class RefusedError(Exception):
    """The guard answers, but not with verdicts: it is of another version, or has too many watchers."""


def _counted_of(verdicts: Sequence[str]) -> list[str]:
    return [verdict for verdict in verdicts if verdict in _COUNTED]


class _Asked(NamedTuple):
    legend: Legend | None
    at: float


class Follower:
    """One watcher of one guard."""

    def __init__(self, path: str, verdicts: Sequence[str], say: Say) -> None:
        """`verdicts`: those that workers are to record. `say` tells people what happens to the connection."""
        self._path = path
        self._wish = {
            "command": "watch",
            "id": f"watch-{os.getpid()}-{secrets.token_hex(4)}",
            "verdicts": list(verdicts),
        }
        self._say = say
        self.sources: object = None
        """What the guard said its policy is made of, when it was found; None: it did not (cli/sources.py)."""
        self.gaps = Gaps()
        """When the guard's workers wrote nothing down for us."""
        self._counted = _counted_of(verdicts)
        self._unwritten: int | None = None
        """Verdicts that nobody wished to be written down, as last heard; None: they are not counted."""
        self._conversation: Conversation | None = None
        self._readers: list[tuple[int, Reader]] = []
        self._lost_before = 0
        """In rings that were given up."""
        self._lease = 0.0
        self._renewed = 0.0
        self._tried = 0.0
        self._gone = 0.0
        self._changes: object = None
        """Of the guard's legends, when last heard: the numbers of generations come round again."""
        self._legends: dict[int, _Asked] = {}
        self.moves = 0
        """How often the guard has taken in other rules, or came back with whatever it has."""
        self._unknown: deque[float] = deque(maxlen=_UNKNOWN)
        """When the guard was last asked about generations that it does not know."""
        self._counts = Counts()

    @property
    def lost(self) -> int:
        """Return how many records were overwritten before they were read."""
        return self._lost_before + sum(reader.lost for _, reader in self._readers)

    @property
    def connected(self) -> bool:
        """Return whether a guard answered when it was last asked."""
        return self._conversation is not None

    def want(self, verdicts: Sequence[str]) -> None:
        """Have workers record these from now on."""
        self._wish["verdicts"] = list(verdicts)
        # What was left out so far was not wished for.
        self._counted, self._unwritten = _counted_of(verdicts), None
        if self._conversation is not None:
            self._renew(time.monotonic())

    # -- the connection ---------------------------------------------------

    def connect(self) -> None:
        """Ask for the rings; OSError if nobody answers, RefusedError if the guard will not."""
        self._tried = time.monotonic()
        conversation = Conversation(self._path, _PATIENCE)
        try:
            readers = self._open(conversation)
        except BaseException:
            conversation.close()
            raise
        self._hang_up()
        self._give_up_rings()
        self._conversation, self._readers = conversation, readers
        self._legends.clear()
        self._counts = Counts()
        self._renewed = time.monotonic()
        self.moves += 1

    def _open(self, conversation: Conversation) -> list[tuple[int, Reader]]:
        answer, descriptors = conversation.ask({**self._wish, "open": True})
        try:
            queues = self._understood(answer)
            if len(queues) != len(descriptors):
                raise RefusedError(f"the guard has {len(queues)} queues and told of {len(descriptors)} rings")
            self.sources = answer.get("sources")
            return [(queue, Reader(ring)) for queue, ring in zip(queues, descriptors, strict=True)]
        except ValueError as error:
            raise RefusedError(f"the guard is of another version: {error}") from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _understood(self, answer: dict[str, Any]) -> list[int]:
        if "error" in answer:
            raise RefusedError(str(answer["error"]))
        try:
            lease = float(answer["lease_seconds"])
            queues = [int(queue) for queue in answer["queues"]]
        except (KeyError, TypeError, ValueError) as error:
            raise RefusedError(f"the guard is of another version: {error!r}") from error
        self._lease = lease
        self._unwritten = self._left_out(answer)
        if answer.get("changes") != self._changes:
            self._changes = answer.get("changes")
            self._legends.clear()
            self.moves += 1
        return queues

    def _left_out(self, answer: dict[str, Any]) -> int | None:
        """Return how much of what we wish for nobody wished for so far; None where that is not counted."""
        told = answer.get("unwritten")
        numbers = [told.get(verdict) for verdict in self._counted] if isinstance(told, dict) else []
        known = [number for number in numbers if isinstance(number, int)]
        return sum(known) if numbers and len(known) == len(numbers) else None

    def _give_up_rings(self) -> None:
        self._lost_before = self.lost
        for _, reader in self._readers:
            reader.close()
        self._readers = []

    def close(self) -> None:
        """Hang up. The wish runs out by itself."""
        self._hang_up()
        self._give_up_rings()

    def _hang_up(self) -> None:
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None

    def keep(self) -> None:
        """Renew the wish if it is time, or look for a guard that went away. To be called all the time."""
        now = time.monotonic()
        if self._conversation is None:
            if now - self._tried >= _AGAIN:
                self._come_back()
        elif now - self._renewed >= self._lease * _PART_OF_LEASE:
            self._renew(now)

    def _renew(self, now: float) -> None:
        answer = self._ask({**self._wish, "open": False})
        if answer is None:
            return
        held_up, before = now - self._renewed, self._unwritten
        self._renewed = time.monotonic()
        try:
            self._understood(answer)
        except RefusedError as error:
            self._lose(str(error))
            return
        after = self._unwritten
        more = None if before is None or after is None else max(0, after - before)
        missed = held_up > self._lease or more
        if missed and (said := self.gaps.add(max(0.0, held_up - self._lease), more)):
            self._say(said)

    def _come_back(self) -> None:
        try:
            self.connect()
        except (OSError, RefusedError, ValueError):
            return
        self.gaps.add(time.monotonic() - self._gone, None)
        self._say("the guard is back; verdicts of the time between are missing")

    def _ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the guard's answer, None if there is no guard."""
        if self._conversation is None:
            return None
        try:
            answer, descriptors = self._conversation.ask(request)
        except (OSError, ValueError) as error:
            self._lose(str(error))
            return None
        for descriptor in descriptors:
            os.close(descriptor)
        return answer

    def _lose(self, reason: str) -> None:
        # The rings stay: workers that outlive their controller go on writing down what they deny.
        self._hang_up()
        self._tried = self._gone = time.monotonic()
        self._say(f"the guard is gone ({reason}); waiting for it to come back")

    # -- verdicts ---------------------------------------------------------

    def skip(self, keep: int) -> int:
        """Leave aside what has come since but for the latest, so many at most; return how many those were."""
        return sum(reader.skip(self._share(keep)) for _, reader in self._readers)

    def _share(self, most: int) -> int:
        return max(1, most // max(1, len(self._readers)))

    def read(self, most: int | None = None) -> list[Event]:
        """Return what has come since, oldest first; empty if there is nothing. `most`: of all rings together."""
        batch = _BATCH if most is None else self._share(most)
        found = [(record, queue) for queue, reader in self._readers for record in reader.read(batch)]
        if len(self._readers) > 1:
            found.sort(key=lambda pair: pair[0].time_ns)
        return [event_of(record, queue, self._legend(record.generation)) for record, queue in found]

    def _legend(self, generation: int) -> Legend | None:
        asked = self._legends.get(generation)
        if asked is not None and (asked.legend is not None or time.monotonic() - asked.at < _UNKNOWN_SECONDS):
            return asked.legend
        now = time.monotonic()
        if len(self._unknown) >= _UNKNOWN and now - self._unknown[0] < _UNKNOWN_SECONDS:
            # Whoever writes such numbers is no worker of ours any more: the guard need not hear of each.
            return None
        answer = self._ask({"command": "legend", "generation": generation})
        try:
            legend = None if answer is None or "error" in answer else Legend.from_json(answer)
        except ValueError:
            legend = None
        if legend is None:
            self._unknown.append(now)
        if len(self._legends) >= _LEGENDS:
            # What is not known first: it costs the guard least to be asked for again.
            del self._legends[
                min(self._legends, key=lambda known: (self._legends[known].legend is not None, known))
            ]
        self._legends[generation] = _Asked(legend, time.monotonic())
        return legend

    def counted(self) -> list[Counted]:
        """Return what the kernel has decided by itself since this was asked before."""
        answer = self._ask({"command": "kernel-verdicts"})
        if answer is None or "error" in answer:
            return []
        try:
            return self._counts.update(answer["verdicts"])
        except (KeyError, TypeError, ValueError):
            return []
