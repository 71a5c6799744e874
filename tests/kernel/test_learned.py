"""What the kernel is taught, as text and as the kernel takes it."""

from __future__ import annotations

import pytest

from nfq_guard.kernel.learned import Learned, additions, counter_name, learned_maps, lookups, slot_of
from nfq_guard.model.addresses import parse_address
from nfq_guard.model.decision import Verdict
from nfq_guard.model.flow import TCP, Side

SECONDS = {Verdict.ALLOW: 60, Verdict.DENY: 10}


def learned(src: str, dst: str, side: Side = Side.INGRESS, verdict: Verdict = Verdict.ALLOW) -> Learned:
    family, source = parse_address(src)
    return Learned(side, "eth0", family, TCP, source, parse_address(dst)[1], 443, verdict, 7)


def test_a_verdict_is_an_element_that_times_out_and_names_its_rules_counter() -> None:
    text = additions("nfq_guard", [learned("10.0.0.2", "10.0.0.1")], SECONDS)

    assert text == (
        "add counter inet nfq_guard rule_7\n"
        "add element inet nfq_guard learned_allow_in4 "
        '{ "eth0" . 10.0.0.2 . 10.0.0.1 . 6 . 443 timeout 60s : "rule_7" }\n'
    )


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (learned("10.0.0.2", "10.0.0.1", Side.EGRESS), "learned_allow_out4"),
        (learned("fd00::2", "fd00::1", verdict=Verdict.DENY), "learned_deny_in6"),
    ],
    ids=["an IPv4 allow going out", "an IPv6 deny coming in"],
)
def test_each_kind_of_verdict_has_a_map_of_its_own(one: Learned, name: str) -> None:
    assert one.map == name
    assert name in {item.name for item in learned_maps()}


def test_every_map_that_is_looked_up_is_declared() -> None:
    declared = {item.name for item in learned_maps()}
    outcomes = {Verdict.ALLOW: "goto stamp_in", Verdict.DENY: "drop"}
    asked = [line for side in Side for line in lookups(side, outcomes)]

    assert {line.partition("@")[2].partition(" ")[0] for line in asked} == declared
    assert len(asked) == len(declared) == 8


@pytest.mark.parametrize(
    ("name", "slot"), [(counter_name(12), 12), ("failsafe_in", None), ("rule_", None), ("rule_x", None)]
)
def test_a_counters_name_tells_its_slot(name: str, slot: int | None) -> None:
    assert slot_of(name) == slot
