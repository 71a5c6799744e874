"""What of a rule a packet does not fulfil, in words."""

from __future__ import annotations

from typing import Any

import pytest
from policy import facts_of, flow_of, host_endpoint, inventory_of, policy

from nfq_guard.compile import compile_ruleset
from nfq_guard.explain import Explainer
from nfq_guard.explain.steps import Field

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"]}}
TCP = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
TCP |= {"sport": 40000, "dport": 443}
PING = TCP | {"protocol": 1, "icmp_type": 8, "icmp_code": 0}
FRAGMENT = {name: value for name, value in TCP.items() if name not in {"sport", "dport"}}
SIX = TCP | {"src": "2001:db8::9", "dst": "2001:db8::1"}
HTTP = host_endpoint(ports=[{"name": "http", "protocol": "TCP", "port": 80}], expectedIPs=["10.0.0.1"])


def missed(flow: dict[str, Any], rule: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    inventory = inventory_of(HTTP, policy(ingress=[{"action": "Allow", **rule}]))
    ruleset = compile_ruleset(inventory, facts_of(FACTS)).ruleset
    step = Explainer(inventory, ruleset).explain(flow_of(flow)).steps[-1]
    return [
        (str(one.field), one.path, one.found, one.wanted) for one in step.tiers[0].policies[0].rules[0].misses
    ]


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str, str, str]]]] = {
    "nets": (
        TCP,
        {"source": {"nets": ["10.0.0.0/8"]}},
        [("source", "source.nets", "203.0.113.9", "10.0.0.0/8")],
    ),
    "many nets": (
        TCP,
        {"source": {"nets": [f"10.{number}.0.0/16" for number in range(6)]}},
        [
            (
                "source",
                "source.nets",
                "203.0.113.9",
                "10.0.0.0/16, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16 and 2 more",
            )
        ],
    ),
    "not nets": (
        TCP,
        {"source": {"notNets": ["203.0.113.0/24"]}},
        [("source", "source.notNets", "203.0.113.9", "any but 203.0.113.0/24")],
    ),
    "nets of the other family": (
        SIX,
        {"source": {"nets": ["10.0.0.0/8"]}},
        [("family", "source.nets", "IPv6 address 2001:db8::9", "10.0.0.0/8")],
    ),
    "IP version": (TCP, {"ipVersion": 6}, [("family", "ipVersion", "IPv4", "IPv6")]),
    "protocol": (TCP, {"protocol": "UDP"}, [("protocol", "protocol", "TCP", "UDP")]),
    "not protocol": (TCP, {"notProtocol": "TCP"}, [("protocol", "notProtocol", "TCP", "any but TCP")]),
    "ports": (
        TCP,
        {"protocol": "TCP", "destination": {"ports": [80, "8000:8100"]}},
        [("destination-port", "destination.ports", "443", "80, 8000:8100")],
    ),
    "not ports": (
        TCP,
        {"protocol": "TCP", "destination": {"notPorts": [443]}},
        [("destination-port", "destination.notPorts", "443", "any but 443")],
    ),
    "a packet without ports": (
        FRAGMENT,
        {"protocol": "TCP", "source": {"ports": [1]}, "destination": {"notPorts": [2]}},
        [
            ("source-port", "source.ports", "no port", "1"),
            ("destination-port", "destination.notPorts", "no port", "any but 2"),
        ],
    ),
    "a named port": (
        TCP,
        {"destination": {"ports": ["http"]}},
        [("destination-port", "destination.ports", "443", "http")],
    ),
    "a named port that must not be": (
        TCP | {"dport": 80},
        {"destination": {"notPorts": ["http"]}},
        [("destination-port", "destination.notPorts", "80", "any but http")],
    ),
    "ICMP type": (
        PING,
        {"protocol": "ICMP", "icmp": {"type": 0, "code": 1}},
        [("icmp", "icmp", "type 8 code 0", "type 0 code 1")],
    ),
    "not ICMP type": (
        PING,
        {"protocol": "ICMP", "notICMP": {"type": 8}},
        [("icmp", "notICMP", "type 8 code 0", "any but type 8")],
    ),
    "a selector": (
        TCP,
        {"source": {"selector": "role == 'db'"}},
        [("source", "source.selector", "203.0.113.9", 'an address of nobody, by role == "db"')],
    ),
    "a negated selector": (
        TCP | {"src": "10.0.0.1"},
        {"source": {"notSelector": "all()"}},
        [("source", "source.notSelector", "10.0.0.1", "none of HostEndpoint(hep), by all()")],
    ),
    "what no packet shows": (
        TCP,
        {"source": {"serviceAccounts": {"names": ["a"]}}, "protocol": "UDP"},
        [("source", "source.serviceAccounts", "an address", "Kubernetes")],
    ),
    "several at once": (
        TCP,
        {"protocol": "UDP", "source": {"nets": ["10.0.0.0/8"]}},
        [("protocol", "protocol", "TCP", "UDP"), ("source", "source.nets", "203.0.113.9", "10.0.0.0/8")],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_field_that_is_at_odds_is_told(name: str) -> None:
    flow, rule, expected = CASES[name]

    assert missed(flow, rule) == expected


def test_every_field_has_a_case() -> None:
    assert {said[0] for _, _, expected in CASES.values() for said in expected} == set(map(str, Field)) - {
        "destination"
    }
