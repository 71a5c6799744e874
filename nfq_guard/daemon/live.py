"""Recent verdicts for whoever looks at the web page: one reader and one buffer for all.

Owns the numbers that events get. The controller's loop reads the rings while somebody
asks, and makes the events; threads of the HTTP side say what they want and copy what is
there. Neither waits for the other; what is too much is skipped, and said.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.daemon.protocol import Watch
from nfq_guard.daemon.ring import Reader
from nfq_guard.daemon.wishes import LEASE_SECONDS
from nfq_guard.stream.event import event_of
from nfq_guard.stream.filter import Filter, wanted_verdicts
from nfq_guard.stream.lines import comment, document
from nfq_guard.stream.record import DENY, LOG, UNJUDGED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nfq_guard.daemon.legends import Legends
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.record import Record

KEPT = 2000
"""Events that are kept for pages that ask, and searched by a filter."""
MOST = 300
"""Events of one answer, the newest."""
RECORDS, LEAST_RECORDS = 200, 16
"""Records that a turn of the controller's loop reads: of all rings together, of each at least."""
READ_SECONDS = 0.2
"""Between two such turns: events of other kinds turn the loop, too."""
SEARCH_SECONDS = 0.1
"""Of one answer: whoever may ask can write a filter that takes long, and the controller's loop wants its turn."""
_WHO = "page"
_USUAL = frozenset({DENY, UNJUDGED, LOG})
"""What is told unless more is asked for."""


class Seen(NamedTuple):
    """An event and its number. Numbers go on over what was skipped."""

    number: int
    event: Event


class Want(NamedTuple):
    """What a page asks for."""

    after: int
    """Number of the last event that it knows; 0: none."""
    most: int
    allowed: bool
    """What was allowed, or left to the next stage, too."""
    filter: Filter


class Live:
    """`turn` is the loop's; `ask` is called in threads."""

    def __init__(
        self, rings: Mapping[int, int], legends: Legends, renew: Callable[[str, Watch, float], bool]
    ) -> None:
        """Read these rings, by queue; `renew` tells the workers what is wished for."""
        self.token = secrets.token_hex(8)
        """Tells this guard's numbers from those of the one before."""
        self._readers = {queue: Reader(descriptor) for queue, descriptor in rings.items()}
        self._share = max(LEAST_RECORDS, RECORDS // max(1, len(rings)))
        self._legends = legends
        self._renew = renew
        self._lock = threading.Lock()
        self._recent: deque[Seen] = deque(maxlen=KEPT)
        self._last = 0
        self._read_at = 0.0
        self._denied_until = self._allowed_until = 0.0
        """When the last wish for these runs out, on the loop's clock. Log rules go with the first."""

    # -- in the loop --------------------------------------------------------

    def turn(self, now: float) -> None:
        """Read what has come, if somebody has asked of late."""
        denied = now < self._denied_until
        watch = Watch(deny=denied, allow=now < self._allowed_until, log=denied)
        if not any(watch) or 0 <= now - self._read_at < READ_SECONDS:
            return
        self._read_at = now
        # One that is refused for the number of watchers shows what is written down for others.
        self._renew(_WHO, watch, now)
        self._take()

    def _take(self) -> None:
        found: list[tuple[Record, int]] = []
        skipped = 0
        for queue, reader in self._readers.items():
            skipped += reader.skip(self._share)
            lost = reader.lost
            found += [(record, queue) for record in reader.read(self._share)]
            skipped += reader.lost - lost
        if len(self._readers) > 1:
            found.sort(key=lambda pair: pair[0].time_ns)
        events = [event_of(record, queue, self._legends.of(record.generation)) for record, queue in found]
        with self._lock:
            self._last += skipped
            for event in events:
                self._last += 1
                self._recent.append(Seen(self._last, event))

    # -- in threads ---------------------------------------------------------

    def ask(self, want: Want, now: float) -> dict[str, Any]:
        """Return the newest events that a page has not seen, and wish for more of them for a while."""
        until = now + LEASE_SECONDS
        with self._lock:
            lapsed = 0.0 < self._denied_until <= now
            self._denied_until = max(self._denied_until, until)
            if want.allowed:
                self._allowed_until = max(self._allowed_until, until)
            recent, last = list(self._recent), self._last
        known = 0 if want.after > last else want.after
        fresh = [seen for seen in recent if seen.number > known]
        skipped = last - known - len(fresh) if known else 0
        told, left = self._search(fresh, want)
        return {
            "last": last,
            "skipped": skipped + left,
            # What fell while no page asked was not written down for pages, and is in the totals alone.
            "lapsed": bool(known) and lapsed,
            "events": [_told(seen) for seen in told],
        }

    def _search(self, fresh: list[Seen], want: Want) -> tuple[list[Seen], int]:
        """Return the newest that are meant, oldest first, and how many older ones were not looked at."""
        until = time.monotonic() + SEARCH_SECONDS
        told: list[Seen] = []
        for at, seen in enumerate(reversed(fresh)):
            if len(told) >= want.most or time.monotonic() > until:
                return told[::-1], len(fresh) - at
            if self._means(want, seen.event):
                told.append(seen)
        return told[::-1], 0

    @staticmethod
    def _means(want: Want, event: Event) -> bool:
        return (want.allowed or event.verdict in _USUAL) and want.filter.matches(event)


def hint(meant: Filter, *, allowed: bool) -> str:
    """Return why a filter can find nothing, empty where it may."""
    if allowed or not _USUAL.isdisjoint(wanted_verdicts(meant.node)):
        return ""
    return "this filter means packets that were not denied: tick “allowed too”"


def _told(seen: Seen) -> dict[str, Any]:
    """Return an event as `watch --format json` tells it, with its number and what decided in words."""
    said = comment(seen.event).partition(": ")[2]
    return {"number": seen.number, "decided": said, "event": document(seen.event)}
