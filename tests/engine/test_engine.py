"""The packet path: bytes to outcome, through the flow table, with no exception ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from captures import PACKETS
from hypothesis import given
from hypothesis import strategies as st
from policy import host_endpoint, policy, resource, ruleset_of
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader, wrpcap

from nfq_guard.engine import Engine, Place
from nfq_guard.engine.chain import Match
from nfq_guard.engine.ruleset import HostAction
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Direction, Gate, Side, Stage
from nfq_guard.packet import Unparsable, parse

if TYPE_CHECKING:
    from pathlib import Path

IN, OUT = Gate(Stage.NORMAL, Direction.IN), Gate(Stage.NORMAL, Direction.OUT)
ETH0 = Place(IN, "eth0")
FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1", "fd00::1"]}}
WEB = policy(
    ingress=[
        {"action": "Allow", "protocol": "TCP", "destination": {"ports": [443]}},
        {"action": "Log", "protocol": "SCTP"},
        {"action": "Deny", "protocol": "SCTP"},
        {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}},
    ]
)
RULESET = ruleset_of(FACTS, host_endpoint(), WEB)


def reason_of(outcome: Match | Unparsable) -> str:
    if isinstance(outcome, Unparsable):
        return outcome.reason
    assert outcome.decision is not None
    return f"{outcome.decision.verdict} {outcome.decision.reason}"


EXPECTED = {
    "a TCP SYN over IPv4": "allow policy",
    "a TCP SYN over IPv6": "allow policy",
    "an echo request over IPv4": "allow policy",
    "an echo request over IPv6": "deny tier-default",
    "a UDP datagram over IPv4": "deny tier-default",
    "a later fragment over IPv4": "deny tier-default",
    "an SCTP INIT over IPv4": "deny policy",
    "a neighbor solicitation": "allow neighbor-discovery",
    "TCP behind hop-by-hop, routing and destination options": "allow policy",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_queued_packet_is_judged(name: str) -> None:
    assert reason_of(Engine(RULESET).judge(ETH0, PACKETS[name])) == EXPECTED[name]


def test_a_capture_replayed_gives_the_same_answers(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    wrpcap(str(capture), [Ether() / IP(PACKETS[name]) for name in EXPECTED if "over IPv4" in name])
    engine = Engine(RULESET)

    with RawPcapReader(str(capture)) as frames:
        replayed = [reason_of(engine.judge(ETH0, frame[14:])) for frame, _meta in frames]

    assert replayed == [answer for name, answer in EXPECTED.items() if "over IPv4" in name]


def test_a_log_rule_is_noted_on_the_way() -> None:
    outcome = Engine(RULESET).judge(ETH0, PACKETS["an SCTP INIT over IPv4"])

    assert isinstance(outcome, Match)
    assert [ref.rule for ref in outcome.logs] == [1]
    assert [RULESET.counter_keys[index].action for index in outcome.counters] == ["log", "deny"]


def test_a_failsafe_packet_that_reaches_the_queue_is_allowed() -> None:
    data = bytes(IP(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=1, dport=22))

    assert reason_of(Engine(RULESET).judge(ETH0, data)) == "allow failsafe"


def test_an_interface_nobody_governs_is_let_through() -> None:
    assert (
        reason_of(Engine(RULESET).judge(Place(IN, "eth7"), PACKETS["a TCP SYN over IPv4"]))
        == "unknown-interface"
    )


def test_the_second_packet_of_a_kind_comes_from_the_flow_table() -> None:
    engine = Engine(RULESET)
    first = engine.judge(ETH0, PACKETS["a TCP SYN over IPv4"])

    second = engine.judge(ETH0, PACKETS["a TCP SYN over IPv4"])

    assert second is first
    assert (engine.hits, engine.misses, engine.entries) == (1, 1, 1)


def test_the_flow_table_keeps_sides_and_interfaces_apart() -> None:
    two = {"node": "host-a", "interfaces": {"eth0": [], "eth1": []}}
    engine = Engine(ruleset_of(two, host_endpoint(), host_endpoint("other", interfaceName="eth1"), WEB))
    data = PACKETS["a TCP SYN over IPv4"]

    assert reason_of(engine.judge(ETH0, data)) == "allow policy"
    assert reason_of(engine.judge(Place(OUT, out_interface="eth0"), data)) == "deny no-match"
    assert reason_of(engine.judge(Place(IN, "eth2"), data)) == "unknown-interface"


def test_a_flood_of_tuples_never_fills_more_than_the_table_and_changes_no_answer() -> None:
    engine = Engine(RULESET, table_size=100)
    packet = bytearray(PACKETS["a TCP SYN over IPv4"])

    for port in range(1000):
        packet[20:22] = port.to_bytes(2, "big")
        assert reason_of(engine.judge(ETH0, bytes(packet))) == "allow policy"
        assert engine.entries <= 100
    assert engine.entries >= 50


def test_a_table_of_size_zero_holds_nothing() -> None:
    engine = Engine(RULESET, table_size=0)
    for _ in range(3):
        engine.judge(ETH0, PACKETS["a TCP SYN over IPv4"])

    assert (engine.entries, engine.hits) == (0, 0)


@given(st.binary(max_size=200), st.sampled_from(list(Side)), st.sampled_from(["eth0", "eth1", ""]))
def test_any_bytes_have_an_outcome(data: bytes, side: Side, interface: str) -> None:
    place = Place(IN, interface) if side is Side.INGRESS else Place(OUT, "", interface)
    outcome = Engine(RULESET).judge(place, data)

    assert isinstance(outcome, Unparsable) == isinstance(parse(data), Unparsable)


@pytest.mark.parametrize("name", PACKETS)
def test_every_prefix_of_every_packet_has_an_outcome(name: str) -> None:
    engine = Engine(RULESET)

    for length in range(len(PACKETS[name]) + 1):
        assert reason_of(engine.judge(ETH0, PACKETS[name][:length]))


def test_disabled_neighbor_discovery_is_left_to_policy() -> None:

    strict = replace(RULESET, options=replace(RULESET.options, allow_neighbor_discovery=False))

    assert reason_of(Engine(strict).judge(ETH0, PACKETS["a neighbor solicitation"])) == "deny tier-default"


def test_the_wildcard_takes_interfaces_that_appear_later() -> None:
    engine = Engine(ruleset_of(FACTS, host_endpoint(interfaceName="*"), resource("Profile", "unused")))
    outcome = engine.judge(Place(IN, "eth9"), PACKETS["a TCP SYN over IPv4"])

    assert isinstance(outcome, Match)
    assert outcome.decision is not None
    assert (outcome.decision.verdict, outcome.decision.reason) == (Verdict.DENY, Reason.NO_MATCH)


# -- other places than the normal stage ---------------------------------------------

SYN = "a TCP SYN over IPv4"
STAGES = ruleset_of(
    {"node": "host-a", "interfaces": {"eth0": [], "eth1": [], "cali1": []}},
    host_endpoint(labels={"side": "outer"}),
    host_endpoint("inner", interfaceName="eth1", labels={"side": "inner"}),
    policy(
        "raw",
        doNotTrack=True,
        applyOnForward=True,
        selector="side == 'outer'",
        ingress=[{"action": "Log"}, {"action": "Deny", "protocol": "UDP"}],
    ),
    policy(
        "early", preDNAT=True, applyOnForward=True, selector="side == 'outer'", ingress=[{"action": "Allow"}]
    ),
    policy(
        "in",
        applyOnForward=True,
        selector="side == 'outer'",
        order=1,
        ingress=[{"action": "Log"}, {"action": "Allow"}],
    ),
    policy(
        "out",
        applyOnForward=True,
        selector="side == 'inner'",
        types=["Egress"],
        egress=[{"action": "Deny", "protocol": "UDP"}, {"action": "Allow"}],
    ),
)


def at(stage: Stage, incoming: str = "", outgoing: str = "", *, before_nat: bool = False) -> Place:
    direction = Direction.FORWARD if stage is Stage.FORWARD else Direction.IN if incoming else Direction.OUT
    return Place(Gate(stage, direction, before_nat), incoming, outgoing)


def judged(place: Place, name: str = SYN) -> Match:
    outcome = Engine(STAGES).judge(place, PACKETS[name])
    assert isinstance(outcome, Match)
    return outcome


def actions(match: Match) -> list[tuple[str, str]]:
    keys = [STAGES.counter_keys[index] for index in match.counters]
    return [(key.policy, key.action) for key in keys]


def test_an_early_stage_without_opinion_still_counts_and_logs() -> None:
    match = judged(at(Stage.UNTRACKED, "eth0"))

    assert match.decision is None
    assert ("raw", "log") in actions(match)
    assert [ref.name for ref in match.logs] == ["raw"]


def test_each_stage_answers_for_itself() -> None:
    assert reason_of(judged(at(Stage.UNTRACKED, "eth0"), "a UDP datagram over IPv4")) == "deny policy"
    assert reason_of(judged(at(Stage.PRE_DNAT, "eth0"), "a UDP datagram over IPv4")) == "allow policy"
    assert judged(at(Stage.PRE_DNAT, "eth1")).decision is None


def test_a_forwarded_packet_is_counted_by_every_policy_on_its_way() -> None:
    match = judged(at(Stage.FORWARD, "eth0", "eth1"))

    assert reason_of(match) == "allow policy"
    assert actions(match) == [("in", "log"), ("in", "allow"), ("out", "allow")]
    assert [ref.name for ref in match.logs] == ["in"]


def test_the_first_deny_on_the_way_through_decides() -> None:
    match = judged(at(Stage.FORWARD, "eth0", "eth1"), "a UDP datagram over IPv4")

    assert reason_of(match) == "deny policy"
    assert actions(match)[-1] == ("out", "deny")


def test_what_was_allowed_before_nat_skips_the_incoming_interfaces_policy() -> None:
    assert actions(judged(at(Stage.FORWARD, "eth0", "eth1", before_nat=True))) == [("out", "allow")]


def test_forwarded_traffic_that_no_policy_is_about_is_allowed() -> None:
    assert reason_of(judged(at(Stage.FORWARD, "eth1", "eth0"))) == "allow forward-default"


def test_a_workloads_packet_to_its_host_gets_the_action() -> None:
    assert reason_of(judged(at(Stage.NORMAL, "cali1"))) == "deny endpoint-to-host"
    returning = replace(STAGES, endpoint_to_host=HostAction.RETURN)
    outcome = Engine(returning).judge(at(Stage.NORMAL, "cali1"), PACKETS[SYN])
    assert reason_of(outcome) == "allow endpoint-to-host"


def test_the_flow_table_keeps_places_apart() -> None:
    engine = Engine(STAGES)
    places = [
        at(Stage.FORWARD, "eth0", "eth1"),
        at(Stage.FORWARD, "eth0", "eth1", before_nat=True),
        at(Stage.NORMAL, "eth0"),
        at(Stage.PRE_DNAT, "eth0"),
    ]
    for place in places:
        engine.judge(place, PACKETS[SYN])

    assert (engine.entries, engine.hits) == (4, 0)
