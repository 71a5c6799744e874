"""The steps ahead of policy, and who is asked at all."""

from __future__ import annotations

from typing import Any

import pytest
from policy import flow_of, host_endpoint, policy, resource, ruleset_of

from nfq_guard.engine import decide
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import Flow, Side, Stage

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1", "fd00::1"], "lo": ["127.0.0.1"], "cali1": []}}
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
