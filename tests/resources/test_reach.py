"""What is said about policies, selectors and named ports that reach nothing."""

from __future__ import annotations

from typing import Any

import pytest
from policy import host_endpoint, inventory_of, policy, resource

from nfq_guard.model.problem import Severity
from nfq_guard.resources import Source, load
from nfq_guard.resources.reach import reach

Resources = list[dict[str, Any]]

PORTS = [{"name": "http", "protocol": "TCP", "port": 8080}]
WEB = host_endpoint("web", labels={"role": "web"}, expectedIPs=["10.0.0.1"], ports=PORTS)
BARE = host_endpoint("bare", labels={"role": "bare"}, ports=[{**PORTS[0], "name": "ghost"}])
OFFICE = resource("GlobalNetworkSet", "office", labels={"net": "office"}, nets=["10.9.0.0/16"])
EMPTY = resource("GlobalNetworkSet", "empty", labels={"net": "empty"})

UNTRACKED: dict[str, Any] = {"doNotTrack": True, "applyOnForward": True}
POD = {
    **resource("WorkloadEndpoint", "pod", interfaceName="cali1", ipNetworks=["10.1.0.2/32"]),
    "metadata": {"name": "pod", "namespace": "shop", "labels": {"app": "shop"}},
}
SHOP_SET = {
    **resource("NetworkSet", "partners", nets=["198.51.100.0/24"]),
    "metadata": {"name": "partners", "namespace": "shop", "labels": {"net": "partners"}},
}


