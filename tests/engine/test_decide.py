"""The steps ahead of policy, and who is asked at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from policy import flow_of, host_endpoint, policy, resource, ruleset_of

from nfq_guard.engine import decide
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import ABSENT, UDP, Flow, Side, Stage

if TYPE_CHECKING:
    from pathlib import Path

FACTS: dict[str, Any] = {
    "node": "host-a",
    "interfaces": {"eth0": ["10.0.0.1", "fd00::1"], "lo": ["127.0.0.1"], "cali1": []},
}
WEB = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
WEB |= {"sport": 40000, "dport": 443}
SSH = WEB | {"dport": 22}
SOLICITATION = {
    "direction": "in",
    "in_interface": "eth0",
    "protocol": 58,
    "src": "fd00::2",
    "dst": "fd00::1",
    "icmp_type": 135,
    "icmp_code": 0,
}


def outbound(flow: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in flow.items() if key != "in_interface"}
    return rest | {"direction": "out", "out_interface": flow["in_interface"]}


def answer(flow: dict[str, Any], *resources: dict[str, Any]) -> Decision:
    return decide(ruleset_of(FACTS, *resources), flow_of(flow))


def test_an_interface_without_endpoint_is_not_touched() -> None:
    assert answer(WEB) == Decision(Verdict.ALLOW, Reason.UNMANAGED)
    assert answer(WEB | {"in_interface": "lo"}, host_endpoint()).reason is Reason.UNMANAGED


def test_an_endpoint_without_policy_denies_both_ways() -> None:
    for flow, side in ((WEB, Side.INGRESS), (outbound(WEB), Side.EGRESS)):
        decision = answer(flow, host_endpoint())

        assert decision[:5] == (Verdict.DENY, Reason.NO_MATCH, Stage.NORMAL, side, "hep")
        assert decision.rule is None


def test_ingress_policy_alone_leaves_egress_denied() -> None:
    ingress = policy(ingress=[{"action": "Allow"}])

    assert answer(WEB, host_endpoint(), ingress).verdict is Verdict.ALLOW
    assert answer(outbound(WEB), host_endpoint(), ingress)[:2] == (Verdict.DENY, Reason.NO_MATCH)


@pytest.mark.parametrize(
    ("protocol", "port"), [(4, ABSENT), (UDP, 4789), (UDP, 51820)], ids=["IPIP", "VXLAN", "WireGuard"]
)
def test_encapsulation_is_traffic_like_any_other(protocol: int, port: int) -> None:
    flow = WEB | {"protocol": protocol, "sport": port, "dport": port}
    allows = policy(ingress=[{"action": "Allow", "protocol": protocol}])

    assert answer(flow, host_endpoint()).reason is Reason.NO_MATCH
    assert answer(flow, host_endpoint(), allows).verdict is Verdict.ALLOW


@pytest.mark.parametrize("state", ["established", "related"])
def test_a_known_connection_goes_on(state: str) -> None:
    assert answer(WEB | {"ct_state": state}, host_endpoint()).reason is Reason.ESTABLISHED


def test_an_invalid_packet_is_denied_even_to_a_failsafe_port() -> None:
    assert answer(SSH | {"ct_state": "invalid"}, host_endpoint())[:2] == (Verdict.DENY, Reason.INVALID)


def test_disable_conntrack_invalid_check_leaves_invalid_packets_to_policy() -> None:
    felix = resource("FelixConfiguration", "default", disableConntrackInvalidCheck=True)

    assert answer(WEB | {"ct_state": "invalid"}, host_endpoint(), felix).reason is Reason.NO_MATCH
    assert answer(SSH | {"ct_state": "invalid"}, host_endpoint(), felix).reason is Reason.FAILSAFE


def test_a_failsafe_port_beats_a_policy_that_denies_it() -> None:
    deny = policy(ingress=[{"action": "Deny"}])

    assert answer(SSH, host_endpoint(), deny)[:2] == (Verdict.ALLOW, Reason.FAILSAFE)


def test_failsafes_look_at_the_destination_port_and_their_own_direction() -> None:
    assert answer(SSH | {"sport": 22, "dport": 40000}, host_endpoint()).verdict is Verdict.DENY
    assert answer(outbound(SSH), host_endpoint()).verdict is Verdict.DENY
    assert answer(SSH | {"protocol": 17}, host_endpoint()).verdict is Verdict.DENY


def test_an_empty_failsafe_list_means_none() -> None:
    felix = resource("FelixConfiguration", "default", failsafeInboundHostPorts=[])

    assert answer(SSH, host_endpoint(), felix).reason is Reason.NO_MATCH


def test_a_failsafe_net_is_the_peer_and_of_one_family() -> None:
    port = {"protocol": "TCP", "port": 22, "net": "203.0.113.0/24"}
    felix = resource("FelixConfiguration", "default", failsafeInboundHostPorts=[port])

    assert answer(SSH, host_endpoint(), felix).reason is Reason.FAILSAFE
    assert answer(SSH | {"src": "198.51.100.9"}, host_endpoint(), felix).reason is Reason.NO_MATCH
    assert (
        answer(SSH | {"src": "fd00::2", "dst": "fd00::1"}, host_endpoint(), felix).reason is Reason.NO_MATCH
    )


def test_an_outbound_failsafe_net_is_the_destination() -> None:
    port = {"protocol": "TCP", "port": 443, "net": "10.0.0.0/24"}
    felix = resource("FelixConfiguration", "default", failsafeOutboundHostPorts=[port])

    assert answer(outbound(WEB), host_endpoint(), felix).reason is Reason.FAILSAFE
    assert answer(outbound(WEB | {"dst": "10.9.0.1"}), host_endpoint(), felix).reason is Reason.NO_MATCH


def test_an_sctp_failsafe_works() -> None:
    felix = resource(
        "FelixConfiguration", "default", failsafeInboundHostPorts=[{"protocol": "SCTP", "port": 443}]
    )

    assert answer(WEB | {"protocol": 132}, host_endpoint(), felix).reason is Reason.FAILSAFE


def test_the_nodes_own_felix_configuration_wins_field_by_field() -> None:
    default = resource(
        "FelixConfiguration", "default", failsafeInboundHostPorts=[], disableConntrackInvalidCheck=True
    )
    node = resource(
        "FelixConfiguration", "node.host-a", failsafeInboundHostPorts=[{"protocol": "TCP", "port": 443}]
    )
    other = resource("FelixConfiguration", "node.other", disableConntrackInvalidCheck=False)

    decision = answer(WEB | {"ct_state": "invalid"}, host_endpoint(), default, node, other)

    assert decision.reason is Reason.FAILSAFE


@pytest.mark.parametrize("kind", [133, 134, 135, 136, 137])
def test_neighbor_discovery_passes_a_policy_that_denies_everything(kind: int) -> None:
    deny = policy(ingress=[{"action": "Deny"}])

    assert (
        answer(SOLICITATION | {"icmp_type": kind}, host_endpoint(), deny).reason is Reason.NEIGHBOR_DISCOVERY
    )


@pytest.mark.parametrize("kind", [132, 138, 128])
def test_other_icmpv6_is_left_to_policy(kind: int) -> None:
    assert answer(SOLICITATION | {"icmp_type": kind}, host_endpoint()).reason is Reason.NO_MATCH


def test_icmpv6_types_inside_ipv4_are_not_neighbor_discovery() -> None:
    flow = SOLICITATION | {"src": "10.0.0.2", "dst": "10.0.0.1", "icmp_type": -1, "icmp_code": -1}

    assert answer(flow, host_endpoint()).reason is Reason.NO_MATCH


def test_untracked_packets_are_judged() -> None:
    assert answer(WEB | {"ct_state": "untracked"}, host_endpoint()).reason is Reason.NO_MATCH


def test_forwarded_traffic_is_allowed_unless_no_endpoint_is_asked() -> None:
    forward = WEB | {"direction": "forward", "out_interface": "lo"}

    assert answer(forward, host_endpoint())[:2] == (Verdict.ALLOW, Reason.FORWARD_DEFAULT)
    assert answer(forward | {"in_interface": "lo"}, host_endpoint()).reason is Reason.UNMANAGED


def test_a_flow_without_its_interface_is_a_bug() -> None:
    flow = flow_of(WEB)

    with pytest.raises(ValueError, match="needs the name of its interface"):
        decide(ruleset_of(FACTS), flow._replace(in_interface=None))
    with pytest.raises(ValueError, match="needs the name of its interface"):
        decide(ruleset_of(FACTS), Flow(flow.direction.FORWARD, flow.packet, "eth0"))


# -- the order of the stages -----------------------------------------------------

EARLY = {"preDNAT": True, "applyOnForward": True}
UNTRACKED = {"doNotTrack": True, "applyOnForward": True}
CROSSING = WEB | {"direction": "forward", "out_interface": "eth1", "dst": "10.9.9.9"}
ALLOW, DENY, PASS = {"action": "Allow"}, {"action": "Deny"}, {"action": "Pass"}


def both(*resources: dict[str, Any], **flow: Any) -> Decision:
    """Return what is decided about forwarded traffic between two guarded interfaces."""
    inner = host_endpoint("inner", interfaceName="eth1", labels={"side": "inner"})
    facts = FACTS | {"interfaces": {**FACTS["interfaces"], "eth1": ["10.9.0.1"]}}
    outer = host_endpoint("outer", labels={"side": "outer"})
    return decide(ruleset_of(facts, outer, inner, *resources), flow_of(CROSSING | flow))


def test_untracked_policy_comes_before_all_others_and_an_allow_ends_the_way_in() -> None:
    untracked = policy("raw", **UNTRACKED, ingress=[ALLOW])
    early = policy("early", **EARLY, ingress=[DENY])

    decision = answer(WEB, host_endpoint(), untracked, early, policy(ingress=[DENY]))

    assert decision[:4] == (Verdict.ALLOW, Reason.POLICY, Stage.UNTRACKED, Side.INGRESS)


def test_untracked_policy_is_asked_about_every_packet_even_of_a_known_connection() -> None:
    untracked = policy("raw", **UNTRACKED, ingress=[DENY])

    assert answer(WEB | {"ct_state": "established"}, host_endpoint(), untracked).stage is Stage.UNTRACKED


def test_what_untracked_policy_passes_on_goes_to_the_next_stage() -> None:
    untracked = policy("raw", **UNTRACKED, ingress=[PASS])

    assert answer(WEB, host_endpoint(), untracked, policy(ingress=[ALLOW])).stage is Stage.NORMAL
    assert answer(WEB, host_endpoint(), untracked).reason is Reason.NO_MATCH


def test_answers_from_failsafe_ports_are_not_for_untracked_policy() -> None:
    untracked = policy("raw", **UNTRACKED, types=["Ingress", "Egress"], ingress=[DENY], egress=[DENY])
    dns = WEB | {"protocol": 17, "sport": 53, "dport": 40000}
    shell = outbound(WEB | {"sport": 22, "dport": 40000})

    for flow in (dns, shell):
        assert answer(flow, host_endpoint(), untracked).stage is Stage.NORMAL
    assert answer(WEB | {"sport": 22}, host_endpoint(), untracked).stage is Stage.UNTRACKED


def test_untracked_policy_of_the_wildcard_is_not_heard() -> None:
    untracked = policy("raw", **UNTRACKED, ingress=[ALLOW])

    assert answer(WEB, host_endpoint(interfaceName="*"), untracked).reason is Reason.NO_MATCH


def test_policy_before_dnat_is_asked_about_the_destination_as_sent() -> None:
    rule = {"action": "Deny", "protocol": "TCP", "destination": {"ports": [8000]}}
    flow = WEB | {"original_dport": 8000}
    normal = policy(ingress=[ALLOW])

    assert answer(flow, host_endpoint(), policy("early", **EARLY, ingress=[rule]), normal).stage is (
        Stage.PRE_DNAT
    )
    assert answer(flow, host_endpoint(), policy(ingress=[rule, ALLOW])).verdict is Verdict.ALLOW


def test_an_allow_before_dnat_ends_the_way_in() -> None:
    early = policy("early", **EARLY, ingress=[ALLOW])

    assert answer(WEB, host_endpoint(), early, policy(ingress=[DENY])).stage is Stage.PRE_DNAT


def test_a_failsafe_port_ends_the_stage_before_dnat_only() -> None:
    early = policy("early", **EARLY, ingress=[DENY])

    assert answer(SSH, host_endpoint(), early)[:3] == (Verdict.ALLOW, Reason.FAILSAFE, Stage.NORMAL)


def test_the_wildcards_policy_before_dnat_holds_where_an_interface_has_none_of_its_own() -> None:
    early = policy("early", **EARLY, selector="all-of == 'them'", ingress=[DENY])
    wildcard = host_endpoint("any", interfaceName="*", labels={"all-of": "them"})

    assert answer(WEB, host_endpoint(), wildcard, early, policy(ingress=[ALLOW])).endpoint == "any"


def test_forwarded_traffic_meets_the_incoming_interfaces_ingress_then_the_outgoing_ones_egress() -> None:
    into = policy("into", applyOnForward=True, selector="side == 'outer'", ingress=[ALLOW])
    out = policy("out", applyOnForward=True, selector="side == 'inner'", egress=[DENY], types=["Egress"])

    assert both(into)[:4] == (Verdict.ALLOW, Reason.POLICY, Stage.FORWARD, Side.INGRESS)
    assert both(into, out)[:5] == (Verdict.DENY, Reason.POLICY, Stage.FORWARD, Side.EGRESS, "inner")


def test_an_allow_before_dnat_spares_forwarded_traffic_the_incoming_interfaces_policy_only() -> None:
    early = policy("early", **EARLY, selector="side == 'outer'", ingress=[ALLOW])
    into = policy("into", applyOnForward=True, selector="side == 'outer'", ingress=[DENY])
    out = policy("out", applyOnForward=True, selector="side == 'inner'", egress=[DENY], types=["Egress"])

    assert both(early, into)[:3] == (Verdict.ALLOW, Reason.POLICY, Stage.PRE_DNAT)
    assert both(early, into, out).endpoint == "inner"


def test_an_empty_policy_that_applies_on_forward_denies_all_that_is_forwarded() -> None:
    empty = policy(applyOnForward=True, types=["Ingress", "Egress"])

    assert both()[:2] == (Verdict.ALLOW, Reason.FORWARD_DEFAULT)
    assert both(empty)[:3] == (Verdict.DENY, Reason.TIER_DEFAULT, Stage.FORWARD)


def test_forwarded_traffic_has_no_failsafes_and_no_profiles() -> None:
    into = policy("into", applyOnForward=True, selector="side == 'outer'", ingress=[PASS])
    closed = policy("closed", applyOnForward=True, selector="side == 'outer'", ingress=[])

    assert both(into, dport=22)[:2] == (Verdict.ALLOW, Reason.FORWARD_DEFAULT)
    assert both(closed, dport=22)[:2] == (Verdict.DENY, Reason.TIER_DEFAULT)


def test_an_invalid_packet_is_denied_on_its_way_through_where_some_policy_looks_at_it() -> None:
    into = policy("into", applyOnForward=True, selector="side == 'outer'", ingress=[ALLOW])

    assert both(into, ct_state="invalid")[:2] == (Verdict.DENY, Reason.INVALID)
    assert both(ct_state="invalid")[:2] == (Verdict.ALLOW, Reason.FORWARD_DEFAULT)


# -- workloads ---------------------------------------------------------------------

FROM_WORKLOAD = WEB | {"in_interface": "cali1", "src": "10.65.0.2"}


def to_host(action: str) -> dict[str, Any]:
    return resource("FelixConfiguration", "default", defaultEndpointToHostAction=action)


def workload_endpoint() -> dict[str, Any]:
    spec: dict[str, Any] = {"node": "host-a", "orchestrator": "k8s", "pod": "w", "endpoint": "eth0"}
    spec |= {"interfaceName": "cali1", "ipNetworks": ["10.65.0.2/32"]}
    made = resource("WorkloadEndpoint", "host--a-k8s-w-eth0", labels={"app": "w"}, **spec)
    made["metadata"]["namespace"] = "shop"
    return made


@pytest.mark.parametrize(("action", "verdict"), [("Drop", "deny"), ("Accept", "allow"), ("Return", "allow")])
def test_a_workloads_packet_to_its_host_gets_the_action(action: str, verdict: str) -> None:
    decision = answer(FROM_WORKLOAD, to_host(action), host_endpoint(interfaceName="*"))

    assert (decision.verdict, decision.reason) == (verdict, Reason.ENDPOINT_TO_HOST)


def test_a_workloads_own_policy_can_only_deny_ahead_of_the_action() -> None:
    deny = policy("w", selector="app == 'w'", egress=[DENY], types=["Egress"])
    allow = policy("w", selector="app == 'w'", egress=[ALLOW], types=["Egress"])

    assert answer(FROM_WORKLOAD, to_host("Accept"), workload_endpoint(), deny).reason is Reason.POLICY
    assert answer(FROM_WORKLOAD, to_host("Drop"), workload_endpoint(), allow)[:2] == (
        Verdict.DENY,
        Reason.ENDPOINT_TO_HOST,
    )


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [*((kind, "allow") for kind in (130, 131, 132, 133, 135, 136)), (134, "deny"), (128, "deny")],
)
def test_a_workload_may_always_find_its_host_and_join_groups(kind: int, verdict: str) -> None:
    flow = SOLICITATION | {"in_interface": "cali1", "icmp_type": kind}

    assert answer(flow, to_host("Drop")).verdict == verdict


def test_the_host_reaches_its_workloads_whatever_policy_says() -> None:
    decision = answer(outbound(FROM_WORKLOAD), host_endpoint(interfaceName="*"), workload_endpoint())

    assert decision[:2] == (Verdict.ALLOW, Reason.HOST_TO_WORKLOAD)


@pytest.mark.conformance
def test_every_endpoint_to_host_case_of_calico_is_decided_the_same_way(cases_dir: Path) -> None:
    cases = json.loads((cases_dir / "ep_to_host_action.json").read_text())["cases"]
    differing = [case for case in cases if _verdict_of(case) != case["expected"]]

    assert len(cases) >= 26
    assert differing == []


def _verdict_of(case: dict[str, Any]) -> str:
    resources = [to_host(case["defaultEndpointToHostAction"])]
    if case["hep"] != "none":
        before = EARLY if case["hep"] == "*-pre-dnat" else {}
        interface = "eth0" if case["hep"] == "eth0" else "*"
        resources += [
            host_endpoint(interfaceName=interface),
            policy("case", **before, ingress=[{"action": case["hep_policy"]}]),
        ]
    ours = answer(FROM_WORKLOAD, *resources).verdict
    # Return leaves the packet to the rules behind Calico's: the policy of the INPUT chain,
    # which is another table's with us.
    left = case["defaultEndpointToHostAction"] == "Return" and case["input_chain_policy"] == "DROP"
    return "deny" if left else ours
