"""Tiers, policies, profiles: who decides, in which order."""

from __future__ import annotations

from typing import Any

import pytest
from policy import flow_of, host_endpoint, policy, resource, ruleset_of

from nfq_guard.engine.decide import judge
from nfq_guard.engine.ruleset import CounterKey, OutcomeKey, StagedKey
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import Side, Stage

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"], "eth1": ["10.1.0.1"]}}
IN = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
IN |= {"sport": 40000, "dport": 8080}
OUT = {**{key: value for key, value in IN.items() if key != "in_interface"}, "direction": "out"}
OUT |= {"out_interface": "eth0"}
ALLOW, DENY, LOG, PASS = ([{"action": action}] for action in ("Allow", "Deny", "Log", "Pass"))


def answer(flow: dict[str, Any], *resources: dict[str, Any]) -> Decision:
    decision = judge(ruleset_of(FACTS, *resources), flow_of(flow)).decision
    assert decision is not None
    return decision


def decided_by(decision: Decision) -> tuple[str, str, int] | str:
    if decision.rule is None:
        return f"{decision.reason}:{decision.tier}"
    return (decision.rule.kind, decision.rule.name, decision.rule.rule)


def test_the_first_matching_rule_decides() -> None:
    rules = [{"action": "Deny", "protocol": "UDP"}, *ALLOW, *DENY]
    decision = answer(IN, host_endpoint(), policy(ingress=rules))

    assert decision[:2] == (Verdict.ALLOW, Reason.POLICY)
    assert decided_by(decision) == ("GlobalNetworkPolicy", "policy", 1)


def test_policies_are_asked_by_order_and_none_comes_last() -> None:
    decision = answer(
        IN,
        host_endpoint(),
        policy("a", ingress=DENY),
        policy("b", order=20, ingress=DENY),
        policy("c", order=10, ingress=ALLOW),
    )

    assert decided_by(decision) == ("GlobalNetworkPolicy", "c", 0)


def test_tiers_are_asked_by_order() -> None:
    decision = answer(
        IN,
        host_endpoint(),
        resource("Tier", "late", order=20),
        resource("Tier", "early", order=10),
        policy("late.x", tier="late", ingress=ALLOW),
        policy("early.x", tier="early", ingress=DENY),
    )

    assert decided_by(decision) == ("GlobalNetworkPolicy", "early.x", 0)


def test_no_rule_of_a_tier_matches_the_tier_denies() -> None:
    decision = answer(IN, host_endpoint(), policy(ingress=[{"action": "Allow", "protocol": "UDP"}]))

    assert decision[:2] == (Verdict.DENY, Reason.TIER_DEFAULT)
    assert decision.tier == "default"


def test_a_tier_that_ends_in_pass_leaves_it_to_the_next() -> None:
    decision = answer(
        IN,
        host_endpoint(),
        resource("Tier", "first", order=1, defaultAction="Pass"),
        policy("first.x", tier="first", ingress=[{"action": "Deny", "protocol": "UDP"}]),
        policy(ingress=ALLOW),
    )

    assert decided_by(decision) == ("GlobalNetworkPolicy", "policy", 0)


def test_a_tier_without_policy_for_the_direction_is_skipped() -> None:
    decision = answer(
        OUT,
        host_endpoint(profiles=["projectcalico-default-allow"]),
        policy(ingress=DENY),
    )

    assert decision[:2] == (Verdict.ALLOW, Reason.PROFILE)


def test_a_policy_without_rules_for_its_direction_still_ends_in_deny() -> None:
    decision = answer(IN, host_endpoint(profiles=["projectcalico-default-allow"]), policy(types=["Ingress"]))

    assert decided_by(decision) == "tier-default:default"


def test_a_log_only_policy_denies() -> None:
    match = judge(ruleset_of(FACTS, host_endpoint(), policy(ingress=LOG)), flow_of(IN))

    assert match.decision is not None
    assert match.decision.reason is Reason.TIER_DEFAULT
    assert [log.rule.name for log in match.logs] == ["policy"]


