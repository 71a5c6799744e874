"""The lines that recur say the same wherever they stand, and never the opposite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nfq_guard.kernel.marks import Code, Stamp
from nfq_guard.kernel.phrases import IN, OUT, Phrases
from nfq_guard.kernel.plan import (
    EstablishedFlows,
    FailMode,
    FailsafePorts,
    KernelPlan,
    KernelSettings,
    PortSpan,
)

PLAN = KernelPlan(2, ("eth0",))
FAILSAFE = replace(
    PLAN,
    inbound=FailsafePorts(((6, 22),), v4=(PortSpan(6, 80, 1, 2),)),
    outbound=FailsafePorts(v6=(PortSpan(6, 53, 1, 2),)),
)


def phrases(settings: KernelSettings = KernelSettings(), plan: KernelPlan = PLAN) -> Phrases:  # noqa: B008 - frozen
    return Phrases(plan, settings)


def test_a_failsafe_port_is_one_of_the_peer_in_each_direction() -> None:
    said = phrases(plan=FAILSAFE)

    assert list(said._failsafes(IN, "accept")) == [
        "meta l4proto . th dport @failsafe_in accept",
        "meta l4proto . th dport . ip saddr @failsafe_in4 accept",
    ]
    assert list(said._failsafes(OUT, "accept")) == [
        "meta l4proto . th dport . ip6 daddr @failsafe_out6 accept"
    ]


def test_an_answer_is_known_by_the_other_directions_ports() -> None:
    said = phrases(plan=FAILSAFE)

    assert list(said._answers(IN)) == ["meta l4proto . th sport . ip6 saddr @failsafe_out6 accept"]
    assert next(said._answers(OUT)) == "meta l4proto . th sport @failsafe_in accept"
    assert [line.split(" tcp ")[0] for line in said._old_answers()] == [
        "meta l4proto . th sport @failsafe_in",
        "meta l4proto . th sport . ip daddr @failsafe_in4",
    ]


def test_a_new_connection_is_spared_what_older_ones_meet() -> None:
    assert list(phrases()._unless_known("in"))[1:] == ["ct state != new jump known_in"]


@pytest.mark.parametrize(("mode", "last"), [(FailMode.CLOSED, "drop"), (FailMode.OPEN, "accept")])
def test_what_nobody_can_be_asked_about_gets_the_fail_mode(mode: FailMode, last: str) -> None:
    assert list(phrases(KernelSettings(fail_mode=mode))._ask("in"))[-1] == last


def test_live_connections_are_kept_only_where_the_settings_say_so() -> None:
    kept = phrases(KernelSettings(established_flows=EstablishedFlows.KEEP))

    assert "ct state established accept" in kept._known("in")
    assert "ct state established accept" not in phrases()._known("in")


def test_invalid_packets_are_dropped_unless_the_plan_lets_them() -> None:
    assert 'ct state invalid counter name "invalid_in" drop' in phrases()._known("in")
    assert not [
        line for line in phrases(plan=replace(PLAN, drop_invalid=False))._known("in") if "invalid" in line
    ]


def test_a_stamp_is_told_from_every_other() -> None:
    said = phrases()

    assert len({said._stamped(stamp) for stamp in Stamp}) == len(Stamp)
    assert len({said._has(code) for code in Code}) == len(Code)
