"""Which host endpoint governs which interface."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from policy import facts_of, host_endpoint, inventory_of

from nfq_guard.compile.endpoints import Governed, resolve
from nfq_guard.model.host import HostFacts, Interface

if TYPE_CHECKING:
    from pathlib import Path

FACTS = facts_of({"node": "host-a", "interfaces": {"eth0": ["10.0.0.1", "fd00::1"], "eth1": ["10.1.0.1"]}})


def governed(facts: HostFacts, *endpoints: dict[str, Any], **options: Any) -> Governed:
    inventory = inventory_of(*endpoints)
    options = {"workload_prefixes": ("cali",), **options}
    return resolve(inventory.host_endpoints, facts, **options)


def names(result: Governed) -> dict[str, str]:
    found = {interface: endpoint.name for interface, endpoint in result.interfaces.items()}
    return found | ({"*": result.wildcard.name} if result.wildcard else {})


@pytest.mark.conformance
def test_every_shared_case_comes_out_as_in_calico(cases_dir: Path) -> None:
    cases = json.loads((cases_dir / "hep_resolution.json").read_text())["cases"]

    for case in cases:
        endpoints = []
        for hep in case["hostEndpoints"]:
            spec = {"expectedIPs": hep["expectedIPs"]} if hep["expectedIPs"] else {}
            if hep["interfaceName"]:
                spec["interfaceName"] = hep["interfaceName"]
            endpoints.append(host_endpoint(hep["name"], **spec))
        result = governed(facts_of({"node": "host-a", "interfaces": case["interfaces"]}), *endpoints)
        assert names(result) == case["expected_interface_to_hep"], case["desc"]
        assert result.status == case["expected_status"], case["desc"]
    assert len(cases) >= 22


def test_endpoints_of_other_nodes_govern_nothing_here() -> None:
    result = governed(FACTS, host_endpoint(node="host-b"))

    assert names(result) == {}
    assert result.status == {}


def test_workload_interfaces_are_never_matched() -> None:
    facts = facts_of({"node": "host-a", "interfaces": {"cali1": ["10.0.0.9"]}})

    assert names(governed(facts, host_endpoint(expectedIPs=["10.0.0.9"]))) == {}
    assert names(governed(facts, host_endpoint(expectedIPs=["10.0.0.9"]), workload_prefixes=())) == {
        "cali1": "hep"
    }


def test_an_excluded_interface_is_matched_by_name_only() -> None:
    endpoints = (
        host_endpoint("by-name", interfaceName="eth1"),
        host_endpoint("by-ip", expectedIPs=["10.0.0.1"]),
    )

    assert names(governed(FACTS, *endpoints, addressless=lambda _name: True)) == {"eth1": "by-name"}


def test_one_of_several_wildcards_is_in_force_the_first_by_name() -> None:
    result = governed(
        FACTS,
        host_endpoint("b", interfaceName="*"),
        host_endpoint("a", interfaceName="*"),
        host_endpoint("c"),
    )

    assert names(result) == {"eth0": "c", "*": "a"}
    assert result.status == {"a": "up", "b": "up", "c": "up"}


def test_an_endpoint_is_down_when_an_interface_it_governs_is() -> None:
    facts = HostFacts("host-a", {"eth0": Interface("eth0", up=False)})

    assert governed(facts, host_endpoint()).status == {"hep": "down"}


def test_an_interface_that_is_named_but_not_there_has_its_endpoint_waiting() -> None:
    result = governed(
        FACTS, host_endpoint("b", interfaceName="eth9"), host_endpoint("a", interfaceName="eth9")
    )

    assert {name: endpoint.name for name, endpoint in result.absent.items()} == {"eth9": "a"}
    assert names(result) == {}
    assert result.status == {"a": "error", "b": "error"}


def test_nobody_waits_for_a_workload_interface() -> None:
    assert governed(FACTS, host_endpoint(interfaceName="cali9")).absent == {}
