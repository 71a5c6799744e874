"""What would have to change about a denied packet."""

from __future__ import annotations

from typing import Any

import pytest
from policy import facts_of, flow_of, host_endpoint, inventory_of, policy

from nfq_guard.compile import compile_ruleset
from nfq_guard.explain import Explainer

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"]}}
FLOW = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
FLOW |= {"sport": 40000, "dport": 443}


def found(*rules: dict[str, Any]) -> tuple[str, ...]:
    inventory = inventory_of(host_endpoint(), policy("p", ingress=list(rules)))
    return (
        Explainer(inventory, compile_ruleset(inventory, facts_of(FACTS)).ruleset)
        .explain(flow_of(FLOW))
        .remedies
    )


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [
        ({"source": {"nets": ["10.0.0.0/8"]}}, "with the source address 10.0.0.0, say, it would be allowed"),
        ({"protocol": "UDP"}, "with the protocol UDP, say, it would be allowed"),
        (
            {"protocol": "TCP", "destination": {"ports": [80]}},
            "with the destination port 80, say, it would be allowed",
        ),
        ({"protocol": "TCP", "source": {"ports": [1]}}, "with the source port 1, say, it would be allowed"),
    ],
)
def test_one_field_that_is_all_is_told(rule: dict[str, Any], remedy: str) -> None:
    (said,) = found({"action": "Allow", **rule})

    assert said == f"{remedy}, by GlobalNetworkPolicy(p) rule 0"


def test_a_change_that_another_rule_denies_is_no_remedy() -> None:
    assert (
        found(
            {"action": "Deny", "source": {"nets": ["10.0.0.0/8"]}},
            {"action": "Allow", "source": {"nets": ["10.0.0.0/8"]}},
        )
        == ()
    )


def test_another_value_is_tried_where_the_first_is_denied() -> None:
    (said,) = found(
        {"action": "Deny", "source": {"nets": ["10.0.0.0/8"]}},
        {"action": "Allow", "source": {"nets": ["10.0.0.0/8", "192.0.2.0/24"]}},
    )

    assert said.startswith("with the source address 192.0.2.0")


def test_the_icmp_of_the_other_family_is_no_remedy() -> None:
    inventory = inventory_of(host_endpoint(), policy("p", ingress=[{"action": "Allow", "protocol": "ICMP"}]))
    explainer = Explainer(inventory, compile_ruleset(inventory, facts_of(FACTS)).ruleset)
    ping = {
        "direction": "in",
        "in_interface": "eth0",
        "protocol": 58,
        "src": "2001:db8::9",
        "dst": "2001:db8::1",
    }

    assert explainer.explain(flow_of(ping | {"icmp_type": 128, "icmp_code": 0})).remedies == ()


def test_two_fields_are_not_one() -> None:
    assert found({"action": "Allow", "protocol": "UDP", "source": {"nets": ["10.0.0.0/8"]}}) == ()


def test_what_somebody_else_would_allow_is_no_remedy_of_a_rule() -> None:
    # TCP 22 is a failsafe port: it is not this rule that lets it in.
    assert found({"action": "Allow", "protocol": "TCP", "destination": {"ports": [22]}}) == ()
