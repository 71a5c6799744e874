"""What a rule's fields mean to a packet: one row a sentence of Calico's semantics."""

from __future__ import annotations

from typing import Any

import pytest
from policy import flow_of, host_endpoint, policy, resource, ruleset_of

from nfq_guard.engine import decide
from nfq_guard.model.decision import Verdict

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1", "fd00::1"]}}
V4 = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
V4 |= {"sport": 40000, "dport": 8080}
V6 = V4 | {"src": "2001:db8::9", "dst": "fd00::1"}
UDP = V4 | {"protocol": 17}
FRAGMENT = {key: value for key, value in V4.items() if key not in {"sport", "dport"}}
PING = FRAGMENT | {"protocol": 1, "icmp_type": 8, "icmp_code": 0}
PING6 = PING | {"protocol": 58, "src": "2001:db8::9", "dst": "fd00::1", "icmp_type": 128}

OTHERS = (
    host_endpoint(
        "server",
        node="host-b",
        expectedIPs=["10.0.0.1", "fd00::1"],
        labels={"role": "server"},
        ports=[
            {"name": "http", "protocol": "TCP", "port": 8080},
            {"name": "http", "protocol": "UDP", "port": 9090},
            {"name": "admin", "protocol": "TCP", "port": 9000},
        ],
    ),
    host_endpoint("unreachable", node="host-b", interfaceName="eth5", labels={"role": "hidden"}),
    resource(
        "GlobalNetworkSet", "office", labels={"site": "office"}, nets=["203.0.113.0/24", "198.51.100.1"]
    ),
    resource("GlobalNetworkSet", "office6", labels={"site": "office6"}, nets=["2001:db8::/32"]),
    resource("GlobalNetworkSet", "twice", labels={"site": "twice", "role": "x"}, nets=["203.0.113.9"]),
)


def matches(flow: dict[str, Any], **rule: Any) -> bool:
    ruleset = ruleset_of(FACTS, host_endpoint(), policy(ingress=[{"action": "Allow", **rule}]), *OTHERS)
    return decide(ruleset, flow_of(flow)).verdict is Verdict.ALLOW


def tcp(**destination: Any) -> dict[str, Any]:
    return {"protocol": "TCP", "destination": destination}


