from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import PING, WEB6, denied, event
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.cli.flows import KEYS, parse_flow, parse_observed, verdict_object
from nfq_guard.model.addresses import parse_address
from nfq_guard.model.decision import Action, Decision, Reason, RuleRef, Verdict
from nfq_guard.model.flow import ABSENT, CtState, Direction, Flow, Packet, Side, Stage
from nfq_guard.stream.lines import document

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event

SSH = {
    "direction": "in",
    "in_interface": "eth0",
    "protocol": "TCP",
    "src": "10.0.0.9",
    "dst": "10.0.0.1",
    "sport": 40000,
    "dport": 22,
}
PING6 = {
    "direction": "out",
    "out_interface": "eth0",
    "protocol": "ICMPv6",
    "src": "fd00::1",
    "dst": "fd00::9",
    "icmp_type": 128,
    "icmp_code": 0,
}
RULE = RuleRef(
    "default", "GlobalNetworkPolicy", "allow-ssh", None, 2, Side.INGRESS, Action.ALLOW, "a.yaml", 7
)


def address(text: str) -> int:
    return parse_address(text)[1]


def test_a_flow_is_a_packet_at_a_place() -> None:
    packet = Packet(4, 6, address("10.0.0.9"), address("10.0.0.1"), 40000, 22, ABSENT, ABSENT)

    assert parse_flow(SSH) == Flow(Direction.IN, packet, "eth0")


def test_icmp_has_type_and_code() -> None:
    packet = Packet(6, 58, address("fd00::1"), address("fd00::9"), ABSENT, ABSENT, 128, 0)

    assert parse_flow(PING6) == Flow(Direction.OUT, packet, None, "eth0")


def test_what_is_not_said_is_absent_and_new() -> None:
    flow = parse_flow({key: value for key, value in SSH.items() if key not in {"sport", "dport"}})

    assert (flow.packet.sport, flow.packet.dport, flow.ct_state) == (ABSENT, ABSENT, CtState.NEW)
    assert (flow.original_dst, flow.original_dport) == (None, None)


def test_null_is_the_same_as_not_said() -> None:
    assert parse_flow({**SSH, "icmp_type": None, "out_interface": None}) == parse_flow(SSH)


IGNORED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the other interface": (SSH, {"out_interface": "eth1"}),
    "ports of ICMP": (PING6, {"sport": 0, "dport": 22, "original_dport": 22}),
    "ICMP fields of TCP": (SSH, {"icmp_type": 8, "icmp_code": 0}),
    "ICMPv6 fields inside IPv4": ({**SSH, "protocol": 58, "sport": None, "dport": None}, {"icmp_type": 128}),
    "a code without a type": ({**PING6, "icmp_type": None, "icmp_code": None}, {"icmp_code": 1}),
}


@pytest.mark.parametrize(("flow", "more"), IGNORED.values(), ids=IGNORED)
def test_fields_that_such_a_packet_does_not_have_are_ignored(
    flow: dict[str, Any], more: dict[str, Any]
) -> None:
    assert parse_flow({**flow, **more}) == parse_flow(flow)


def test_a_type_without_a_code_has_code_zero() -> None:
    assert parse_flow({**PING6, "icmp_code": None}) == parse_flow(PING6)


def test_a_forwarded_flow_has_two_interfaces_and_what_was_before_dnat() -> None:
    flow = parse_flow(
        {
            **SSH,
            "direction": "forward",
            "out_interface": "eth1",
            "ct_state": "untracked",
            "original_dst": "192.0.2.1",
            "original_dport": 2222,
        }
    )

    assert (flow.in_interface, flow.out_interface, flow.ct_state) == ("eth0", "eth1", CtState.UNTRACKED)
    assert (flow.original_dst, flow.original_dport) == (address("192.0.2.1"), 2222)


@pytest.mark.parametrize(
    ("spelled", "number"),
    [("TCP", 6), ("tcp", 6), ("UDPLite", 136), ("sctp", 132), (6, 6), ("6", 6), (132, 132)],
    ids=["name", "lower case", "mixed case", "another name", "number", "number as text", "another number"],
)
def test_a_protocol_is_a_name_or_a_number(spelled: str | int, number: int) -> None:
    assert parse_flow({**SSH, "protocol": spelled}).packet.protocol == number


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in SSH.items() if name != key}


