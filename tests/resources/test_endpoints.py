"""Host endpoints: which interface of which node."""

from __future__ import annotations

from typing import Any

import pytest
from parts import faults, messages

from nfq_guard.resources.endpoints import EndpointPort, HostEndpoint, HostEndpointSpec
from nfq_guard.resources.values import Protocol

SPECS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "an interface": ({"interfaceName": "eth0"}, []),
    "every interface": ({"interfaceName": "*"}, []),
    "addresses": ({"expectedIPs": ["10.0.0.1", "fd00::1"]}, []),
    "both": ({"interfaceName": "eth0", "expectedIPs": ["10.0.0.1"]}, []),
    "an empty interface beside addresses": ({"interfaceName": "", "expectedIPs": ["10.0.0.1"]}, []),
    "neither": ({}, [("", "missing-field")]),
    "neither, written out": ({"interfaceName": "", "expectedIPs": []}, [("", "missing-field")]),
    "a pattern": ({"interfaceName": "eth*"}, [("interfaceName", "bad-name")]),
    "a name longer than the kernel takes": ({"interfaceName": "x" * 16}, [("interfaceName", "bad-name")]),
    "a net": ({"expectedIPs": ["10.0.0.0/8"]}, [("expectedIPs[0]", "bad-address")]),
    "an address twice": (
        {"expectedIPs": ["10.0.0.1", "10.0.0.2", "10.0.0.1"]},
        [("expectedIPs[2]", "duplicate-item")],
    ),
    "a profile twice": (
        {"interfaceName": "a", "profiles": ["p", "p"]},
        [("profiles[1]", "duplicate-item")],
    ),
    "a port's name twice": (
        {"interfaceName": "a", "ports": [{"name": "dns", "protocol": p, "port": 53} for p in ("TCP", "UDP")]},
        [],
    ),
    "Calico's other spelling of expectedIPs": ({"expectedIps": ["10.0.0.1"]}, []),
}


@pytest.mark.parametrize("case", SPECS)
def test_an_endpoint_is_found_by(case: str) -> None:
    fields, expected = SPECS[case]

    assert faults(HostEndpointSpec, {"node": "host-a", **fields}) == expected


NODES = {
    "host-a.example": [],
    "": [("node", "missing-field")],
    "Host": [("node", "bad-name")],
    "x" * 254: [("node", "bad-name")],
}


@pytest.mark.parametrize("node", NODES, ids=lambda node: node[:20])
def test_an_endpoint_is_on_a_node(node: str) -> None:
    assert faults(HostEndpointSpec, {"node": node, "interfaceName": "eth0"}) == NODES[node]


def test_what_is_said_of_a_bad_interface_names_the_wildcard_and_of_a_good_one_nothing_is() -> None:
    (message,) = messages(HostEndpointSpec, {"node": "a", "interfaceName": "eth0@if3"})

    assert message.startswith('found "eth0@if3": ')
    assert message.endswith('or "*" for every interface')


PORTS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "by name": ({"protocol": "SCTP"}, []),
    "by number": ({"protocol": 6}, []),
    "that has no ports": ({"protocol": "UDPLite"}, [("protocol", "bad-protocol")]),
    "that has no ports, by number": ({"protocol": 47}, [("protocol", "bad-protocol")]),
    "that is none": ({"protocol": "sctp"}, [("protocol", "bad-protocol")]),
    "that is missing": ({}, [("protocol", "missing")]),
}


@pytest.mark.parametrize("case", PORTS)
def test_a_named_port_has_a_protocol(case: str) -> None:
    fields, expected = PORTS[case]

    assert faults(EndpointPort, {"name": "web", "port": 65535, **fields}) == expected


def test_an_endpoint_as_it_is_decoded() -> None:
    endpoint = HostEndpoint.model_validate(
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "HostEndpoint",
            "metadata": {"name": "a"},
            "spec": {
                "node": "n",
                "interfaceName": "lo",
                "profiles": ["b", "a"],
                "ports": [{"name": "web", "protocol": "TCP", "port": 80}],
            },
        }
    )

    assert (endpoint.spec.interface_name, endpoint.spec.expected_ips) == ("lo", ())
    assert endpoint.spec.profiles == ("b", "a")
    assert [(port.name, port.protocol, port.port) for port in endpoint.spec.ports] == [
        ("web", Protocol(6, "TCP"), 80)
    ]


def test_an_endpoint_without_spec_is_refused() -> None:
    assert faults(HostEndpoint, {"metadata": {"name": "a"}}) == [("spec", "missing")]
