"""Which tiers, policies and profiles an endpoint has in a stage, and in which order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from policy import host_endpoint, inventory_of, policy, resource

from nfq_guard.compile.policies import (
    AppliedProfile,
    AppliedTier,
    PolicyIndex,
    PolicyMemory,
    enforced,
    staged_in,
    stages_of,
)
from nfq_guard.model.decision import Action
from nfq_guard.model.flow import Side, Stage
from nfq_guard.model.problem import Position
from nfq_guard.resources import Inventory, Source, load_or_raise
from nfq_guard.resources.labels import EndpointLabels
from nfq_guard.selector import SelectorCache

ALLOW, DENY = [{"action": "Allow"}], [{"action": "Deny"}]

STAGES: dict[str, tuple[dict[str, Any], set[Stage]]] = {
    "a policy that says nothing": ({}, {Stage.NORMAL}),
    "applyOnForward adds a stage": ({"applyOnForward": True}, {Stage.NORMAL, Stage.FORWARD}),
    "doNotTrack takes the policy out of the others": (
        {"doNotTrack": True, "applyOnForward": True},
        {Stage.UNTRACKED},
    ),
    "preDNAT too": ({"preDNAT": True, "applyOnForward": True}, {Stage.PRE_DNAT}),
}


@pytest.mark.parametrize("case", STAGES)
def test_the_stages_of(case: str) -> None:
    spec, expected = STAGES[case]
    inventory = inventory_of(policy(**spec))

    assert stages_of(inventory.global_network_policies[0].value) == expected


def index_of(inventory: Inventory) -> PolicyIndex:
    return PolicyIndex(inventory, SelectorCache(), PolicyMemory())


def tiers_of(*resources: dict[str, Any], stage: Stage = Stage.NORMAL) -> tuple[AppliedTier, ...]:
    """Return the tiers of the first endpoint."""
    inventory = inventory_of(*resources)
    return index_of(inventory).tiers(EndpointLabels(inventory).of(inventory.host_endpoints[0]), stage)


def profiles_of(inventory: Inventory) -> list[AppliedProfile]:
    """Return the profiles of the first endpoint."""
    return [index_of(inventory).profile(name) for name in inventory.host_endpoints[0].value.spec.profiles]


def told(tiers: tuple[AppliedTier, ...]) -> dict[str, list[str]]:
    return {tier.name: [policy.name for policy in tier.policies] for tier in tiers}


@pytest.mark.parametrize("stage", Stage)
def test_an_endpoint_has_in_a_stage_the_policies_of_that_stage(stage: Stage) -> None:
    policies = [policy(f"p{number}", **spec) for number, (spec, _) in enumerate(STAGES.values())]
    expected = [f"p{number}" for number, (_, stages) in enumerate(STAGES.values()) if stage in stages]

    assert told(tiers_of(host_endpoint(), *policies, stage=stage)) == {"default": expected}


def test_a_tier_without_policy_for_the_endpoint_is_not_there() -> None:
    tiers = tiers_of(
        host_endpoint(labels={"role": "web"}),
        resource("Tier", "others", order=1),
        resource("Tier", "nobody", order=2),
        policy("others.x", tier="others", selector="role == 'db'", ingress=DENY),
        policy("mine", selector="role == 'web'"),
    )

    assert told(tiers) == {"default": ["mine"]}


def test_tiers_and_their_policies_are_in_evaluation_order_however_they_are_declared() -> None:
    tiers = tiers_of(
        policy("z.b", tier="z", order=-1),
        policy("lost.a", tier="lost", order=-100),
        policy("kube-baseline.a", tier="kube-baseline"),
        policy("b"),
        policy("a-b"),
        policy("a"),
        policy("late", order=1e9),
        policy("kube-admin.a", tier="kube-admin"),
        policy("z.a", tier="z"),
        host_endpoint(),
        resource("Tier", "z", order=999.5),
    )

    assert list(told(tiers).items()) == [
        ("z", ["z.b", "z.a"]),
        ("kube-admin", ["kube-admin.a"]),
        ("default", ["late", "a-b", "a", "b"]),
        ("kube-baseline", ["kube-baseline.a"]),
        ("lost", ["lost.a"]),
    ]


ENDS: dict[str, tuple[Action, list[dict[str, Any]]]] = {
    "default": (Action.DENY, []),
    "kube-admin": (Action.PASS, []),
    "kube-baseline": (Action.PASS, []),
    "undeclared": (Action.DENY, []),
    "silent": (Action.DENY, [resource("Tier", "silent")]),
    "passing": (Action.PASS, [resource("Tier", "passing", defaultAction="Pass")]),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_a_tier_ends(name: str) -> None:
    action, declared = ENDS[name]

    (tier,) = tiers_of(host_endpoint(), policy(tier=name), *declared)

    assert tier.default_action is action


BOTH: dict[str, Any] = {"ingress": ALLOW, "egress": [*DENY, *ALLOW]}
SIDES: dict[str, tuple[dict[str, Any], set[Side]]] = {
    "rules for both directions": (BOTH, {Side.INGRESS, Side.EGRESS}),
    "one type, though there are rules for both": ({**BOTH, "types": ["Egress"]}, {Side.EGRESS}),
    "a type without rules": ({"types": ["Egress"]}, {Side.EGRESS}),
    "neither rules nor types": ({}, {Side.INGRESS}),
}


@pytest.mark.parametrize("case", SIDES)
def test_a_policy_takes_part_in_the_directions_of_its_types(case: str) -> None:
    spec, expected = SIDES[case]

    (tier,) = tiers_of(host_endpoint(), policy(**spec))

    assert tier.policies[0].sides == expected


def test_a_policy_brings_its_rules_by_direction_and_says_whose_they_are() -> None:
    (tier,) = tiers_of(host_endpoint(), policy("web", order=2.5, **BOTH))
    (applied,) = tier.policies

    assert (applied.kind, applied.namespace, applied.name) == ("GlobalNetworkPolicy", None, "web")
    assert {side: [rule.action for rule in rules] for side, rules in applied.rules.items()} == {
        Side.INGRESS: [Action.ALLOW],
        Side.EGRESS: [Action.DENY, Action.ALLOW],
    }


def test_every_rule_knows_its_place_in_the_file() -> None:
    documents = [
        {"apiVersion": "projectcalico.org/v3", **item}
        for item in (
            host_endpoint(profiles=["own"]),
            policy(**BOTH),
            resource("Profile", "own", ingress=[*DENY, *ALLOW]),
        )
    ]
    text = json.dumps(documents, indent=1)
    inventory = load_or_raise([Source("rules.json", text.encode())])
    endpoint = inventory.host_endpoints[0]
    (tier,) = index_of(inventory).tiers(EndpointLabels(inventory).of(endpoint), Stage.NORMAL)
    profile = index_of(inventory).profile("own")

    places = [tier.policies[0].position(Side.INGRESS, 0)]
    places += [tier.policies[0].position(Side.EGRESS, number) for number in (0, 1)]
    places += [profile.position(Side.INGRESS, number) for number in (0, 1)]

    lines = [number for number, line in enumerate(text.splitlines(), 1) if '"action"' in line]
    assert [place.line + 1 for place in places] == lines, "a rule begins the line before its action"
    assert {place.file for place in places} == {"rules.json"}


SCOPES: dict[str, tuple[dict[str, str], bool]] = {
    "no service account": ({"serviceAccountSelector": "!has(team)"}, True),
    "a service account's label": ({"serviceAccountSelector": "has(team)"}, False),
    "a namespace's label is not the endpoint's": ({"namespaceSelector": "role == 'web'"}, False),
    "all scopes must select": (
        {"namespaceSelector": "!has(x)", "serviceAccountSelector": "has(x)"},
        False,
    ),
    "and the selector too": ({"namespaceSelector": "!has(x)", "selector": "role == 'db'"}, False),
}


@pytest.mark.parametrize("case", SCOPES)
def test_a_host_endpoint_is_in_no_namespace_and_has_no_service_account(case: str) -> None:
    spec, applies = SCOPES[case]

    assert bool(tiers_of(host_endpoint(labels={"role": "web"}), policy(**spec))) is applies


def test_profiles_are_those_of_the_endpoint_in_its_order() -> None:
    inventory = inventory_of(
        resource("Profile", "a", ingress=ALLOW, egress=DENY),
        resource("Profile", "b"),
        resource("Profile", "c", ingress=ALLOW),
        host_endpoint(profiles=["b", "projectcalico-default-allow", "a", "gone"]),
    )

    applied = profiles_of(inventory)

    assert {
        profile.name: [[rule.action for rule in profile.rules[side]] for side in Side] for profile in applied
    } == {
        "b": [[], []],
        "projectcalico-default-allow": [[Action.ALLOW], [Action.ALLOW]],
        "a": [[Action.ALLOW], [Action.DENY]],
        "gone": [[Action.DENY], [Action.DENY]],
    }
    assert [profile.name for profile in applied] == ["b", "projectcalico-default-allow", "a", "gone"]


def test_a_profile_that_no_file_declares_stands_in_no_file() -> None:
    inventory = inventory_of(host_endpoint(profiles=["projectcalico-default-allow", "gone"]))

    applied = profiles_of(inventory)

    assert [profile.position(Side.INGRESS, 0) for profile in applied] == [Position("built-in")] * 2


def test_an_endpoint_without_profiles_has_none() -> None:
    inventory = inventory_of(host_endpoint(), resource("Profile", "a", ingress=ALLOW))

    assert profiles_of(inventory) == []


def staged(name: str, **spec: Any) -> dict[str, Any]:
    return {**policy(name, **spec), "kind": "StagedGlobalNetworkPolicy"}


def test_staged_policies_stand_among_the_live_ones_in_order() -> None:
    tiers = tiers_of(
        host_endpoint(),
        resource("Tier", "tried", order=1),
        policy("b"),
        staged("b"),
        staged("a"),
        staged("early", order=1),
        staged("only", tier="tried"),
        staged("gone", stagedAction="Delete"),
    )

    assert list(told(tiers).items()) == [("tried", ["only"]), ("default", ["early", "a", "b", "b"])]
    assert [one.staged for one in tiers[1].policies] == [True, True, False, True]
    assert told(enforced(tiers)) == {"default": ["b"]}


def test_a_staged_policy_takes_part_in_its_directions() -> None:
    tiers = tiers_of(host_endpoint(), policy("live", egress=ALLOW), staged("tried", ingress=ALLOW))

    assert [one.name for one in staged_in(tiers, Side.INGRESS)] == ["tried"]
    assert staged_in(tiers, Side.EGRESS) == ()