REFUSED: dict[str, tuple[Any, str]] = {
    "a list": ([], "must be a JSON object"),
    "an unknown key": ({**SSH, "port": 22}, "unknown key 'port'; a flow has: ct_state, direction"),
    "no direction": (without("direction"), "missing key 'direction'"),
    "a wrong direction": (
        {**SSH, "direction": "up"},
        "'direction' must be one of in, out, forward, found 'up'",
    ),
    "no interface": (without("in_interface"), "missing key 'in_interface': a flow with direction in has one"),
    "forward with one interface": ({**SSH, "direction": "forward"}, "missing key 'out_interface'"),
    "an interface that is a number": ({**SSH, "in_interface": 2}, "'in_interface' must be text, found 2"),
    "no protocol": (without("protocol"), "missing key 'protocol'"),
    "an unknown protocol": ({**SSH, "protocol": "GRE"}, "'protocol' must be TCP, UDP, ICMP"),
    "a protocol past 255": ({**SSH, "protocol": 256}, "or a number 0-255, found 256"),
    "a protocol that is a truth": ({**SSH, "protocol": True}, "or a number 0-255, found True"),
    "no source": (without("src"), "missing key 'src'"),
    "a source that is a net": ({**SSH, "src": "10.0.0.0/8"}, "'src' must be an IPv4 or IPv6 address"),
    "families that differ": (
        {**SSH, "dst": "fd00::1"},
        "src is IPv4 and dst is IPv6: a packet has one family",
    ),
    "a port past 65535": ({**SSH, "dport": 65536}, "'dport' must be a number 0-65535, found 65536"),
    "a port in quotes": ({**SSH, "dport": "22"}, "'dport' must be a number 0-65535, found '22'"),
    "a wrong state": ({**SSH, "ct_state": "NEW"}, "'ct_state' must be one of new, established"),
    "another family before DNAT": ({**SSH, "original_dst": "fd00::1"}, "DNAT keeps the family"),
}


@pytest.mark.parametrize(("document", "message"), REFUSED.values(), ids=REFUSED)
def test_what_could_not_be_a_packet_is_refused_with_its_reason(document: Any, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_flow(document)

    assert message in str(refused.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
near_flows = st.fixed_dictionaries(
    {}, optional={key: json_values | st.just(SSH.get(key)) for key in sorted(KEYS)}
)


@given(json_values | near_flows)
def test_any_json_is_a_flow_or_a_value_error(document: Any) -> None:
    try:
        flow = parse_flow(document)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both ends are fine, anything else is not
    else:
        assert isinstance(flow, Flow)


@pytest.mark.parametrize(
    "seen",
    [
        event(),
        denied(packet=PING),
        denied(packet=WEB6, direction="forward", stage="forward", out_interface="cali1"),
    ],
)
def test_a_line_of_the_verdict_stream_is_about_a_flow(seen: Event) -> None:
    line = json.loads(json.dumps(document(seen)))

    flow = parse_observed(line)

    assert (flow.packet, flow.in_interface) == (seen.packet, "eth0")
    assert flow.out_interface == (seen.out_interface or None)


def test_a_verdict_about_nothing_that_could_be_read_is_no_flow() -> None:
    with pytest.raises(ValueError, match="about no packet"):
        parse_observed({"verdict": "deny", "direction": "in", "src": None})


def test_a_verdict_by_a_rule_names_the_rule() -> None:
    decision = Decision(
        Verdict.ALLOW, Reason.POLICY, Stage.NORMAL, Side.INGRESS, "worker-eth0", "default", RULE, 4
    )

    assert verdict_object(decision) == {
        "verdict": "allow",
        "reason": "policy",
        "stage": "normal",
        "direction": "ingress",
        "endpoint": "worker-eth0",
        "tier": "default",
        "policy": {"kind": "GlobalNetworkPolicy", "name": "allow-ssh"},
        "rule": 2,
    }


def test_a_verdict_at_the_end_of_a_tier_names_the_tier() -> None:
    decision = Decision(Verdict.DENY, Reason.TIER_DEFAULT, Stage.NORMAL, Side.EGRESS, "a", "default")

    assert verdict_object(decision)["policy"] is None


def test_a_verdict_without_any_step_is_all_null() -> None:
    answer = verdict_object(Decision(Verdict.ALLOW, Reason.UNMANAGED))

    assert {key for key, value in answer.items() if value is None} == answer.keys() - {"verdict", "reason"}
