"""A chain as the tiers, policies and rules that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy import facts_of, flow_of, host_endpoint, inventory_of, policy, resource

from nfq_guard.compile import compile_ruleset
from nfq_guard.explain import Explainer
from nfq_guard.model.decision import Action

if TYPE_CHECKING:
    from nfq_guard.explain.steps import Explanation

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"]}}
FLOW = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
FLOW |= {"sport": 40000, "dport": 443}
UDP = {"protocol": "UDP"}


def explained(*resources: dict[str, Any]) -> Explanation:
    inventory = inventory_of(*resources)
    return Explainer(inventory, compile_ruleset(inventory, facts_of(FACTS)).ruleset).explain(flow_of(FLOW))


def told(found: Explanation) -> dict[str, list[str]]:
    """Return, by tier, what became of each rule, and of the tier's end."""
    return {
        tier.name: [
            *(str(rule.outcome) for policy in tier.policies for rule in policy.rules),
            str(tier.end),
        ]
        for tier in found.steps[-1].tiers
    }


def test_what_became_of_each_rule() -> None:
    found = explained(
        host_endpoint(),
        resource("Tier", "first", order=1),
        policy("a", tier="first", ingress=[{"action": "Deny", **UDP}, {"action": "Log"}, {"action": "Pass"}]),
        policy("b", tier="first", ingress=[{"action": "Deny"}]),
        policy("c", ingress=[{"action": "Deny", **UDP}, {"action": "Allow"}, {"action": "Deny"}]),
    )

    assert told(found) == {
        "first": ["ruled-out", "logged", "passed", "skipped", "skipped"],
        "default": ["ruled-out", "decided", "not-reached", "not-reached"],
    }


def test_a_log_rule_says_what_its_lines_begin_with_and_no_other_rule_does() -> None:
    found = explained(
        resource("FelixConfiguration", "default", logPrefix="seen %k %p"),
        host_endpoint(),
        policy(
            "a",
            ingress=[
                {"action": "Log", "destination": {"ports": [80, "web"]}, "protocol": "TCP"},
                {"action": "Allow"},
            ],
        ),
    )

    ((rules,),) = [[policy.rules for policy in tier.policies] for tier in found.steps[-1].tiers]
    assert [rule.prefix for rule in rules] == ["seen gnp a", ""]


def test_the_end_of_a_tier_may_decide_or_pass() -> None:
    found = explained(
        host_endpoint(profiles=["open"]),
        resource("Tier", "first", order=1, defaultAction="Pass"),
        policy("a", tier="first", ingress=[{"action": "Deny", **UDP}]),
        policy("b", ingress=[{"action": "Allow", **UDP}]),
        resource("Profile", "open", ingress=[{"action": "Allow"}]),
    )

    assert told(found) == {"first": ["ruled-out", "passed"], "default": ["ruled-out", "decided"]}
    assert [str(rule.outcome) for rule in found.steps[-1].profiles[0].rules] == ["not-reached"]


def test_profiles_are_asked_where_no_tier_is() -> None:
    found = explained(
        host_endpoint(profiles=["open", "absent"]), resource("Profile", "open", ingress=[{"action": "Allow"}])
    )

    names = {
        profile.title.name: [str(rule.outcome) for rule in profile.rules]
        for profile in found.steps[-1].profiles
    }
    assert names == {"open": ["decided"], "absent": ["not-reached"]}


def test_ahead_of_nat_a_tier_ends_in_pass() -> None:
    found = explained(
        host_endpoint(), policy(preDNAT=True, applyOnForward=True, ingress=[{"action": "Deny", **UDP}])
    )

    assert found.steps[0].tiers[0].default_action is Action.PASS
    assert found.steps[0].decision is None


def test_where_rules_stand_is_told() -> None:
    found = explained(host_endpoint(), policy(ingress=[{"action": "Allow"}]))

    assert found.steps[0].endpoint.position.file == "test.json"
    assert found.steps[0].tiers[0].policies[0].rules[0].position.file == "test.json"
    assert found.steps[0].tiers[0].order == 1_000_000
