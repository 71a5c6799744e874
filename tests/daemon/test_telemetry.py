from __future__ import annotations

import time

from nfq_guard.daemon.counters import Reader
from nfq_guard.daemon.readings import KernelReadings
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.engine.ruleset import EndpointState, Ruleset


def telemetry() -> Telemetry:
    return Telemetry(Reader(()), SlotTable(1, lambda _: 0), lambda: KernelReadings({}), lambda: (0, 0))


def test_it_is_not_ready_before_something_is_in_force() -> None:
    assert telemetry().ready() == (False, "starting")
    assert telemetry().generation == 0


def test_it_is_ready_without_trouble_and_says_if_a_change_was_refused() -> None:
    seen = telemetry()
    seen.trouble, seen.ruleset = "", Ruleset("n", generation=4)
    assert seen.ready() == (True, "enforcing generation 4")

    seen.load_errors = ("bad",)

    assert seen.ready().good
    assert "an older policy is in force" in seen.ready().text


def test_it_is_ready_and_says_which_host_endpoint_governs_nothing() -> None:
    idle = EndpointState("HostEndpoint", "wan", "", "error", (), "no interface eth9 yet")
    workload = EndpointState("WorkloadEndpoint", "pod", "shop", "error", (), "no interface cali9 yet")
    seen = telemetry()
    seen.trouble, seen.ruleset = "", Ruleset("n", endpoint_states=(idle, workload), generation=4)
    one = "enforcing generation 4; host endpoint wan governs nothing (no interface eth9 yet)"
    assert seen.ready() == (True, one)

    seen.ruleset = Ruleset("n", endpoint_states=(idle, idle._replace(name="lan")), generation=4)

    assert seen.ready() == (True, "enforcing generation 4; 2 host endpoints govern nothing")


def test_a_loop_that_does_not_turn_is_not_healthy() -> None:
    seen = telemetry()
    assert seen.healthy() == (True, "ok")

    seen.turned_at = time.monotonic() - 60

    assert not seen.healthy().good
    assert "60 s" in seen.healthy().text
