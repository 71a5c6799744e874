"""Policies that were not asked, and why."""

from __future__ import annotations

from typing import Any

import pytest
from policy import facts_of, flow_of, host_endpoint, inventory_of, policy

from nfq_guard.compile import compile_ruleset
from nfq_guard.explain import Explainer
from nfq_guard.explain.steps import Absence, Bystander
from nfq_guard.model.decision import Verdict

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"], "eth1": ["10.1.0.1"]}}
FLOW = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
FLOW |= {"sport": 40000, "dport": 443}
THROUGH = FLOW | {"direction": "forward", "out_interface": "eth1"}
ALLOW = [{"action": "Log"}, {"action": "Allow", "protocol": "UDP"}, {"action": "Allow"}]


def absent(flow: dict[str, Any], *resources: dict[str, Any]) -> list[Bystander]:
    inventory = inventory_of(host_endpoint(labels={"role": "web"}), *resources)
    return list(
        Explainer(inventory, compile_ruleset(inventory, facts_of(FACTS)).ruleset)
        .explain(flow_of(flow))
        .bystanders
    )


NAMESPACED = {
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "shop"},
    "spec": {"ingress": ALLOW},
}
STAGED = policy("p", ingress=ALLOW) | {"kind": "StagedGlobalNetworkPolicy"}


@pytest.mark.parametrize(
    ("flow", "resource", "absence", "why"),
    [
        (FLOW, policy("p", selector="role == 'db'", ingress=ALLOW), Absence.SELECTOR, "label role is 'web'"),
        (FLOW, policy("p", types=["Egress"], ingress=ALLOW), Absence.DIRECTION, "types: [Egress]"),
        (FLOW, policy("p", egress=ALLOW), Absence.DIRECTION, "no types given and no ingress rules: Egress"),
        (FLOW, NAMESPACED, Absence.NAMESPACE, "namespace shop"),
        (FLOW, STAGED, Absence.STAGED, "staged"),
        (
            FLOW,
            STAGED | {"spec": {"types": ["Egress"], "ingress": ALLOW}},
            Absence.DIRECTION,
            "never enforced; besides, it is not asked about ingress (types: [Egress]",
        ),
        (THROUGH, policy("p", ingress=ALLOW), Absence.STAGE, "applyOnForward is not set"),
        (
            FLOW | {"original_dst": "198.51.100.1", "original_dport": 80, "direction": "in"},
            policy("p", preDNAT=True, applyOnForward=True, ingress=ALLOW, selector="role == 'db'"),
            Absence.SELECTOR,
            "label role is 'web'",
        ),
        (
            THROUGH,
            policy("p", doNotTrack=True, applyOnForward=True, egress=ALLOW),
            Absence.STAGE,
            "enforced in another stage (doNotTrack: true)",
        ),
    ],
)
def test_why_a_policy_had_no_say(
    flow: dict[str, Any], resource: dict[str, Any], absence: Absence, why: str
) -> None:
    (found,) = absent(flow, resource)

    assert found.absence is absence
    assert why in found.why


def test_what_it_would_have_said_is_what_its_first_rule_says_that_accepts() -> None:
    (found,) = absent(FLOW, policy("p", selector="role == 'db'", ingress=ALLOW))
    (passing,) = absent(
        FLOW, policy("p", selector="role == 'db'", ingress=[{"action": "Pass"}, {"action": "Deny"}])
    )
    (other,) = absent(
        FLOW, policy("p", selector="role == 'db'", ingress=[{"action": "Deny", "protocol": "UDP"}])
    )

    assert (found.would, found.rule) == (Verdict.ALLOW, 2)
    assert (passing.would, passing.rule) == (None, None)
    assert (other.would, other.rule) == (None, None)


def test_who_was_asked_is_none() -> None:
    assert absent(FLOW, policy("p", ingress=ALLOW)) == []


def test_where_something_is_let_by_ahead_of_policy_nobody_is_missed() -> None:
    assert absent(FLOW | {"dport": 22}, policy("p", selector="role == 'db'", ingress=ALLOW)) == []


def test_ahead_of_nat_policies_are_asked_about_the_packet_as_it_is_there() -> None:
    deny = policy("first", preDNAT=True, applyOnForward=True, ingress=[{"action": "Deny"}])
    other = policy(
        "other",
        preDNAT=True,
        applyOnForward=True,
        selector="role == 'db'",
        ingress=[{"action": "Allow", "protocol": "TCP", "destination": {"ports": [7000]}}],
    )

    (found,) = absent(FLOW | {"original_dport": 7000}, deny, other)

    assert (found.would, found.rule) == (Verdict.ALLOW, 0)


def test_the_stage_of_a_plain_policy_is_named() -> None:
    early = policy("early", preDNAT=True, applyOnForward=True, ingress=[{"action": "Deny"}])

    (found,) = absent(FLOW, early, policy("p", ingress=ALLOW))

    assert found.why == "it is enforced in the normal stage, and not in the pre-dnat stage"
