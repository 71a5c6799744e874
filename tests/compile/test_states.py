"""What an endpoint governs, and why it governs nothing."""

from __future__ import annotations

from typing import Any

import pytest
from policy import facts_of, host_endpoint, inventory_of, resource

from nfq_guard.compile import compile_ruleset
from nfq_guard.engine.ruleset import EndpointState
from nfq_guard.model.host import HostFacts, Interface

FACTS = facts_of(
    {
        "node": "host-a",
        "interfaces": {"cali1": ["10.9.0.1"], "eth0": ["10.0.0.1", "fd00::1"], "kube-ipvs0": ["10.8.0.1"]},
    }
)

Resource = dict[str, Any]


def workload(name: str, interface: str, **metadata: Any) -> Resource:
    made = resource("WorkloadEndpoint", name, node="host-a", interfaceName=interface)
    made["metadata"].update({"namespace": "shop", **metadata})
    return made


def states(*resources: Resource, facts: HostFacts = FACTS) -> dict[str, EndpointState]:
    told = compile_ruleset(inventory_of(*resources), facts).ruleset.endpoint_states
    return {state.name: state for state in told}


REASONS: dict[str, tuple[list[Resource], str]] = {
    "an interface that is not there": ([host_endpoint(interfaceName="eth9")], "no interface eth9 yet"),
    "a workload's interface": (
        [host_endpoint(interfaceName="cali1")],
        "cali1 is a workload's interface: interfacePrefix cali",
    ),
    "a workload's interface that is not there": (
        [host_endpoint(interfaceName="cali1234")],
        "cali1234 is a workload's interface: interfacePrefix cali",
    ),
    "another prefix": (
        [
            host_endpoint(interfaceName="eth0"),
            resource("FelixConfiguration", "default", interfacePrefix="cali,eth"),
        ],
        "eth0 is a workload's interface: interfacePrefix eth",
    ),
    "an interface that another endpoint governs": (
        [host_endpoint(), host_endpoint("first", expectedIPs=["10.0.0.1"])],
        "eth0 is governed by first, the first by name",
    ),
    "an absent interface that another endpoint waits for": (
        [host_endpoint(interfaceName="eth9"), host_endpoint("first", interfaceName="eth9")],
        "eth9 is governed by first, the first by name",
    ),
    "a second endpoint for all others": (
        [host_endpoint(interfaceName="*"), host_endpoint("first", interfaceName="*")],
        "* is governed by first, the first by name",
    ),
    "an address that is not there": (
        [host_endpoint(expectedIPs=["10.0.0.9"])],
        "no interface has 10.0.0.9",
    ),
    "several addresses that are not there": (
        [host_endpoint(expectedIPs=[f"10.0.0.{last}" for last in range(11, 18)])],
        "no interface has 10.0.0.11 or 10.0.0.12 or 10.0.0.13 or 10.0.0.14 or 10.0.0.15 or 2 more",
    ),
    "an address of a workload's interface": (
        [host_endpoint(expectedIPs=["10.0.0.9", "10.9.0.1"])],
        "cali1, which has 10.9.0.1, is a workload's interface: interfacePrefix cali",
    ),
    "an address of an excluded interface": (
        [host_endpoint(expectedIPs=["10.8.0.1"])],
        "kube-ipvs0, which has 10.8.0.1, is left out by interfaceExclude",
    ),
    "an address, as it is written, of an interface that another endpoint governs": (
        [host_endpoint(expectedIPs=["fd00:0::1"]), host_endpoint("first")],
        "eth0, which has fd00:0::1, is governed by first, the first by name",
    ),
    "a workload's interface that is not there, of a workload": (
        [workload("hep", "cali9")],
        "no interface cali9 yet",
    ),
    "an interface that is no workload's": (
        [workload("hep", "eth0")],
        "eth0 is no workload's interface: interfacePrefix cali",
    ),
    "a workload's interface that another workload has": (
        [workload("hep", "cali1"), workload("first", "cali1", namespace="zoo")],
        "cali1 is governed by zoo/first, the first by name",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_an_endpoint_governs_nothing_because_of(case: str) -> None:
    resources, reason = REASONS[case]

    state = states(*resources)["hep"]

    assert (state.interfaces, state.reason) == ((), reason)


def test_who_governs_something_needs_no_reason() -> None:
    found = states(
        host_endpoint("by-address", expectedIPs=["10.0.0.9", "10.0.0.1"]),
        host_endpoint("every", interfaceName="*"),
        workload("pod", "cali1"),
        host_endpoint("foreign", node="host-b"),
    )

    assert list(found.values()) == [
        EndpointState("HostEndpoint", "by-address", "", "up", ("eth0",)),
        EndpointState("HostEndpoint", "every", "", "up", ("*",)),
        EndpointState("WorkloadEndpoint", "pod", "shop", "up", ("cali1",)),
    ]


def test_a_workload_is_down_when_its_interface_is() -> None:
    facts = HostFacts("host-a", {"cali1": Interface("cali1", up=False)})

    assert states(workload("pod", "cali1"), facts=facts)["pod"].status == "down"
