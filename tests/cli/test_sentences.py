"""Decisions in words: aligned, and with the reason why a packet is nobody's."""

from __future__ import annotations

from typing import Any

import pytest
from policy import facts_of, flow_of, host_endpoint, inventory_of, policy, resource

from nfq_guard.cli.sentences import Sentences
from nfq_guard.compile import compile_ruleset
from nfq_guard.engine import Rehearsal, decide
from nfq_guard.model.flow import ABSENT

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"], "eth1": ["10.1.0.1"], "a-long-one": []}}
WEB = policy(
    "web",
    ingress=[{"action": "Allow", "protocol": "TCP", "destination": {"ports": [80]}}],
)


def said(*resources: dict[str, Any], **flow: Any) -> str:
    """Return the sentence about a packet to the host."""
    asked = flow_of(
        {
            "direction": "in",
            "in_interface": "eth0",
            "protocol": 6,
            "src": "10.9.0.1",
            "dst": "10.0.0.1",
            "dport": 80,
            **flow,
        }
    )
    inventory = inventory_of(*resources)
    ruleset = compile_ruleset(inventory, facts_of(FACTS)).ruleset
    would = Rehearsal(ruleset).decide(asked)
    return Sentences(inventory, ruleset).sentence(asked, decide(ruleset, asked), would)


def test_columns_stand_below_each_other_whatever_decided() -> None:
    both = (
        host_endpoint("a"),
        host_endpoint("longer", interfaceName="eth1"),
        host_endpoint("of-another-node", node="b"),
        WEB,
    )

    assert [
        said(*both),
        said(*both, dport=81, in_interface="eth1"),
        said(*both, dport=22),
    ] == [
        "allow  policy              a       tier default, GlobalNetworkPolicy(web) ingress rule 0 at test.json:1",
        "deny   tier-default        longer  end of tier default",
        "allow  failsafe            a",
    ]


NOBODYS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no endpoint at all": ([], {}, "no endpoint for interface eth0 of node host-a"),
    "endpoints of another node": (
        [host_endpoint(node="worker-1")],
        {},
        "no endpoint for interface eth0 of node host-a; endpoints are for node worker-1",
    ),
    "endpoints of many other nodes": (
        [host_endpoint(f"e{number}", node=f"w{number}") for number in range(7)],
        {},
        "no endpoint for interface eth0 of node host-a; endpoints are for nodes w0, w1, w2, w3, w4 and 2 more",
    ),
    "endpoints of other interfaces, there or not": (
        [host_endpoint("a", interfaceName="eth1"), host_endpoint("b", interfaceName="eth9")],
        {},
        "no endpoint for interface eth0 of node host-a; its endpoints govern eth1, eth9",
    ),
    "an address that is not there": (
        [host_endpoint(expectedIPs=["192.0.2.1"])],
        {},
        "no endpoint for interface eth0 of node host-a",
    ),
}


@pytest.mark.parametrize("case", NOBODYS)
def test_why_a_packet_is_nobodys(case: str) -> None:
    resources, flow, why = NOBODYS[case]

    assert said(*resources, **flow) == f"allow  unmanaged           {why}"


STAGED = {**policy("try", order=1, ingress=[{"action": "Deny"}]), "kind": "StagedGlobalNetworkPolicy"}
EMPTY = {**policy("try", types=["Ingress"]), "kind": "StagedGlobalNetworkPolicy"}
EVERYTHING = host_endpoint("a", profiles=["projectcalico-default-allow"])
WOULD: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a staged rule": (
        [host_endpoint("a"), WEB, STAGED],
        (
            "allow  policy              a  tier default, GlobalNetworkPolicy(web) ingress rule 0 at test.json:1; "
            "staged: would deny, tier default, StagedGlobalNetworkPolicy(try) ingress rule 0 at test.json:1"
        ),
    ),
    "the end of a tier": (
        [EVERYTHING, EMPTY],
        (
            "allow  profile             a  Profile(projectcalico-default-allow) ingress rule 0 at built-in:0; "
            "staged: would deny, end of tier default"
        ),
    ),
    "a step with nothing to say but its reason": (
        [host_endpoint("a"), {**EMPTY, "spec": {"ingress": [{"action": "Pass"}]}}],
        "deny   no-match            a; staged: would deny, no-match",
    ),
}


@pytest.mark.parametrize("case", WOULD)
def test_what_staged_policies_would_do_stands_behind_what_is_decided(case: str) -> None:
    resources, expected = WOULD[case]

    assert said(*resources) == expected


def felix(action: str) -> dict[str, Any]:
    return resource("FelixConfiguration", "default", defaultEndpointToHostAction=action)


REPORT = {"protocol": 58, "src": "fe80::2", "dst": "ff02::16", "icmp_type": 131, "dport": ABSENT}
TO_HOST: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "the default": ([], {}, "deny   endpoint-to-host      defaultEndpointToHostAction Drop"),
    "a setting": ([felix("Accept")], {}, "allow  endpoint-to-host      defaultEndpointToHostAction Accept"),
    "a listener report": (
        [],
        REPORT,
        "allow  endpoint-to-host      ICMPv6 that the link needs, whatever defaultEndpointToHostAction Drop says",
    ),
}


@pytest.mark.parametrize("case", TO_HOST)
def test_the_setting_that_decides_for_workloads_is_named_with_its_value(case: str) -> None:
    resources, flow, expected = TO_HOST[case]

    assert said(*resources, **{"in_interface": "cali1", **flow}) == expected
