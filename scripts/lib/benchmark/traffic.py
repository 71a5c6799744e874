"""Measures on traffic: what one variant does with flows, connections and live connections.

Owns how each is taken. Every one of them starts with empty connection tables and with flows that have never been
sent before, and tells what was lost. Rates are of what arrived behind the firewall, by the clock on the wall.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark import usage
from benchmark.spaces import conntrack_room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmark.generators import Generators
    from benchmark.plan import Plan
    from benchmark.spaces import Bed
    from benchmark.variants import Running

_WARM_FLOWS, _WARM_SECONDS = 20_000, 0.4
"""At most, in one warm-up."""
_MOST_WARM_UPS = 40
_STEADY_WARM_UPS = 3
_BETWEEN_WARM_UPS = 0.1
"""Seconds. What is learned may reach the kernel in batches."""
_LESS = 0.99
_ROOM_TO_GO_ROUND = 2**24
_MANY_CLIENTS = 16
_MEGABYTE = 1e6


class Measured(NamedTuple):
    """Numbers by name, and losses by place."""

    values: Mapping[str, float]
    lost: Mapping[str, int]


@dataclass
class Cell:
    """A variant that stands, and what it is to be measured with."""

    bed: Bed
    generators: Generators
    running: Running
    plan: Plan
    clients: int
    taken: int = 0
    """Flow numbers used so far: none is ever sent twice."""
    tcp_is_warm: bool = False

    def take(self, flows: int) -> int:
        """Return the first of so many flow numbers that nobody has used."""
        first = self.taken
        self.taken = (self.taken + flows) % _ROOM_TO_GO_ROUND
        return first

    @property
    def most_flows(self) -> int:
        """How many connections a measurement may make."""
        return min(self.plan.flows, conntrack_room())

    def observe(
        self, name: str, seconds: float, **words: int
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, int]]:
        """Run a generator; return what it says, CPU seconds by role, and what was lost where."""
        self.bed.forget_connections()
        lost, queued = self.bed.losses(), self.bed.queued()
        used = {"machine": usage.machine_seconds(), **self._process_seconds()}
        said = self.generators.run(name, seconds=seconds, **words)
        now = {"machine": usage.machine_seconds(), **self._process_seconds()}
        said["queued"] = self.bed.queued() - queued
        # All namespaces share one hash table of connections: the next variant is not to walk over ours.
        self.bed.forget_connections()
        return said, {role: now[role] - used[role] for role in used}, self.bed.losses().since(lost)._asdict()

    def _process_seconds(self) -> dict[str, float]:
        return {role: usage.process_seconds(pid) for role, pid in self.running.processes.items()}


def warm(cell: Cell) -> None:
    """Send flows of each source, at full speed and several times, until the queue takes no fewer than before.

    What a variant learns, it has then learned. Every variant gets the same turns at least: code, caches and clocks
    of all have then seen the same.
    """
    _repeat(cell, "flood", {})


def _repeat(cell: Cell, program: str, words: Mapping[str, int]) -> None:
    """Run a generator for a moment, and again, until the queue has taken no fewer packets over some turns."""
    taken: list[int] = []
    share = "most" if program == "connect" else "flows"
    for _ in range(_MOST_WARM_UPS):
        queued = cell.bed.queued()
        flows = {share: _WARM_FLOWS, "first": cell.take(_WARM_FLOWS), **words}
        cell.generators.run(program, seconds=_WARM_SECONDS, **flows)
        time.sleep(_BETWEEN_WARM_UPS)
        taken.append(cell.bed.queued() - queued)
        if len(taken) > _STEADY_WARM_UPS and taken[-1] >= taken[-1 - _STEADY_WARM_UPS] * _LESS:
            return


# -- UDP ---------------------------------------------------------------------------------------------------


def flood(cell: Cell) -> Measured:
    """New UDP flows a second, closed loop, and the CPU seconds that 100,000 of them take."""
    return _flows(cell, first=cell.take(cell.most_flows))


def overload(cell: Cell) -> Measured:
    """New UDP flows a second that get through while more are sent than can be judged."""
    return _flows(cell, first=cell.take(cell.most_flows), window=0)


def packets(cell: Cell) -> Measured:
    """Packets a second of flows that live already, one flow a source."""
    return _flows(cell, same=1, first=cell.take(cell.clients))


def _flows(cell: Cell, **words: int) -> Measured:
    said, used, lost = cell.observe("flood", cell.plan.seconds, flows=cell.most_flows, **words)
    arrived = max(said["arrived"], 1)
    values = {
        "rate": said["arrived"] / max(said["seconds"], 1e-9),
        "lost_percent": 100 * (1 - said["arrived"] / max(said["sent"], 1)),
        "queued_percent": 100 * said["queued"] / max(said["sent"], 1),
    }
    values |= {f"{role}_cpu": seconds / arrived * 100_000 for role, seconds in used.items()}
    return Measured(
        values,
        {"sent": said["sent"], "lost": said["sent"] - said["arrived"], "stalls": said["stalls"], **lost},
    )


# -- TCP ---------------------------------------------------------------------------------------------------


def connect(cell: Cell) -> Measured:
    """TCP connections a second of one client, and how long each takes to open."""
    return _connections(cell, 1)


def connect_many(cell: Cell) -> Measured:
    """The same of sixteen clients at once."""
    return _connections(cell, _MANY_CLIENTS)


def _connections(cell: Cell, threads: int) -> Measured:
    most = cell.most_flows
    if not cell.tcp_is_warm:
        _repeat(cell, "connect", {"threads": 1})
        cell.tcp_is_warm = True
    said, used, lost = cell.observe(
        "connect", cell.plan.seconds_connecting, threads=threads, most=most, first=cell.take(most)
    )
    connected = said["connected"]
    values = {
        "rate": connected / said["seconds"],
        **{name: said[name] for name in ("p50", "p95", "p99", "max")},
    }
    values |= {f"{role}_cpu": seconds / max(connected, 1) * 100_000 for role, seconds in used.items()}
    tried = {"sent": connected + said["failed"], "lost": said["failed"], "retried": said["retried"]}
    return Measured(values, {**tried, **lost})


def stream(cell: Cell) -> Measured:
    """Throughput of one TCP connection that lives already."""
    said, _, lost = cell.observe("stream", cell.plan.seconds_streaming)
    return Measured({"gbit": said["bytes"] * 8 / said["seconds"] / 1e9}, lost)


# -- what it takes ---------------------------------------------------------------------------------------------


def memory(cell: Cell) -> Measured:
    """Memory of each process, behind all of the above: `pss` counts shared pages by share, `rss` in full."""
    values = {
        f"{role}_{kind}": size / _MEGABYTE
        for role, pid in cell.running.processes.items()
        for kind, size in usage.memory_bytes(pid).items()
    }
    return Measured(values, {})


def ready(cell: Cell) -> Measured:
    """Time from the start of the program, or of nft, until it enforces."""
    return Measured({"seconds": cell.running.ready_seconds}, {})


_ONCE = frozenset({"memory", "ready"})
"""What does not change from one moment to the next."""


def looks(name: str, plan: Plan) -> int:
    """Return how often a measure is taken in a round.

    A virtual processor is a third slower for seconds, and then is not: one look would tell more of that than of the
    firewall.
    """
    return 1 if name in _ONCE else plan.repeats


MEASURES: Mapping[str, Callable[[Cell], Measured]] = {
    "flood": flood,
    "overload": overload,
    "packets": packets,
    "connect": connect,
    "connect16": connect_many,
    "stream": stream,
    "memory": memory,
    "ready": ready,
}
"""In the order in which they are taken."""