def namespaced(kind: str = "NetworkPolicy", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """Return a policy of a namespace."""
    return {"kind": kind, "metadata": {"name": "policy", "namespace": namespace}, "spec": spec}


def ruled(side: str = "source", **entity: Any) -> dict[str, Any]:
    """Return a policy with a rule about one side."""
    return policy(ingress=[{"action": "Allow", "protocol": "TCP", side: entity}])


SILENT: dict[str, Resources] = {
    "nothing at all": [],
    "endpoints alone": [WEB],
    "a policy for some endpoint": [WEB, BARE, policy(selector="role == 'web'")],
    "a policy for labels that a profile applies": [
        host_endpoint(profiles=["front"]),
        resource("Profile", "front", labelsToApply={"tier": "front"}),
        policy(selector="tier == 'front'"),
    ],
    "a policy outside all namespaces": [WEB, policy(namespaceSelector="!has(team)")],
    "a selector of an endpoint": [WEB, ruled(selector="role == 'web'")],
    "a selector of a set": [WEB, OFFICE, ruled(selector="net == 'office'")],
    "an exception from everybody": [WEB, OFFICE, ruled(notSelector="has(net)")],
    "addresses in place of selectors": [BARE, ruled(nets=["10.0.0.0/8"], ports=[80, "8000:8100"])],
    "a named port": [WEB, ruled("destination", ports=["http"], notPorts=["http"])],
    "a policy for a workload, without any host endpoint": [POD, policy(selector="app == 'shop'")],
    "a policy for workloads of its namespace": [POD, namespaced(selector="app == 'shop'")],
    "what a namespace has, for its own policy": [
        POD,
        SHOP_SET,
        namespaced(ingress=[{"action": "Allow", "source": {"selector": "net == 'partners'"}}]),
        namespaced("StagedNetworkPolicy", ingress=[{"action": "Allow", "source": {"notSelector": "has(x)"}}]),
    ],
    "untracked policy for an interface that is named": [WEB, policy(**UNTRACKED)],
    "untracked policy for another than the endpoint of every interface": [
        WEB,
        host_endpoint("every", interfaceName="*"),
        policy(selector="role == 'web'", **UNTRACKED),
        policy("tracked"),
    ],
    "untracked policy that is staged for deletion": [
        host_endpoint("every", interfaceName="*"),
        resource("StagedGlobalNetworkPolicy", "x", stagedAction="Delete"),
    ],
    "a policy that stages a deletion": [
        WEB,
        resource("StagedGlobalNetworkPolicy", "policy", stagedAction="Delete"),
        namespaced("StagedNetworkPolicy", stagedAction="Delete"),
    ],
}


@pytest.mark.parametrize("case", SILENT)
def test_nothing_is_said_about(case: str) -> None:
    assert list(reach(inventory_of(*SILENT[case]))) == []


TOLD: dict[str, tuple[Resources, str, str, str]] = {
    "a policy for nobody": (
        [WEB, policy(selector="role == 'wep'")],
        "spec.selector",
        "selects-nothing",
        "selects no endpoint of these files: none of the policy's rules is enforced",
    ),
    "a policy for namespaces": (
        [WEB, policy(namespaceSelector="all()")],
        "spec.namespaceSelector",
        "selects-nothing",
        "selects no endpoint of these files: none of the policy's rules is enforced",
    ),
    "a selector of nobody": (
        [WEB, EMPTY, ruled(selector="net == 'ofice'")],
        "spec.ingress[0].source.selector",
        "selects-nothing",
        "selects no endpoint and no network set of these files, so no address: this rule never matches",
    ),
    "a selector of those without addresses": (
        [WEB, BARE, EMPTY, ruled("destination", selector="role == 'bare' || net == 'empty'")],
        "spec.ingress[0].destination.selector",
        "selects-nothing",
        (
            "selects only endpoints without addresses and sets without nets, so no address: "
            "this rule never matches"
        ),
    ),
    "a namespace": (
        [WEB, ruled(namespaceSelector="team == 'x'")],
        "spec.ingress[0].source.namespaceSelector",
        "selects-nothing",
        "selects no endpoint and no network set of these files, so no address: this rule never matches",
    ),
    "an exception from nobody": (
        [WEB, ruled(notSelector="role == 'wep'")],
        "spec.ingress[0].source.notSelector",
        "selects-nothing",
        "selects no endpoint and no network set of these files, so no address: nothing is excluded",
    ),
    "a port that nobody declares": (
        [WEB, ruled("destination", ports=["htp"])],
        "spec.ingress[0].destination.ports[0]",
        "missing-port",
        "no endpoint with addresses declares a port htp: it matches nothing",
    ),
    "a port of an endpoint without addresses": (
        [WEB, BARE, ruled("destination", notPorts=["http", "ghost"])],
        "spec.ingress[0].destination.notPorts[1]",
        "missing-port",
        "no endpoint with addresses declares a port ghost: it excludes nothing",
    ),
    "a profile's rule": (
        [
            WEB,
            resource("Profile", "policy", egress=[{"action": "Deny", "destination": {"selector": "has(x)"}}]),
        ],
        "spec.egress[0].destination.selector",
        "selects-nothing",
        "selects no endpoint and no network set of these files, so no address: this rule never matches",
    ),
    "a staged policy for nobody": (
        [WEB, resource("StagedGlobalNetworkPolicy", "policy", selector="role == 'wep'")],
        "spec.selector",
        "selects-nothing",
        "selects no endpoint of these files: none of the policy's rules is tried out",
    ),
    "a policy for workloads of a namespace that has none": (
        [WEB, POD, namespaced(namespace="bank", selector="app == 'shop'")],
        "spec.selector",
        "selects-nothing",
        "selects no endpoint in the namespace bank: none of the policy's rules is enforced",
    ),
    "a staged policy for workloads, of none": (
        [WEB, namespaced("StagedNetworkPolicy", selector="role == 'web'")],
        "spec.selector",
        "selects-nothing",
        "selects no endpoint in the namespace shop: none of the policy's rules is tried out",
    ),
    "a selector of nobody in the policy's namespace": (
        [POD, OFFICE, namespaced(ingress=[{"action": "Allow", "source": {"selector": "net == 'office'"}}])],
        "spec.ingress[0].source.selector",
        "selects-nothing",
        "selects no endpoint and no network set of these files, so no address: this rule never matches",
    ),
    "a namespace without any but the exceptions": (
        [POD, namespaced(ingress=[{"action": "Allow", "source": {"notSelector": "has(app)"}}])],
        "spec.ingress[0].source.notSelector",
        "selects-nothing",
        "selects no endpoint and no network set of these files, so no address: this rule never matches",
    ),
    "a port that nobody declares, in a staged policy": (
        [
            WEB,
            resource(
                "StagedGlobalNetworkPolicy",
                "policy",
                ingress=[{"action": "Allow", "protocol": "TCP", "destination": {"ports": ["htp"]}}],
            ),
        ],
        "spec.ingress[0].destination.ports[0]",
        "missing-port",
        "no endpoint with addresses declares a port htp: it matches nothing",
    ),
    "policies without any endpoint, once": (
        [policy(selector="nobody == ''"), policy("other", ingress=[{"action": "Allow"}])],
        "metadata.name",
        "no-endpoint",
        "there is no HostEndpoint in all the files: no interface is guarded, no policy is enforced",
    ),
}


@pytest.mark.parametrize("case", TOLD)
def test_a_warning_is_given_for(case: str) -> None:
    resources, field, code, message = TOLD[case]
    (problem,) = reach(inventory_of(*resources))

    assert problem.severity is Severity.WARNING
    assert (problem.name, problem.field, problem.code) == ("policy", field, code)
    assert problem.message == message
    assert problem.position.column > 1


@pytest.mark.parametrize("kind", ["GlobalNetworkPolicy", "StagedGlobalNetworkPolicy"])
def test_untracked_policy_at_the_wildcard_is_ignored_with_a_warning(kind: str) -> None:
    endpoints = [host_endpoint("every", interfaceName="*", profiles=["front"]), WEB]
    labels = resource("Profile", "front", labelsToApply={"tier": "front"})
    untracked = resource(kind, "policy", selector="tier == 'front'", **UNTRACKED)
    (problem,) = reach(inventory_of(*endpoints, labels, untracked))

    assert (problem.kind, problem.name, problem.field) == ("HostEndpoint", "every", "spec.interfaceName")
    assert (problem.code, problem.severity) == ("no-effect", Severity.WARNING)
    assert problem.message.startswith("doNotTrack policy selects this endpoint and is ignored")


def test_a_resource_that_was_refused_is_not_taken_for_one_that_is_missing() -> None:
    text = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: web}
spec: {node: host, interfaceNam: eth0}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
"""
    _, problems = load([Source("web.yaml", text.encode())])

    assert {problem.severity for problem in problems} == {Severity.ERROR}