def test_a_log_rule_carries_the_prefix_of_its_lines_and_no_other_rule_does() -> None:
    match = judge(
        ruleset_of(
            FACTS,
            host_endpoint(profiles=["mine"]),
            resource("FelixConfiguration", "default", logPrefix="%k %t %n"),
            policy(ingress=[*LOG, *PASS]),
            resource("Profile", "mine", ingress=[*LOG, *ALLOW]),
        ),
        flow_of(IN),
    )

    assert [log.rule.prefix for log in match.logs] == ["gnp default policy", "pro  mine"]
    assert match.decision is not None
    assert match.decision.rule is not None
    assert match.decision.rule.prefix == ""


def test_pass_skips_the_rest_of_its_tier_only() -> None:
    decision = answer(
        IN,
        host_endpoint(),
        resource("Tier", "first", order=1),
        policy("first.a", tier="first", order=1, ingress=PASS),
        policy("first.b", tier="first", order=2, ingress=DENY),
        policy(ingress=ALLOW),
    )

    assert decided_by(decision) == ("GlobalNetworkPolicy", "policy", 0)


def test_pass_in_the_last_tier_goes_on_to_the_profiles() -> None:
    profile = resource("Profile", "mine", ingress=ALLOW)
    decision = answer(IN, host_endpoint(profiles=["mine"]), policy(ingress=PASS), profile)

    assert decision[:2] == (Verdict.ALLOW, Reason.PROFILE)
    assert decision.tier is None
    assert decided_by(decision) == ("Profile", "mine", 0)


def test_pass_in_a_profile_goes_on_to_the_next_profile() -> None:
    profiles = resource("Profile", "one", ingress=[*PASS, *DENY]), resource("Profile", "two", ingress=ALLOW)

    assert decided_by(answer(IN, host_endpoint(profiles=["one", "two"]), *profiles)) == ("Profile", "two", 0)


def test_profiles_are_asked_in_the_endpoints_order() -> None:
    profiles = resource("Profile", "one", ingress=ALLOW), resource("Profile", "two", ingress=DENY)

    assert decided_by(answer(IN, host_endpoint(profiles=["two", "one"]), *profiles)) == ("Profile", "two", 0)


def test_no_profile_rule_matches_the_default_denies() -> None:
    profile = resource("Profile", "mine", ingress=[{"action": "Allow", "protocol": "UDP"}])

    assert answer(IN, host_endpoint(profiles=["mine"]), profile)[:2] == (Verdict.DENY, Reason.NO_MATCH)


def test_a_missing_profile_drops() -> None:
    decision = answer(IN, host_endpoint(profiles=["missing", "projectcalico-default-allow"]))

    assert decision[:2] == (Verdict.DENY, Reason.PROFILE)
    assert decided_by(decision) == ("Profile", "missing", 0)


def test_a_policy_of_an_undeclared_tier_is_enforced_last() -> None:
    decision = answer(
        IN,
        host_endpoint(),
        policy("nowhere.x", tier="nowhere", order=-5, ingress=ALLOW),
        policy(ingress=PASS),
    )

    assert decided_by(decision) == ("GlobalNetworkPolicy", "nowhere.x", 0)


def test_a_policy_applies_where_its_selector_matches() -> None:
    web = policy(selector="role == 'web'", ingress=ALLOW)

    assert answer(IN, host_endpoint(labels={"role": "web"}), web).verdict is Verdict.ALLOW
    assert answer(IN, host_endpoint(labels={"role": "db"}), web).reason is Reason.NO_MATCH


def test_labels_are_inherited_own_first_then_by_profile_order() -> None:
    web = policy(selector="role == 'web'", ingress=ALLOW)
    profiles = (
        resource("Profile", "one", labelsToApply={"role": "web"}),
        resource("Profile", "two", labelsToApply={"role": "db"}),
    )

    assert answer(IN, host_endpoint(profiles=["one", "two"]), web, *profiles).verdict is Verdict.ALLOW
    assert answer(IN, host_endpoint(profiles=["two", "one"]), web, *profiles).reason is Reason.NO_MATCH
    own = host_endpoint(profiles=["one"], labels={"role": "x"})
    assert answer(IN, own, web, *profiles).reason is Reason.NO_MATCH


