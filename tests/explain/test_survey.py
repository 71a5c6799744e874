"""What a verdict depends on of what a question leaves open."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import flow_of, host_endpoint, policy, ruleset_of
from strategies import FACTS, inventories, random_flow

from nfq_guard.engine import decide
from nfq_guard.explain import survey as module
from nfq_guard.explain.survey import TooOpenError, survey, with_values
from nfq_guard.model.flow import ICMP_OF_FAMILY

FLOW = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
FLOW |= {"sport": 0, "dport": 0}
WEB = policy(
    "web", ingress=[{"action": "Allow", "protocol": "TCP", "destination": {"ports": [80, "8000:8100"]}}]
)


def test_the_values_of_each_answer_are_told_whole() -> None:
    found = survey(ruleset_of(FACTS, host_endpoint(), WEB), flow_of(FLOW), ["dport"])

    by_rule = {str(group.decision.reason): group.values["dport"].spans for group in found.groups}
    assert found.matters == ("dport",)
    assert by_rule["policy"] == ((80, 80), (8000, 8100))
    assert sum(high - low + 1 for spans in by_rule.values() for low, high in spans) == 65_536


def test_a_field_that_makes_no_difference_does_not_matter() -> None:
    found = survey(ruleset_of(FACTS, host_endpoint(), WEB), flow_of(FLOW), ["sport", "src", "dport"])

    assert found.matters == ("dport",)


def test_a_question_may_be_too_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)

    with pytest.raises(TooOpenError, match="say more about dport"):
        survey(ruleset_of(FACTS, host_endpoint(), WEB), flow_of(FLOW), ["dport"])


@given(inventories(), st.integers(0, 2**32).map(Random))
def test_every_packet_that_may_be_meant_gets_the_answer_of_its_values(
    resources: list[dict[str, Any]], chance: Random
) -> None:
    ruleset = ruleset_of(FACTS, *resources)
    for _ in range(4):
        flow, other = flow_of(random_flow(chance)), flow_of(random_flow(chance))
        packet = flow.packet
        fields = ["src"] if other.packet.family == packet.family else []
        if packet.protocol == ICMP_OF_FAMILY[packet.family]:
            fields.append("icmp")
        if packet.protocol in {6, 17} and flow.original_dport is None:
            fields.append("dport")
        found = survey(ruleset, flow, fields)
        values = {
            "src": other.packet.src,
            "icmp": chance.choice([8, 128, 130, 135, 255]) << 8,
            "dport": chance.choice([0, 22, 80, 443]),
        }
        values = {name: values[name] for name in fields}

        decision = decide(ruleset, with_values(flow, values))

        (group,) = [group for group in found.groups if group.decision == decision]
        assert all(value in group.values[name] for name, value in values.items())
        assert decide(ruleset, group.example) == group.decision
