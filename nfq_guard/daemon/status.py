"""What `nfq-guard status` is told.

Owns the shape of the answer. Must only read.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nfq_guard import __version__
from nfq_guard.daemon.counters import Word
from nfq_guard.engine.ruleset import OutcomeKey, StagedKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nfq_guard.daemon.readings import KernelReadings
    from nfq_guard.daemon.settings import Settings
    from nfq_guard.daemon.telemetry import Telemetry
    from nfq_guard.engine.chain import Chain
    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset


def status(telemetry: Telemetry, settings: Settings, pids: Mapping[int, int]) -> dict[str, Any]:
    """Return the state of the guard as JSON-ready values."""
    ready = telemetry.ready()
    # First: a part of what the kernel counts is rules'.
    kernel = telemetry.read_kernel()
    ruleset = telemetry.ruleset
    return {
        "version": __version__,
        "pid": os.getpid(),
        "ready": ready.good,
        "detail": ready.text,
        "node": ruleset.node if ruleset is not None else settings.node,
        "generation": telemetry.generation,
        "rules": list(settings.rules),
        "loaded_at": telemetry.loaded_at,
        "load_errors": list(telemetry.load_errors),
        "fail_mode": settings.fail_mode,
        "endpoints": [] if ruleset is None else [state._asdict() for state in ruleset.endpoint_states],
        "chains": [] if ruleset is None else list(_chains(ruleset, telemetry)),
        "staged_policies": 0 if ruleset is None else ruleset.staged_policies,
        "staged": [] if ruleset is None else list(_staged(ruleset, telemetry)),
        "verdicts": list(_verdicts(telemetry, kernel)),
        "queues": _queues(telemetry, kernel, pids),
        "flow_table": {
            "hits": telemetry.counters.word(Word.FLOW_HITS),
            "misses": telemetry.counters.word(Word.FLOW_MISSES),
            "entries": telemetry.counters.word(Word.FLOW_ENTRIES),
        },
        "worker_restarts": telemetry.worker_restarts,
        "table_reinstalls": telemetry.table_reinstalls,
    }


def _chains(ruleset: Ruleset, telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """Yield each endpoint's chains with their rules in the order in which they are evaluated."""
    for whose, endpoint in compiled_endpoints(ruleset):
        for (stage, side), chain in endpoint.chains.items():
            rules = list(rules_of(chain, ruleset, telemetry))
            yield whose | {"stage": str(stage), "direction": str(side), "rules": rules}


def _staged(ruleset: Ruleset, telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """Yield the same of staged policies alone, with how they would have judged beside what was enforced."""
    count = telemetry.slots.count
    for whose, endpoint in compiled_endpoints(ruleset):
        for (stage, side), pending in endpoint.pending.items():
            keys = [ruleset.counted[index] for index in pending.outcomes.values()]
            yield whose | {
                "stage": str(stage),
                "direction": str(side),
                "rules": list(rules_of(pending.chain, ruleset, telemetry)),
                "verdicts": [
                    {"enforced": key.enforced, "staged": key.staged, "packets": count(key)}
                    for key in keys
                    if isinstance(key, OutcomeKey)
                ],
            }


def compiled_endpoints(ruleset: Ruleset) -> Iterator[tuple[dict[str, Any], GuardedEndpoint]]:
    """Yield each endpoint that has chains, and what tells it from others: host endpoints first."""
    hosts = {endpoint.name: endpoint for endpoint in ruleset.by_interface.values()}
    if ruleset.wildcard is not None:
        hosts[ruleset.wildcard.name] = ruleset.wildcard
    for endpoint in hosts.values():
        yield _whose("HostEndpoint", endpoint), endpoint
    for interface, endpoint in ruleset.workloads.items():
        yield _whose("WorkloadEndpoint", endpoint, interface), endpoint


def _whose(kind: str, endpoint: GuardedEndpoint, interface: str = "") -> dict[str, Any]:
    """Return whose a chain is. A host endpoint may have several interfaces: they stand in its state."""
    return {
        "kind": kind,
        "endpoint": endpoint.name,
        "namespace": endpoint.namespace,
        "interface": interface,
    }


def rules_of(chain: Chain, ruleset: Ruleset, telemetry: Telemetry) -> Iterator[dict[str, Any]]:
    """Yield the rules of a chain that are counted, in order, each with its place and count."""
    previous = -1
    for line in chain.rules:
        # A rule may take several lines of the chain; they share its counter.
        if line.counter in {-1, previous}:
            continue
        previous = line.counter
        key = ruleset.counted[line.counter]
        labels = key.line if isinstance(key, StagedKey) else key
        place = {"file": line.ref.file, "line": line.ref.line} if line.ref is not None else {}
        yield labels._asdict() | place | {"packets": telemetry.slots.count(key)}


def _verdicts(telemetry: Telemetry, kernel: KernelReadings) -> Iterator[dict[str, Any]]:
    for labels, count in telemetry.counters.verdicts():
        if count:
            yield labels._asdict() | {"packets": count}
    for labels, count in kernel.verdicts.items():
        yield labels._asdict() | {"packets": count}


def _queues(telemetry: Telemetry, kernel: KernelReadings, pids: Mapping[int, int]) -> dict[str, Any]:
    return {
        "depth": kernel.queue_depth,
        "dropped": kernel.queue_dropped,
        "user_dropped": kernel.queue_user_dropped,
        "workers": [
            {"queue": queue, "up": up, "pid": pids.get(queue)}
            for queue, up in sorted(telemetry.workers_up.items())
        ],
    }
