"""Workload endpoints: whose interface it is, and what is behind it."""

from __future__ import annotations

from typing import Any

import pytest
from parts import faults

from nfq_guard.resources.workloads import IPNAT, WorkloadEndpoint, WorkloadEndpointPort, WorkloadEndpointSpec

NAT = {"internalIP": "10.0.0.1", "externalIP": "192.0.2.1"}

SPECS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "an interface alone": ({}, []),
    "every interface": ({"interfaceName": "*"}, []),
    "no interface": ({"interfaceName": ""}, [("interfaceName", "missing")]),
    "single addresses of both families": (
        {"ipNetworks": ["10.0.0.1", "10.0.0.2/32", "fd00::1/128", "fd00::2"]},
        [],
    ),
    "nets of more than one address": (
        {"ipNetworks": ["10.0.0.2/31", "fd00::/127", "10.0.0.1"]},
        [("ipNetworks[0]", "bad-net"), ("ipNetworks[1]", "bad-net")],
    ),
    "a NAT to an address of its own": ({"ipNetworks": ["10.0.0.1/32"], "ipNATs": [NAT]}, []),
    "a NAT to nowhere": ({"ipNATs": [NAT]}, [("ipNATs[0].internalIP", "conflict")]),
    "a NAT to another's address": (
        {"ipNetworks": ["10.0.0.2", "::a00:1"], "ipNATs": [NAT]},
        [("ipNATs[0].internalIP", "conflict")],
    ),
    "gateways of their families": ({"ipv4Gateway": "169.254.1.1", "ipv6Gateway": "fe80::1"}, []),
    "gateways the other way round": (
        {"ipv4Gateway": "fe80::1", "ipv6Gateway": "169.254.1.1"},
        [("ipv4Gateway", "bad-address"), ("ipv6Gateway", "bad-address")],
    ),
    "empty texts, which are not there": (
        {
            **dict.fromkeys(
                ("orchestrator", "workload", "node", "pod", "endpoint", "serviceAccountName"), ""
            ),
            **dict.fromkeys(("containerID", "mac", "ipv4Gateway", "ipv6Gateway"), ""),
        },
        [],
    ),
    "names that none can have": (
        {"orchestrator": "K8s", "workload": "a_b", "node": "-", "pod": "a..b", "endpoint": "eth 0"},
        [(field, "bad-name") for field in ("orchestrator", "workload", "node", "pod", "endpoint")],
    ),
    "a service account that none can have": (
        {"serviceAccountName": "a/b"},
        [("serviceAccountName", "bad-name")],
    ),
    "a container of one letter": ({"containerID": "a"}, []),
    "a container that begins with a dash": ({"containerID": "-a"}, [("containerID", "bad-value")]),
    "profiles twice": ({"profiles": ["a", "a"]}, []),
    "prefixes that it may spoof": ({"allowSpoofedSourcePrefixes": ["10.0.0.1/8", "::/0"]}, []),
}


@pytest.mark.parametrize("case", SPECS)
def test_a_workload_has(case: str) -> None:
    fields, expected = SPECS[case]

    assert faults(WorkloadEndpointSpec, {"interfaceName": "cali1", **fields}) == expected


MACS = {
    "00:11:22:aa:bb:CC": True,
    "00-11-22-aa-bb-cc": True,
    "0011.2233.4455": True,
    "00:11:22:33:44:55:66:77": True,
    "0011.2233.4455.6677": True,
    ":".join(["00"] * 20): True,
    ".".join(["0000"] * 10): True,
    "": True,
    "00:11:22:33:44:55:66": False,
    ":".join(["00"] * 19): False,
    "0011.2233.4455.6677.8899": False,
    "00:11-22:33:44:55": False,
    "001122334455": False,
    "00:11:22:33:44:5g": False,
    "0011.2233": False,
}


@pytest.mark.parametrize("mac", MACS)
def test_a_mac_address(mac: str) -> None:
    assert (faults(WorkloadEndpointSpec, {"interfaceName": "cali1", "mac": mac}) == []) is MACS[mac]


PORTS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a name": ({"name": "web"}, []),
    "a port of the host": ({"hostPort": 65535}, []),
    "both, and an address": ({"name": "web", "hostPort": 80, "hostIP": "fd00::1"}, []),
    "neither": ({}, [("", "missing-field")]),
    "neither, written out": ({"name": "", "hostPort": 0, "hostIP": ""}, [("", "missing-field")]),
    "a net of the host": ({"name": "web", "hostIP": "10.0.0.0/8"}, []),
    "a net of the host with bits behind it": (
        {"name": "web", "hostIP": "10.0.0.1/8"},
        [("hostIP", "bad-address")],
    ),
    "a name that is a number": ({"name": "80"}, [("name", "bad-name")]),
    "a protocol without ports": ({"name": "web", "protocol": 1}, [("protocol", "bad-protocol")]),
}


@pytest.mark.parametrize("case", PORTS)
def test_a_port_of_a_workload_has(case: str) -> None:
    fields, expected = PORTS[case]

    assert faults(WorkloadEndpointPort, {"protocol": "TCP", "port": 80, **fields}) == expected


NATS: dict[str, list[tuple[str, str]]] = {
    "192.0.2.1": [],
    "::ffff:192.0.2.1": [],
    "fd00::1": [("externalIP", "conflict")],
    "192.0.2.1/32": [("externalIP", "bad-address")],
}


@pytest.mark.parametrize("outside", NATS)
def test_both_ends_of_a_nat_are_of_one_family(outside: str) -> None:
    assert faults(IPNAT, {"internalIP": "10.0.0.1", "externalIP": outside}) == NATS[outside]


NAMES: dict[str, tuple[dict[str, str], str]] = {
    "a pod": ({"orchestrator": "k8s", "pod": "web-0"}, "host--a-k8s-web--0-eth0"),
    "a container": ({"orchestrator": "cni", "containerID": "c1"}, "host--a-cni-c1-eth0"),
    "a network of containers": (
        {"orchestrator": "libnetwork", "workload": "x"},
        "host--a-libnetwork-libnetwork-eth0",
    ),
    "any other workload": ({"orchestrator": "openstack", "workload": "vm-1"}, "host--a-openstack-vm--1-eth0"),
}


@pytest.mark.parametrize("case", NAMES)
def test_the_name_says_what_the_spec_says(case: str) -> None:
    fields, name = NAMES[case]
    spec = {"node": "host-a", "endpoint": "eth0", "interfaceName": "cali1", **fields}

    assert faults(WorkloadEndpoint, {"metadata": {"name": name}, "spec": spec}) == []
    assert faults(WorkloadEndpoint, {"metadata": {"name": name.replace("--", "-")}, "spec": spec}) == [
        ("metadata.name", "bad-name")
    ]


@pytest.mark.parametrize("missing", ["node", "orchestrator", "pod", "endpoint"])
def test_a_name_is_not_compared_with_a_spec_that_leaves_a_part_of_it_open(missing: str) -> None:
    spec = {"node": "a", "orchestrator": "k8s", "pod": "b", "endpoint": "eth0", "interfaceName": "cali1"}
    del spec[missing]

    assert faults(WorkloadEndpoint, {"metadata": {"name": "anything"}, "spec": spec}) == []
