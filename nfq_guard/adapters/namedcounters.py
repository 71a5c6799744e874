"""The table's named counters, read so that they never go back.

Owns what counters had counted that are gone: deleted, reset, or of a table that was
made again. Must never delete a counter that is not named to it.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.adapters.command import ABSENT, KernelError, expect, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Count(NamedTuple):
    """What a named counter has seen."""

    packets: int
    bytes: int


_NONE = Count(0, 0)


class NamedCounters:
    """The counters of one table. The metrics threads read them while the controller deletes some."""

    def __init__(self, table: str) -> None:
        """Count for this table; reads nothing yet."""
        self._table = table
        self._seen: dict[str, Count] = {}
        self._lost: dict[str, Count] = {}
        self._lock = threading.Lock()

    def read(self) -> Mapping[str, Count]:
        """Return what they have counted. An absent table: the last values. KernelError if it cannot be read."""
        with self._lock:
            self._look()
            return {name: _sum(count, self._lost.get(name, _NONE)) for name, count in self._seen.items()}

    def delete(self, names: Iterable[str]) -> None:
        """Delete counters, if they are there; what they counted still counts.

        KernelError, and all stay, if something names one of them.
        """
        with self._lock:
            present = self._look()
            gone = [name for name in names if name in present]
            if gone:
                lines = (f"delete counter inet {self._table} {name}\n" for name in gone)
                expect("nft", "-f", "-", stdin="".join(lines))
                self._carry(*gone)

    def start_over(self) -> None:
        """Add what all have counted to what they will: the table was made anew."""
        with self._lock:
            self._carry(*self._seen)

    def _look(self) -> frozenset[str]:
        """Note what the counters of now say; return their names."""
        done = run("nft", "-j", "list", "counters", "table", "inet", self._table)
        if done.status != 0 and ABSENT not in done.complaint:
            raise KernelError(f"nft list counters table inet {self._table}: {done.complaint}")
        found = dict(_counts(json.loads(done.text)["nftables"])) if done.status == 0 else {}
        for name, count in found.items():
            if count.packets < self._seen.get(name, _NONE).packets:  # somebody ran `nft reset counters`
                self._carry(name)
            self._seen[name] = count
        return frozenset(found)

    def _carry(self, *names: str) -> None:
        for name in names:
            self._lost[name] = _sum(self._lost.get(name, _NONE), self._seen[name])
            self._seen[name] = _NONE


def _counts(entries: Iterable[dict[str, Any]]) -> Iterable[tuple[str, Count]]:
    for entry in entries:
        if "counter" in entry:
            counter = entry["counter"]
            yield counter["name"], Count(counter["packets"], counter["bytes"])


def _sum(one: Count, other: Count) -> Count:
    return Count(one.packets + other.packets, one.bytes + other.bytes)
