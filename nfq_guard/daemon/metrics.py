"""Prometheus metrics, read from shared memory and the kernel when somebody asks.

Owns the names, labels and help texts. Must never be pushed to from the packet path:
a scrape reads what is there.
"""

from __future__ import annotations

import platform
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from nfq_guard import __version__
from nfq_guard.daemon.counters import LATENCY_BOUNDS_NS, VerdictLabels, Word
from nfq_guard.engine.ruleset import CounterKey, OutcomeKey, StagedKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from nfq_guard.daemon.readings import KernelReadings
    from nfq_guard.daemon.telemetry import Telemetry

_NS = 1_000_000_000
ENDPOINT_STATES = ("up", "down", "error")
_BY_KEY = {
    CounterKey: (
        "nfq_guard_policy_verdicts",
        "Packets that a rule, an end-of-tier action or the default decided, passed on or logged.",
        CounterKey._fields,
    ),
    StagedKey: (
        "nfq_guard_staged_policy_packets",
        "Packets that a staged policy's rule, or an end of its tier, would have decided, passed on or logged.",
        CounterKey._fields,
    ),
    OutcomeKey: (
        "nfq_guard_staged_verdicts",
        "Packets by what was enforced at a place and what would have been with the staged policies live.",
        OutcomeKey._fields,
    ),
}
"""Families of what has a counter by policy."""

_WORDS = (
    ("nfq_guard_packets", Word.PACKETS, "Packets judged by the engine."),
    (
        "nfq_guard_flow_table_hits",
        Word.FLOW_HITS,
        "Packets answered from the flow table, which holds what may come again.",
    ),
    ("nfq_guard_flow_table_misses", Word.FLOW_MISSES, "Packets that were not answered from the flow table."),
    (
        "nfq_guard_engine_errors",
        Word.ENGINE_ERRORS,
        "Exceptions while judging; the fail mode decided instead.",
    ),
    ("nfq_guard_notes_lost", Word.NOTES_LOST, "Log lines of workers that could not be taken."),
)


class GuardCollector(Collector):
    """Turns telemetry into metric families, once a scrape."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Read from this."""
        self._telemetry = telemetry

    def describe(self) -> list[Metric]:
        """Return nothing: registering must not read the kernel."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        # First what the kernel counts: a part of it is rules'.
        kernel = self._telemetry.read_kernel()
        yield from self._policy()
        yield from self._verdicts(kernel)
        yield from self._learned()
        yield from self._decisions()
        yield from self._state()

    def _policy(self) -> Iterator[Metric]:
        families = {
            kind: CounterMetricFamily(name, text, labels=labels)
            for kind, (name, text, labels) in _BY_KEY.items()
        }
        for key, count in self._telemetry.slots.counts():
            families[type(key)].add_metric(key.line if isinstance(key, StagedKey) else key, count)
        yield from families.values()

    def _learned(self) -> Iterator[Metric]:
        taught, refused = self._telemetry.learned()
        yield _counter("nfq_guard_learned_verdicts", "Decisions that the kernel was taught.", taught)
        yield _counter("nfq_guard_learned_refused", "Decisions that the kernel did not take.", refused)

    def _verdicts(self, kernel: KernelReadings) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "nfq_guard_verdicts",
            "Packets by verdict and reason, decided in user space or, ahead of the queue, in the kernel.",
            labels=VerdictLabels._fields,
        )
        counts: Counter[VerdictLabels] = Counter()
        for labels, count in self._telemetry.counters.verdicts():
            counts[labels] += count
        counts.update(kernel.verdicts)
        for labels, count in counts.items():
            if count or labels in kernel.verdicts:
                family.add_metric(labels, count)
        yield family
        yield GaugeMetricFamily("nfq_guard_queue_depth", "Packets waiting for a verdict.", kernel.queue_depth)
        yield _counter("nfq_guard_queue_dropped", "Packets that found the queue full.", kernel.queue_dropped)
        yield _counter(
            "nfq_guard_queue_user_dropped",
            "Packets that found the worker's receive buffer full.",
            kernel.queue_user_dropped,
        )

    def _decisions(self) -> Iterator[Metric]:
        counters = self._telemetry.counters
        latency = counters.latency()
        bounds = [f"{bound / _NS:.6g}" for bound in LATENCY_BOUNDS_NS] + ["+Inf"]
        family = HistogramMetricFamily(
            "nfq_guard_decision_seconds",
            "Time to judge a packet in the worker, without its wait in the queue; of packets that come together, "
            "the first is timed.",
        )
        buckets = list(zip(bounds, map(float, accumulate(latency.counts)), strict=True))
        family.add_metric((), buckets, latency.sum_ns / _NS)
        yield family
        for name, word, text in _WORDS:
            yield _counter(name, text, counters.word(word))
        yield GaugeMetricFamily(
            "nfq_guard_flow_table_entries", "Packets in the flow table.", counters.word(Word.FLOW_ENTRIES)
        )
        unparsable = CounterMetricFamily(
            "nfq_guard_unparsable_packets",
            "Packets that could not be judged; the fail mode decided instead.",
            labels=("reason",),
        )
        for reason, count in counters.unparsable():
            unparsable.add_metric((reason,), count)
        yield unparsable

    def _state(self) -> Iterator[Metric]:
        seen = self._telemetry
        hits, misses = seen.selector_cache()
        yield _counter("nfq_guard_selector_cache_hits", "Selectors found compiled.", hits)
        yield _counter("nfq_guard_selector_cache_misses", "Selectors that had to be compiled.", misses)
        yield GaugeMetricFamily(
            "nfq_guard_config_load_error",
            "1: the last change was refused and an older policy is in force.",
            int(bool(seen.load_errors)),
        )
        yield GaugeMetricFamily(
            "nfq_guard_config_loaded_timestamp_seconds",
            "When the policy in force was loaded.",
            seen.loaded_at,
        )
        yield GaugeMetricFamily("nfq_guard_generation", "Generation of the policy in force.", seen.generation)
        yield GaugeMetricFamily(
            "nfq_guard_ready", "1: kernel and workers enforce the current generation.", int(not seen.trouble)
        )
        yield _counter("nfq_guard_worker_restarts", "Workers started again.", seen.worker_restarts)
        yield _counter(
            "nfq_guard_table_reinstalls", "Times the table was gone and put back.", seen.table_reinstalls
        )
        yield _counter(
            "nfq_guard_deny_log_missed",
            "Denied packets that the deny log did not see: too many to be written down, or read in time.",
            seen.deny_log_missed,
        )
        up = GaugeMetricFamily("nfq_guard_worker_up", "1: a worker holds the queue.", labels=("queue",))
        for queue, state in sorted(seen.workers_up.items()):
            up.add_metric((str(queue),), int(state))
        yield up
        yield self._endpoints()
        build = GaugeMetricFamily("nfq_guard_build_info", "Always 1.", labels=("version", "python"))
        build.add_metric((__version__, platform.python_version()), 1)
        yield build

    def _endpoints(self) -> Metric:
        family = GaugeMetricFamily("nfq_guard_endpoints", "Host endpoints by state.", labels=("status",))
        ruleset = self._telemetry.ruleset
        counts = Counter(ruleset.endpoint_status.values() if ruleset is not None else ())
        for state in ENDPOINT_STATES:
            family.add_metric((state,), counts[state])
        return family


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value)
