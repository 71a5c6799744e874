"""New flows a second: UDP packets of distinct 5-tuples, closed loop (c/flood.c says how and why)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark import usage
from benchmark.spaces import conntrack_room

if TYPE_CHECKING:
    from benchmark.generators import Generators
    from benchmark.spaces import Bed
    from benchmark.variants import Running

WARM_TURNS = 8
"""Flows of each source before anything is measured."""
MOST_WARM_UPS = 40
_LEARNED = 0.01


def warm(bed: Bed, generators: Generators, clients: int) -> int:
    """Send some flows of each source until the queue takes no fewer than before; return how many were sent.

    What a variant learns, it has learned then; and every variant gets at least two turns, so that code, caches
    and clocks of all have seen the same.
    """
    flows = WARM_TURNS * clients
    sent, before = 0, -1
    for _ in range(MOST_WARM_UPS):
        queued = bed.queued()
        generators.run("flood", seconds=20, flows=flows, first=sent)
        sent += flows
        taken = bed.queued() - queued
        if before >= 0 and taken >= before * (1 - _LEARNED):
            break
        before = taken
    return sent


def flood(
    bed: Bed, generators: Generators, running: Running, flows: int, first: int, seconds: float
) -> dict[str, Any]:
    """Send `flows` flows and return rate, losses and CPU seconds for 100,000 flows."""
    bed.forget_connections()
    flows = min(flows, conntrack_room())
    lost, queued = bed.losses(), bed.queued()
    machine = usage.machine_seconds()
    processes = {role: usage.process_seconds(pid) for role, pid in running.processes.items()}
    said = generators.run("flood", seconds=seconds, flows=flows, first=first)
    processes = {
        role: usage.process_seconds(pid) - processes[role] for role, pid in running.processes.items()
    }
    machine = usage.machine_seconds() - machine
    arrived = max(said["arrived"], 1)
    return {
        "rate": said["arrived"] / said["seconds"],
        "sent": said["sent"],
        "arrived": said["arrived"],
        "lost": said["sent"] - said["arrived"],
        "stalls": said["stalls"],
        "queued": bed.queued() - queued,
        "losses": bed.losses().since(lost)._asdict(),
        "machine_cpu_100k": machine / arrived * 100_000,
        "process_cpu_100k": {role: used / arrived * 100_000 for role, used in processes.items()},
    }
