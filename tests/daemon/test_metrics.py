from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from nfq_guard.daemon import counters
from nfq_guard.daemon.counters import Reader, VerdictLabels, Word, create_block, map_block
from nfq_guard.daemon.metrics import GuardCollector
from nfq_guard.daemon.readings import KernelReadings
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.engine.ruleset import CounterKey, EndpointState, OutcomeKey, Ruleset, StagedKey
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = CounterKey("default", "GlobalNetworkPolicy", "web", "0", "ingress", "allow")
STAGED = StagedKey(KEY._replace(kind="StagedGlobalNetworkPolicy", policy="tried", action="deny"))
OUTCOME = OutcomeKey("host-eth0", "normal", "ingress", "allow", "deny")
KERNEL = {
    VerdictLabels("failsafe", "allow", "ingress", "normal"): 40,
    VerdictLabels("invalid", "deny", "egress", "normal"): 0,
}
NAMES = {
    "nfq_guard_policy_verdicts_total",
    "nfq_guard_staged_policy_packets_total",
    "nfq_guard_staged_verdicts_total",
    "nfq_guard_verdicts_total",
    "nfq_guard_decision_seconds_bucket",
    "nfq_guard_queue_depth",
    "nfq_guard_queue_dropped_total",
    "nfq_guard_queue_user_dropped_total",
    "nfq_guard_flow_table_hits_total",
    "nfq_guard_flow_table_misses_total",
    "nfq_guard_flow_table_entries",
    "nfq_guard_selector_cache_hits_total",
    "nfq_guard_selector_cache_misses_total",
    "nfq_guard_config_load_error",
    "nfq_guard_config_loaded_timestamp_seconds",
    "nfq_guard_generation",
    "nfq_guard_worker_restarts_total",
    "nfq_guard_worker_up",
    "nfq_guard_unparsable_packets_total",
    "nfq_guard_engine_errors_total",
    "nfq_guard_endpoints",
    "nfq_guard_build_info",
}
"""Names that dashboards and alerts rely on."""


@pytest.fixture
def samples() -> Iterator[dict[tuple[str, str], float]]:
    descriptor = create_block()
    words = map_block(descriptor)
    slots = SlotTable(4, lambda slot: words[counters.POLICY_BASE + slot])
    slots.assign([KEY, STAGED, OUTCOME])
    words[counters.POLICY_BASE] = 5
    words[counters.POLICY_BASE + 1], words[counters.POLICY_BASE + 2] = 6, 7
    words[counters.VERDICT_WORD[Reason.FAILSAFE, Verdict.ALLOW, Side.INGRESS, Stage.NORMAL]] = 2
    words[counters.LATENCY_BASE], words[counters.LATENCY_BASE + 2] = 3, 1
    words[Word.LATENCY_SUM_NS] = 12_000
    kernel = KernelReadings(KERNEL, 1, 2, 3)
    telemetry = Telemetry(Reader((words,)), slots, lambda: kernel, lambda: (8, 9))
    states = [
        EndpointState("HostEndpoint", name, "", status) for name, status in (("a", "up"), ("b", "error"))
    ]
    telemetry.ruleset = Ruleset(
        "n", endpoint_states=(*states, EndpointState("WorkloadEndpoint", "c", "ns", "error")), generation=3
    )
    telemetry.workers_up = {7: True, 8: False}
    telemetry.load_errors = ("bad",)
    registry = CollectorRegistry()
    registry.register(GuardCollector(telemetry))
    text = generate_latest(registry).decode()
    yield {
        (
            sample.name,
            ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    os.close(descriptor)


def test_every_promised_name_is_there(samples: dict[tuple[str, str], float]) -> None:
    assert {name for name, _ in samples} >= NAMES


def test_what_staged_policies_would_have_done_is_apart_from_what_is_enforced(
    samples: dict[tuple[str, str], float],
) -> None:
    enforced = [value for (name, _), value in samples.items() if name == "nfq_guard_policy_verdicts_total"]
    rule = "action=deny,direction=ingress,kind=StagedGlobalNetworkPolicy,policy=tried,rule=0,tier=default"
    outcome = "direction=ingress,endpoint=host-eth0,enforced=allow,stage=normal,staged=deny"

    assert enforced == [5]
    assert samples["nfq_guard_staged_policy_packets_total", rule] == 6
    assert samples["nfq_guard_staged_verdicts_total", outcome] == 7


def test_values_come_from_memory_kernel_and_state(samples: dict[tuple[str, str], float]) -> None:
    labels = "action=allow,direction=ingress,kind=GlobalNetworkPolicy,policy=web,rule=0,tier=default"
    expected = {
        ("nfq_guard_policy_verdicts_total", labels): 5,
        ("nfq_guard_verdicts_total", "direction=ingress,reason=failsafe,stage=normal,verdict=allow"): 42,
        ("nfq_guard_verdicts_total", "direction=egress,reason=invalid,stage=normal,verdict=deny"): 0,
        ("nfq_guard_decision_seconds_bucket", "le=2e-06"): 3,
        ("nfq_guard_decision_seconds_bucket", "le=1e-05"): 4,
        ("nfq_guard_decision_seconds_bucket", "le=+Inf"): 4,
        ("nfq_guard_decision_seconds_sum", ""): 12e-6,
        ("nfq_guard_queue_depth", ""): 1,
        ("nfq_guard_queue_dropped_total", ""): 2,
        ("nfq_guard_queue_user_dropped_total", ""): 3,
        ("nfq_guard_selector_cache_hits_total", ""): 8,
        ("nfq_guard_config_load_error", ""): 1,
        ("nfq_guard_generation", ""): 3,
        ("nfq_guard_ready", ""): 0,
        ("nfq_guard_worker_up", "queue=8"): 0,
        ("nfq_guard_endpoints", "status=error"): 1,
        ("nfq_guard_endpoints", "status=down"): 0,
    }
    assert {key: samples[key] for key in expected} == pytest.approx(expected)