def test_a_namespace_selector_keeps_a_global_policy_from_host_endpoints() -> None:
    assert (
        answer(IN, host_endpoint(), policy(namespaceSelector="all()", ingress=ALLOW)).reason
        is Reason.NO_MATCH
    )
    assert (
        answer(IN, host_endpoint(), policy(namespaceSelector="has(x)", ingress=ALLOW)).reason
        is Reason.NO_MATCH
    )
    assert (
        answer(IN, host_endpoint(), policy(namespaceSelector="!has(x)", ingress=ALLOW)).verdict
        is Verdict.ALLOW
    )
    account = policy(serviceAccountSelector="all()", ingress=ALLOW)
    assert answer(IN, host_endpoint(), account).reason is Reason.NO_MATCH


def workload(namespace: str, number: int) -> dict[str, Any]:
    """Return a workload endpoint of a namespace at cali<number>, address 10.65.0.<number>."""
    spec: dict[str, Any] = {"node": "host-a", "orchestrator": "k8s", "pod": f"w{number}", "endpoint": "eth0"}
    spec |= {"interfaceName": f"cali{number}", "ipNetworks": [f"10.65.0.{number}/32"]}
    spec |= {"profiles": ["projectcalico-default-allow"]}
    made = resource("WorkloadEndpoint", f"host--a-k8s-w{number}-eth0", labels={"app": "w"}, **spec)
    return within(namespace, made)


def within(namespace: str, made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "metadata": {**made["metadata"], "namespace": namespace}}


def test_a_policy_of_a_namespace_is_for_its_workloads_only() -> None:
    deny = within("shop", resource("NetworkPolicy", "closed", selector="all()", egress=DENY))
    felix = resource("FelixConfiguration", "default", defaultEndpointToHostAction="Accept")
    resources = (
        felix,
        host_endpoint(),
        policy(ingress=ALLOW),
        deny,
        workload("shop", 1),
        workload("bank", 2),
    )

    decisions = [answer(IN | {"in_interface": name}, *resources) for name in ("cali1", "cali2", "eth0")]

    assert decided_by(decisions[0]) == ("NetworkPolicy", "closed", 0)
    assert [decision.verdict for decision in decisions] == [Verdict.DENY, Verdict.ALLOW, Verdict.ALLOW]


@pytest.mark.parametrize(
    ("source", "selected"),
    [
        ({"selector": "app == 'w'"}, {"10.65.0.2"}),
        ({"selector": "all()"}, {"10.65.0.2", "198.51.100.1"}),
        ({"notSelector": "app == 'w'"}, {"198.51.100.1"}),
        ({"selector": "app == 'w'", "namespaceSelector": "all()"}, {"10.65.0.2", "10.65.0.3"}),
        ({"selector": "all()", "namespaceSelector": "global()"}, {"203.0.113.1"}),
        ({}, {"10.65.0.2", "10.65.0.3", "198.51.100.1", "198.51.100.2", "203.0.113.1"}),
    ],
)
def test_a_rule_of_a_namespace_selects_in_it_unless_it_says_where(
    source: dict[str, Any], selected: set[str]
) -> None:
    rule = {"action": "Allow", "source": source}
    resources = (
        *(workload(namespace, number) for namespace, number in (("shop", 1), ("shop", 2), ("bank", 3))),
        within(
            "shop", resource("NetworkPolicy", "open", types=["Ingress"], selector="all()", ingress=[rule])
        ),
        within("shop", resource("NetworkSet", "mine", nets=["198.51.100.1"])),
        within("bank", resource("NetworkSet", "other", nets=["198.51.100.2"])),
        resource("GlobalNetworkSet", "everybody", nets=["203.0.113.1"]),
    )
    ways = {"direction": "forward", "in_interface": "eth0", "out_interface": "cali1"}
    everybody = ("10.65.0.2", "10.65.0.3", "198.51.100.1", "198.51.100.2", "203.0.113.1")

    allowed = {
        src
        for src in everybody
        if answer(IN | ways | {"src": src, "dst": "10.65.0.1"}, *resources).verdict is Verdict.ALLOW
    }

    assert allowed == selected


