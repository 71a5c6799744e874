"""The lines that recur say the same wherever they stand, and never the opposite."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nfq_guard.kernel.marks import Code, Stamp
from nfq_guard.kernel.phrases import IN, OUT, Phrases
from nfq_guard.kernel.plan import EstablishedFlows, FailMode, KernelPlan, KernelSettings

PLAN = KernelPlan(2, ("eth0",))


def phrases(settings: KernelSettings = KernelSettings(), plan: KernelPlan = PLAN) -> Phrases:  # noqa: B008 - frozen
    return Phrases(plan, settings)


def test_a_failsafe_port_is_one_of_the_peer_in_each_direction() -> None:
    inward, outward = list(Phrases._failsafes(IN, "accept")), list(Phrases._failsafes(OUT, "accept"))

    assert [line.count("@failsafe_in") for line in inward] == [1, 1, 1]
    assert [word in line for word, line in zip(("th dport", "ip saddr", "ip6 saddr"), inward, strict=True)]
    assert "ip daddr @failsafe_out4 accept" in outward[1]


def test_an_answer_is_known_by_the_other_directions_ports() -> None:
    assert next(iter(Phrases._answers(IN))) == "meta l4proto . th sport @failsafe_out accept"
    assert next(iter(Phrases._answers(OUT))) == "meta l4proto . th sport @failsafe_in accept"


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
