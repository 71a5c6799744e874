"""What a run is to do: which variants, policies and measures, how often and how long.

Owns the parameters and what --quick makes of them. All of them are printed with the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmark import control, traffic
from benchmark.variants import BY_NAME

MATCHES = ("spread", "last")


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of a run. Times in seconds."""

    rounds: int = 5
    minutes: float = 40.0
    policies: tuple[int, ...] = (1, 10, 100, 1_000, 10_000)
    variants: tuple[str, ...] = tuple(BY_NAME)
    measures: tuple[str, ...] = (*traffic.MEASURES, *control.MEASURES)
    match: str = "spread"
    flows: int = 200_000
    seconds: float = 8.0
    seconds_connecting: float = 0.5
    seconds_streaming: float = 1.5
    repeats: int = 5
    chains_at_most: int = 1_000
    control_rounds: int = 3
    compile_policies: int = 10_000
    compile_sets: int = 2_000
    start_policies: int = 100
    starts: int = 5
    reload_policies: int = 1_000
    edits: int = 20
    disturbance_policies: int = 10_000
    disturbance_seconds: float = 5.0
    watch_policies: int = 100
    watch_flows: int = 100_000
    watch_seconds: float = 16.0
    watch_looks: int = 6
    watch_rate: int = 50_000


HELP = {
    "rounds": "rounds over all variants",
    "minutes": "time after which no further round begins",
    "policies": "counts of policies",
    "variants": "what is compared",
    "measures": "what is measured",
    "match": "policies that decide about the traffic: spread evenly over the list, or the last alone",
    "flows": "flows or connections that one measurement makes at most",
    "seconds": "what one flood may take; a slow variant sends fewer flows",
    "seconds_connecting": "of each connect measurement",
    "seconds_streaming": "of each throughput measurement",
    "repeats": "times that flows, connections and throughput are measured each time; the median counts",
    "chains_at_most": "policies beyond which the ruleset with a chain per policy is left out",
    "control_rounds": "rounds in which files, compiling, reloading and watching are measured",
    "compile_policies": "policies that are compiled",
    "compile_sets": "network sets that they share",
    "start_policies": "policies that the guard is started with",
    "starts": "starts in a round",
    "reload_policies": "policies, a file each, of which one is edited",
    "edits": "edits in a round",
    "disturbance_policies": "policies that are reloaded while the delay of verdicts is watched",
    "disturbance_seconds": "how long it is watched while nothing is reloaded",
    "watch_policies": "policies under which verdicts are watched",
    "watch_flows": "flows that one look at watching makes at most",
    "watch_seconds": "for how long a watcher is stopped in a round",
    "watch_looks": "looks in a round at each other watcher at full speed, and half as many at the rate",
    "watch_rate": "verdicts a second that are offered, where it is not all that there can be",
}
"""What each parameter means; times in seconds. Also the order of the command line."""


def quick(plan: Plan) -> Plan:
    """Return a plan that is done in two minutes: enough to see that all works, too little to believe a number."""
    return replace(
        plan,
        rounds=1,
        policies=(1, 100),
        repeats=1,
        flows=30_000,
        seconds=2.0,
        seconds_connecting=0.7,
        seconds_streaming=0.7,
        control_rounds=1,
        compile_policies=1_000,
        compile_sets=200,
        starts=1,
        reload_policies=100,
        edits=3,
        disturbance_policies=200,
        disturbance_seconds=1.0,
        watch_seconds=4.0,
        watch_looks=1,
    )