CASES: dict[str, tuple[bool, dict[str, Any], dict[str, Any]]] = {
    "an empty rule matches anything": (True, V4, {}),
    "ipVersion 4 is not for IPv6": (False, V6, {"ipVersion": 4}),
    "ipVersion 6 is for IPv6": (True, V6, {"ipVersion": 6}),
    "protocol by name": (True, V4, {"protocol": "TCP"}),
    "protocol by number": (True, V4, {"protocol": 6}),
    "another protocol": (False, UDP, {"protocol": "TCP"}),
    "notProtocol bars its own": (False, V4, {"notProtocol": "TCP"}),
    "notProtocol leaves the others": (True, UDP, {"notProtocol": 6}),
    "protocol and notProtocol both count": (False, V4, {"protocol": "TCP", "notProtocol": "TCP"}),
    "a port": (True, V4, tcp(ports=[8080])),
    "a port range includes its ends": (True, V4, tcp(ports=["8000:8080"])),
    "a port beside the range": (False, V4, tcp(ports=["8081:9000"])),
    "one of several ports": (True, V4, tcp(ports=[1, "2:3", 8080])),
    "a source port": (True, V4, {"protocol": "TCP", "source": {"ports": [40000]}}),
    "notPorts bars": (False, V4, tcp(notPorts=[8080])),
    "notPorts leaves the others": (True, V4, tcp(notPorts=[80])),
    "ports and notPorts both count": (False, V4, tcp(ports=["8000:9000"], notPorts=[8080])),
    "a fragment has no port": (False, FRAGMENT, tcp(ports=["1:65535"])),
    "a fragment has no other port either": (False, FRAGMENT, tcp(notPorts=[80])),
    "ICMP is not ICMPv6": (False, PING6, {"protocol": "ICMP"}),
    "ICMPv6 is not ICMP": (False, PING, {"protocol": "ICMPv6"}),
    "an ICMP type": (True, PING, {"protocol": "ICMP", "icmp": {"type": 8}}),
    "another ICMP type": (False, PING, {"protocol": "ICMP", "icmp": {"type": 0}}),
    "an ICMP type and code": (True, PING, {"protocol": "ICMP", "icmp": {"type": 8, "code": 0}}),
    "the type with another code": (False, PING, {"protocol": "ICMP", "icmp": {"type": 8, "code": 1}}),
    "type 0 is not the absence of a type": (False, V4, {"protocol": "ICMP", "icmp": {"type": 0}}),
    "an ICMPv6 type": (True, PING6, {"protocol": "ICMPv6", "icmp": {"type": 128}}),
    "notICMP bars": (False, PING, {"notICMP": {"type": 8}}),
    "notICMP with another code leaves": (True, PING, {"notICMP": {"type": 8, "code": 1}}),
    "notICMP is about ICMP packets only": (False, V4, {"notICMP": {"type": 8}}),
    "notICMP is per family": (True, PING6, {"notICMP": {"type": 8}}),
    "a source net": (True, V4, {"source": {"nets": ["198.51.100.0/24", "203.0.113.0/24"]}}),
    "another source net": (False, V4, {"source": {"nets": ["198.51.100.0/24"]}}),
    "an IPv4 net is never IPv6": (False, V6, {"source": {"nets": ["0.0.0.0/0"]}}),
    "an IPv6 net is never IPv4": (False, V4, {"source": {"nets": ["::/0"]}}),
    "notNets bars": (False, V4, {"source": {"notNets": ["203.0.113.0/24"]}}),
    "notNets leaves": (True, V4, {"source": {"notNets": ["198.51.100.0/24"]}}),
    "notNets of the other family: the rule does not exist": (
        False,
        V6,
        {"source": {"notNets": ["10.0.0.0/8"]}},
    ),
    "nets and notNets both count": (
        False,
        V4,
        {"source": {"nets": ["203.0.113.0/24"], "notNets": ["203.0.113.9/32"]}},
    ),
    "a selector stands for network sets": (True, V4, {"source": {"selector": "site == 'office'"}}),
    "a selector stands for host endpoints by expectedIPs": (
        True,
        V4,
        {"destination": {"selector": "role == 'server'"}},
    ),
    "an endpoint without expectedIPs cannot be selected": (
        False,
        V4,
        {"destination": {"selector": "role == 'hidden'"}},
    ),
    "a selector that selects nothing matches nothing": (
        False,
        V4,
        {"source": {"selector": "site == 'moon'"}},
    ),
    "all() in a rule means known addresses": (
        False,
        V4 | {"src": "192.0.2.1"},
        {"source": {"selector": "all()"}},
    ),
    "a selector is asked per family": (False, V6, {"source": {"selector": "site == 'office'"}}),
    "notSelector bars the known": (False, V4, {"source": {"notSelector": "site == 'office'"}}),
    "notSelector leaves the unknown": (
        True,
        V4 | {"src": "192.0.2.1"},
        {"source": {"notSelector": "site == 'office'"}},
    ),
    "notSelector with no address of the family bars nothing": (
        True,
        V6,
        {"source": {"notSelector": "site == 'office'"}},
    ),
    "selector and notSelector are asked of the same endpoint": (
        True,
        V4,
        {"source": {"selector": "has(site)", "notSelector": "role == 'x'"}},
    ),
    "selector and nets both count": (
        False,
        V4,
        {"source": {"selector": "site == 'office'", "nets": ["198.51.100.0/24"]}},
    ),
    "global() means endpoints in no namespace": (True, V4, {"source": {"namespaceSelector": "global()"}}),
    "global() means known ones": (
        False,
        V4 | {"src": "192.0.2.1"},
        {"source": {"namespaceSelector": "global()"}},
    ),
    "all() as namespaceSelector wants a namespace": (False, V4, {"source": {"namespaceSelector": "all()"}}),
    "namespaceSelector asks a namespace's labels": (
        False,
        V4,
        {"source": {"namespaceSelector": "has(site)"}},
    ),
    "namespaceSelector and selector both count": (
        False,
        V4,
        {"source": {"namespaceSelector": "all()", "selector": "has(site)"}},
    ),
    "a named port": (True, V4, tcp(ports=["http"])),
    "a named port has its endpoint's protocol": (
        False,
        V4 | {"protocol": 17},
        {"protocol": "UDP", "destination": {"ports": ["http"]}},
    ),
    "a named port of another protocol has its own number": (
        True,
        UDP | {"dport": 9090},
        {"protocol": "UDP", "destination": {"ports": ["http"]}},
    ),
    "a named port without protocol is any of its protocols": (
        True,
        UDP | {"dport": 9090},
        {"destination": {"ports": ["http"]}},
    ),
    "a named port is at its endpoint's address only": (False, V4 | {"dst": "10.0.0.2"}, tcp(ports=["http"])),
    "a named port over IPv6": (True, V6, tcp(ports=["http"])),
    "a named port is looked up among what the selector selects": (
        False,
        V4,
        tcp(ports=["http"], selector="role == 'x'"),
    ),
    "named and numbered ports are alternatives": (True, V4 | {"dport": 81}, tcp(ports=["http", 81])),
    "an unknown port name matches nothing": (False, V4, tcp(ports=["nothing"])),
    "a named port among notPorts bars": (False, V4, tcp(notPorts=["http"])),
    "a named port among notPorts leaves other addresses": (
        True,
        V4 | {"dst": "10.0.0.2"},
        tcp(notPorts=["http"]),
    ),
    "a named port among notPorts leaves other ports": (True, V4 | {"dport": 81}, tcp(notPorts=["http"])),
    "a named port among notPorts leaves what has no port": (
        True,
        PING,
        {"destination": {"notPorts": ["http"]}},
    ),
    "two named ports, one barred": (False, V4, tcp(ports=["admin", "http"], notPorts=["http"])),
    "services need Kubernetes": (False, V4, {"source": {"services": {"name": "x", "namespace": "y"}}}),
    "service accounts need Kubernetes": (False, V4, {"source": {"serviceAccounts": {"names": ["x"]}}}),
    "HTTP needs a proxy": (False, V4, {"http": {"methods": ["GET"]}}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rule_matches(case: str) -> None:
    expected, flow, rule = CASES[case]

    assert matches(flow, **rule) is expected
