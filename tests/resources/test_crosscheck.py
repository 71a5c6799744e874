"""What shows only when resources are seen together: warnings, and nothing but warnings."""

from __future__ import annotations

from typing import Any

import pytest
from policy import host_endpoint, inventory_of, policy, resource

from nfq_guard.model.problem import Severity
from nfq_guard.resources.crosscheck import crosscheck

ALLOW, LOG = {"action": "Allow"}, {"action": "Log"}
SERVICE = {"services": {"name": "web", "namespace": "shop"}}
ACCOUNT = {"serviceAccounts": {"names": ["web"]}}

Told = list[tuple[str, str, str]]


def told(*resources: dict[str, Any]) -> Told:
    """Return name, field and code of every warning but those of `reach`, which has its own tests."""
    inventory = inventory_of(*resources)
    return [(problem.name, problem.field, problem.code) for problem in crosscheck(inventory, complete=False)]


def felix(spec: dict[str, Any], **annotations: str) -> dict[str, Any]:
    made = resource("FelixConfiguration", "default", **spec)
    made["metadata"]["annotations"] = {
        f"config.projectcalico.org/{key}": annotations[key] for key in annotations
    }
    return made


CASES: dict[str, tuple[list[dict[str, Any]], Told]] = {
    "nothing at all": ([], []),
    "settings that do what is done anyway": (
        [
            felix(
                {"nftablesFilterDenyAction": "Drop", "iptablesFilterDenyAction": "Drop", "ipv6Support": True}
            )
        ],
        [],
    ),
    "denied packets that are to be rejected": (
        [felix({"nftablesFilterDenyAction": "Reject", "iptablesFilterDenyAction": "reject"})],
        [],
    ),
    "IPv6 that is to be left alone": (
        [felix({"ipv6Support": False})],
        [("default", "spec.ipv6Support", "no-effect")],
    ),
    "how log lines are to look": (
        [felix({"logPrefix": "mine", "logActionRateLimit": "1/second", "logActionRateLimitBurst": 3})],
        [],
    ),
    "settings in annotations": (
        [felix({}, IptablesFilterDenyAction="Reject")],
        [
            (
                "default",
                'metadata.annotations["config.projectcalico.org/IptablesFilterDenyAction"]',
                "no-effect",
            )
        ],
    ),
    "a declared profile, wherever it is declared": (
        [host_endpoint(profiles=["web"]), resource("Profile", "web")],
        [],
    ),
    "the profile that always exists": ([host_endpoint(profiles=["projectcalico-default-allow"])], []),
    "every profile that is missing, on every endpoint": (
        [host_endpoint("a", profiles=["x", "y"]), host_endpoint("b", profiles=["y"])],
        [
            ("a", "spec.profiles[0]", "missing-profile"),
            ("a", "spec.profiles[1]", "missing-profile"),
            ("b", "spec.profiles[0]", "missing-profile"),
        ],
    ),
    "a declared tier": ([policy(tier="mine"), resource("Tier", "mine")], []),
    "tiers that always exist": (
        [policy(name, tier=name) for name in ("default", "kube-admin", "kube-baseline")],
        [],
    ),
    "a tier that is missing": ([policy(tier="mine")], [("policy", "spec.tier", "missing-tier")]),
    "rules that log before one that decides": ([policy(ingress=[LOG, ALLOW])], []),
    "no rules": ([policy(types=["Ingress", "Egress"])], []),
    "each direction that only logs": (
        [policy("a", ingress=[LOG], egress=[LOG, LOG]), policy("b", ingress=[ALLOW], egress=[LOG])],
        [
            ("a", "spec.ingress", "log-only"),
            ("a", "spec.egress", "log-only"),
            ("b", "spec.egress", "log-only"),
        ],
    ),
    "logging in a tier that is declared to pass": (
        [policy(tier="soft", ingress=[LOG]), resource("Tier", "soft", defaultAction="Pass")],
        [],
    ),
    "logging in a tier that is declared to deny": (
        [policy(tier="hard", ingress=[LOG]), resource("Tier", "hard")],
        [("policy", "spec.ingress", "log-only")],
    ),
    "a rule that never matches for several reasons": (
        [policy(ingress=[ALLOW, {**ALLOW, "source": ACCOUNT, "destination": ACCOUNT, "http": {}}])],
        [
            ("policy", "spec.ingress[1].http", "never-matches"),
            ("policy", "spec.ingress[1].source.serviceAccounts", "never-matches"),
            ("policy", "spec.ingress[1].destination.serviceAccounts", "never-matches"),
        ],
    ),
    "rules that types switch off": (
        [policy("a", types=["Ingress"], ingress=[ALLOW], egress=[ALLOW]), policy("b", types=["Egress"])],
        [("a", "spec.egress", "unused-rules")],
    ),
    "profiles have such rules as well": (
        [
            resource(
                "Profile", "web", ingress=[{**ALLOW, "destination": SERVICE}], egress=[{**ALLOW, "http": {}}]
            )
        ],
        [
            ("web", "spec.ingress[0].destination.services", "never-matches"),
            ("web", "spec.egress[0].http", "never-matches"),
        ],
    ),
    "a workload's profile that is missing": (
        [resource("WorkloadEndpoint", "w", interfaceName="cali1", profiles=["nowhere"])],
        [("w", "spec.profiles[0]", "missing-profile")],
    ),
    "a policy that stages a deletion says nothing": (
        [resource("StagedGlobalNetworkPolicy", "gone", stagedAction="Delete", tier="nowhere")],
        [],
    ),
    "configurations for every node and for one": (
        [resource("FelixConfiguration", name) for name in ("default", "node.a", "node.b.example")],
        [],
    ),
    "configurations for nodes by label": (
        [resource("FelixConfiguration", name) for name in ("defaults", "nodes", "rack")],
        [(name, "metadata.name", "no-effect") for name in ("defaults", "nodes", "rack")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_warnings_about(case: str) -> None:
    resources, expected = CASES[case]

    assert told(*resources) == expected


def test_a_warning_stands_at_the_value_and_refuses_nothing() -> None:
    problems = [
        problem for resources, _ in CASES.values() for problem in crosscheck(inventory_of(*resources))
    ]

    assert {problem.severity for problem in problems} == {Severity.WARNING}
    assert all(problem.kind and problem.position.file == "test.json" for problem in problems)
    assert all(problem.position.column > 1 for problem in problems)


POLICY_KINDS = ("GlobalNetworkPolicy", "NetworkPolicy", "StagedGlobalNetworkPolicy", "StagedNetworkPolicy")


@pytest.mark.parametrize("kind", POLICY_KINDS)
def test_every_kind_of_policy_is_looked_at(kind: str) -> None:
    ingress = [{**ALLOW, "source": ACCOUNT}, {**ALLOW, "http": {}}]
    spec = {"tier": "mine", "types": ["Ingress"], "ingress": ingress, "egress": [LOG]}

    assert told(resource(kind, "x", **spec)) == [
        ("x", "spec.tier", "missing-tier"),
        ("x", "spec.egress", "unused-rules"),
        ("x", "spec.ingress[0].source.serviceAccounts", "never-matches"),
        ("x", "spec.ingress[1].http", "never-matches"),
        ("x", "spec.egress", "log-only"),
    ]


@pytest.mark.parametrize("kind", POLICY_KINDS)
def test_what_is_only_tried_out_is_not_called_enforced(kind: str) -> None:
    inventory = inventory_of(resource(kind, "x", tier="mine", types=["Ingress"], egress=[ALLOW]))
    word = "tried out" if kind.startswith("Staged") else "enforced"

    assert [problem.message for problem in crosscheck(inventory, complete=False)] == [
        f"the tier mine is not declared: {word} after all other tiers, and ends in Deny",
        f"types leaves Egress out: none of these rules is {word}",
    ]


OF_WORKLOADS = {
    "network_policies": {"kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "n"}},
    "network_sets": resource("NetworkSet", "x"),
    "staged_global_network_policies": resource("StagedGlobalNetworkPolicy", "x"),
    "staged_network_policies": resource("StagedNetworkPolicy", "x"),
    "workload_endpoints": resource("WorkloadEndpoint", "x", interfaceName="cali1"),
}


@pytest.mark.parametrize("place", OF_WORKLOADS)
def test_no_kind_is_read_in_vain(place: str) -> None:
    assert told(OF_WORKLOADS[place]) == []


@pytest.mark.parametrize("field", ["applyOnForward", "doNotTrack", "preDNAT"])
def test_no_stage_is_pending(field: str) -> None:
    spec: dict[str, Any] = {"applyOnForward": True, field: True}

    found = crosscheck(inventory_of(policy(ingress=[ALLOW], **spec)), complete=False)

    assert list(found) == []