def test_apply_on_forward_policies_are_asked_in_the_normal_stage_too() -> None:
    forward = policy("c", applyOnForward=True, ingress=ALLOW)

    assert decided_by(answer(IN, host_endpoint(), forward)) == ("GlobalNetworkPolicy", "c", 0)


def test_one_endpoint_may_govern_two_interfaces() -> None:
    both = host_endpoint(expectedIPs=["10.0.0.1", "10.1.0.1"])

    assert answer(IN | {"in_interface": "eth1"}, both, policy(ingress=ALLOW)).endpoint == "hep"


def test_a_rule_says_where_it_stands() -> None:
    decision = answer(IN, host_endpoint(), policy(ingress=ALLOW))

    assert decision.rule is not None
    assert decision.rule.file == "test.json"
    assert decision.rule.line == 1


def test_every_step_on_the_way_is_counted() -> None:
    ruleset = ruleset_of(
        FACTS,
        host_endpoint(),
        resource("Tier", "first", order=1, defaultAction="Pass"),
        policy("first.a", tier="first", ingress=LOG),
        policy(ingress=[*LOG, *PASS]),
    )
    counted = [ruleset.counter_keys[index] for index in judge(ruleset, flow_of(IN)).counters]

    assert counted == [
        CounterKey("first", "GlobalNetworkPolicy", "first.a", "0", "ingress", "log"),
        CounterKey("first", "Tier", "first", "default", "ingress", "pass"),
        CounterKey("default", "GlobalNetworkPolicy", "policy", "0", "ingress", "log"),
        CounterKey("default", "GlobalNetworkPolicy", "policy", "1", "ingress", "pass"),
        CounterKey("", "HostEndpoint", "hep", "default", "ingress", "deny"),
    ]


def test_a_policy_on_two_endpoints_has_one_counter_a_rule() -> None:
    ruleset = ruleset_of(
        FACTS, host_endpoint("a"), host_endpoint("b", interfaceName="eth1"), policy(ingress=ALLOW)
    )

    assert len({key for key in ruleset.counter_keys if key.kind == "GlobalNetworkPolicy"}) == 1
    assert len(set(ruleset.counter_keys)) == len(ruleset.counter_keys)


def test_a_pending_chain_counts_staged_lines_and_tiers_with_staged_policies_only() -> None:
    ruleset = ruleset_of(
        FACTS,
        host_endpoint(profiles=["mine"]),
        resource("Profile", "mine", ingress=ALLOW),
        resource("Tier", "first", order=1),
        policy("first.live", tier="first", ingress=PASS),
        policy(ingress=PASS),
        {**policy("tried", order=1, ingress=LOG), "kind": "StagedGlobalNetworkPolicy"},
    )
    pending = ruleset.governed["eth0"].pending[Stage.NORMAL, Side.INGRESS]
    counted = [ruleset.counted[line.counter] for line in pending.chain.rules if line.counter >= 0]

    assert counted == [
        StagedKey(CounterKey("default", "StagedGlobalNetworkPolicy", "tried", "0", "ingress", "log")),
        StagedKey(CounterKey("default", "Tier", "default", "default", "ingress", "deny")),
    ]


def test_a_pending_chain_knows_every_way_in_which_it_may_compare() -> None:
    tried = policy("tried", applyOnForward=True, ingress=ALLOW)
    ruleset = ruleset_of(FACTS, host_endpoint(), {**tried, "kind": "StagedGlobalNetworkPolicy"})
    pending = ruleset.governed["eth0"].pending
    compared = {stage: pending[stage, Side.INGRESS].outcomes for stage in (Stage.NORMAL, Stage.FORWARD)}

    assert {len(outcomes) for outcomes in compared.values()} == {4, 9}
    assert ruleset.counted[compared[Stage.NORMAL][Verdict.ALLOW, Verdict.DENY]] == OutcomeKey(
        "hep", "normal", "ingress", "allow", "deny"
    )
    assert ruleset.counted[compared[Stage.FORWARD][None, Verdict.ALLOW]] == OutcomeKey(
        "hep", "forward", "ingress", "pass", "allow"
    )
