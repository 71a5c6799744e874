"""The packet path: bytes to outcome, through the flow table, with no exception ever."""

from __future__ import annotations

import gc
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest
from captures import FRAME, PACKETS, wire
from hypothesis import given
from hypothesis import strategies as st
from policy import facts_of, flow_of, host_endpoint, inventory_of, policy, resource, ruleset_of
from scapy.layers.inet import IP, TCP
from scapy.utils import RawPcapReader, wrpcap
from strategies import FACTS as RANDOM_FACTS
from strategies import inventories, random_flow

from nfq_guard.compile import compile_ruleset
from nfq_guard.engine import Engine, Place
from nfq_guard.engine import engine as engine_module
from nfq_guard.engine.chain import Match
from nfq_guard.engine.decide import NO_OPINION, forward_policy, stage_policy, workload_to_host
from nfq_guard.engine.flowtable import FLOW_TABLE_SIZE, FlowTable, Outcome
from nfq_guard.engine.flowtable import Part as Share
from nfq_guard.engine.memory import Outcomes, Part
from nfq_guard.engine.ruleset import HostAction, Options
from nfq_guard.engine.ways import Several, Way
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Direction, Gate, Packet, Side, Stage
from nfq_guard.packet import Unparsable, UnparsableReason, parse

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random
    from typing import Any

    from nfq_guard.engine.ruleset import Ruleset

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


UNKNOWN = Unparsable(UnparsableReason.UNKNOWN_INTERFACE)


def engine_of(ruleset: Ruleset, table_size: int = FLOW_TABLE_SIZE) -> Engine:
    """Return an engine for which every packet may come again."""
    return Engine(ruleset, lambda _place, match, _: Outcome(match, again=True), table_size)


def judge(engine: Engine, place: Place, data: bytes) -> Match | Unparsable:
    """Return what an engine says of a packet that is a message of its own."""
    way = engine.way(place)
    outcome = UNKNOWN if way is None else way.judge(data, 0, len(data))
    return outcome if isinstance(outcome, Unparsable) else outcome.match


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
    assert reason_of(judge(engine_of(RULESET), ETH0, PACKETS[name])) == EXPECTED[name]


def test_a_capture_replayed_gives_the_same_answers(tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    wrpcap(str(capture), [FRAME / IP(PACKETS[name]) for name in EXPECTED if "over IPv4" in name])
    engine = engine_of(RULESET)

    with RawPcapReader(str(capture)) as frames:
        replayed = [reason_of(judge(engine, ETH0, frame[14:])) for frame, _meta in frames]

    assert replayed == [answer for name, answer in EXPECTED.items() if "over IPv4" in name]


def test_a_log_rule_is_noted_on_the_way() -> None:
    outcome = judge(engine_of(RULESET), ETH0, PACKETS["an SCTP INIT over IPv4"])

    assert isinstance(outcome, Match)
    assert [log.rule.rule for log in outcome.logs] == [1]
    assert [RULESET.counter_keys[index].action for index in outcome.counters] == ["log", "deny"]


def test_a_failsafe_packet_that_reaches_the_queue_is_allowed() -> None:
    data = bytes(IP(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=1, dport=22))

    assert reason_of(judge(engine_of(RULESET), ETH0, data)) == "allow failsafe"


def test_at_an_interface_nobody_governs_nobody_can_be_asked() -> None:
    engine = engine_of(RULESET)

    assert engine.way(Place(IN, "eth7")) is None
    assert engine.way(Place(IN, "")) is None
    assert engine.way(Place(OUT, "eth0")) is None
    assert engine.way(Place(Gate(Stage.FORWARD, Direction.FORWARD), "eth0", "")) is None


def test_the_flow_table_keeps_sides_and_interfaces_apart() -> None:
    two = {"node": "host-a", "interfaces": {"eth0": [], "eth1": []}}
    engine = engine_of(ruleset_of(two, host_endpoint(), host_endpoint("other", interfaceName="eth1"), WEB))
    data = PACKETS["a TCP SYN over IPv4"]

    assert reason_of(judge(engine, ETH0, data)) == "allow policy"
    assert reason_of(judge(engine, Place(OUT, out_interface="eth0"), data)) == "deny no-match"
    assert reason_of(judge(engine, Place(IN, "eth2"), data)) == "unknown-interface"


@given(st.binary(max_size=200), st.sampled_from(list(Side)), st.sampled_from(["eth0", "eth1", ""]))
def test_any_bytes_have_an_outcome(data: bytes, side: Side, interface: str) -> None:
    place = Place(IN, interface) if side is Side.INGRESS else Place(OUT, "", interface)
    outcome = judge(engine_of(RULESET), place, data)

    governed = place.interface == "eth0"
    assert isinstance(outcome, Unparsable) == (not governed or isinstance(parse(data), Unparsable))


@pytest.mark.parametrize("name", PACKETS)
def test_every_prefix_of_every_packet_has_an_outcome(name: str) -> None:
    engine = engine_of(RULESET)

    for length in range(len(PACKETS[name]) + 1):
        assert reason_of(judge(engine, ETH0, PACKETS[name][:length]))


def test_disabled_neighbor_discovery_is_left_to_policy() -> None:
    inventory = inventory_of(host_endpoint(), WEB)
    strict = compile_ruleset(inventory, facts_of(FACTS), Options(allow_neighbor_discovery=False)).ruleset

    assert (
        reason_of(judge(engine_of(strict), ETH0, PACKETS["a neighbor solicitation"])) == "deny tier-default"
    )


def test_the_wildcard_takes_interfaces_that_appear_later() -> None:
    engine = engine_of(ruleset_of(FACTS, host_endpoint(interfaceName="*"), resource("Profile", "unused")))
    outcome = judge(engine, Place(IN, "eth9"), PACKETS["a TCP SYN over IPv4"])

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
    outcome = judge(engine_of(STAGES), place, PACKETS[name])
    assert isinstance(outcome, Match)
    return outcome


def actions(match: Match) -> list[tuple[str, str]]:
    keys = [STAGES.counter_keys[index] for index in match.counters]
    return [(key.policy, key.action) for key in keys]


def test_an_early_stage_without_opinion_still_counts_and_logs() -> None:
    match = judged(at(Stage.UNTRACKED, "eth0"))

    assert match.decision is None
    assert ("raw", "log") in actions(match)
    assert [log.rule.name for log in match.logs] == ["raw"]


def test_each_stage_answers_for_itself() -> None:
    assert reason_of(judged(at(Stage.UNTRACKED, "eth0"), "a UDP datagram over IPv4")) == "deny policy"
    assert reason_of(judged(at(Stage.PRE_DNAT, "eth0"), "a UDP datagram over IPv4")) == "allow policy"
    assert judged(at(Stage.PRE_DNAT, "eth1")).decision is None


def test_a_forwarded_packet_is_counted_by_every_policy_on_its_way() -> None:
    match = judged(at(Stage.FORWARD, "eth0", "eth1"))

    assert reason_of(match) == "allow policy"
    assert actions(match) == [("in", "log"), ("in", "allow"), ("out", "allow")]
    assert [log.rule.name for log in match.logs] == ["in"]


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
    outcome = judge(engine_of(returning), at(Stage.NORMAL, "cali1"), PACKETS[SYN])
    assert reason_of(outcome) == "allow endpoint-to-host"


CROSSING = at(Stage.FORWARD, "eth0", "eth1")


def test_the_second_packet_of_a_kind_that_several_chains_are_asked_about_comes_from_the_flow_table() -> None:
    engine = engine_of(STAGES)
    first = judge(engine, CROSSING, PACKETS[SYN])

    second = judge(engine, CROSSING, PACKETS[SYN])

    assert second is first
    assert (engine.table.hits, engine.table.entries) == (1, 1)


def test_one_chain_needs_no_table() -> None:
    engine = engine_of(STAGES)
    first = judge(engine, ETH0, PACKETS[SYN])

    assert judge(engine, ETH0, PACKETS[SYN]) is first
    assert (engine.table.hits, engine.table.entries) == (0, 0)


def test_a_flood_of_tuples_never_fills_more_than_the_table_and_changes_no_answer() -> None:
    engine = engine_of(STAGES, table_size=100)
    packet = bytearray(PACKETS[SYN])

    for port in range(1000):
        packet[20:22] = port.to_bytes(2, "big")
        assert reason_of(judge(engine, CROSSING, bytes(packet))) == "allow policy"
        assert engine.table.entries <= 100
    assert engine.table.entries >= 50


def test_a_table_of_size_zero_holds_nothing() -> None:
    engine = engine_of(STAGES, table_size=0)
    for _ in range(3):
        judge(engine, CROSSING, PACKETS[SYN])

    assert (engine.table.entries, engine.table.hits) == (0, 0)


def test_what_is_remembered_is_bounded_over_all_chains_and_ways_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = [
        {"action": "Allow", "protocol": "TCP", "destination": {"ports": [port]}} for port in range(1000, 1200)
    ]
    names = [f"eth{number}" for number in range(6)]
    facts = {"node": "host-a", "interfaces": dict.fromkeys(names, ())}
    endpoints = [host_endpoint(name, interfaceName=name) for name in names]
    engine = engine_of(
        ruleset_of(facts, *endpoints, policy(applyOnForward=True, ingress=rules, egress=rules))
    )
    monkeypatch.setattr(engine_module, "MEMORY", 1000)
    monkeypatch.setattr(engine_module, "_MOST", 500)
    places = [at(Stage.FORWARD, one, other) for one in names for other in names if one != other]

    for place in places:
        for port in range(950, 1250):
            packet = Packet(4, 6, 1, 2, 3, port)
            assert judge(engine, place, wire(packet)) == asked(place, engine.ruleset, packet)
        before = sum(map(len, engine.remembered())) - engine.table.entries
        while engine.trim():
            pass
        kept = sum(map(len, engine.remembered())) - engine.table.entries
        assert kept <= 1000
        assert kept >= min(before, 1000) - 500
    assert engine.trim() is False


def test_the_flow_table_keeps_places_apart() -> None:
    engine = engine_of(STAGES)
    places = [
        at(Stage.FORWARD, "eth0", "eth1"),
        at(Stage.FORWARD, "eth0", "eth1", before_nat=True),
        at(Stage.NORMAL, "eth0"),
        at(Stage.PRE_DNAT, "eth0"),
    ]
    for place in places:
        judge(engine, place, PACKETS[SYN])

    assert (engine.table.entries, engine.table.hits) == (2, 0)


# -- what is remembered -------------------------------------------------------------

GATES = {
    Direction.IN: [Gate(stage, Direction.IN) for stage in (Stage.UNTRACKED, Stage.PRE_DNAT, Stage.NORMAL)],
    Direction.OUT: [Gate(stage, Direction.OUT) for stage in (Stage.UNTRACKED, Stage.NORMAL)],
    Direction.FORWARD: [Gate(Stage.FORWARD, Direction.FORWARD, before_nat) for before_nat in (False, True)],
}


def asked(place: Place, ruleset: Ruleset, packet: Packet) -> Match:
    """Return what `decide`'s functions say at a place."""
    gate = place.gate
    if gate.stage is Stage.FORWARD:
        return forward_policy(
            ruleset, place.in_interface, place.out_interface, packet, before_nat=gate.before_nat
        )
    if gate == IN and ruleset.is_workload(place.interface):
        return workload_to_host(ruleset, place.interface, packet)
    return stage_policy(ruleset, gate.stage, place.side, place.interface, packet) or NO_OPINION


@given(
    resources=inventories(),
    chance=st.randoms(use_true_random=False),
    limit=st.sampled_from([engine_module.MEMORY, 0]),
    again=st.booleans(),
)
def test_a_place_answers_as_decide_does_whatever_is_remembered(
    resources: list[dict[str, Any]], chance: Random, limit: int, *, again: bool
) -> None:
    ruleset = ruleset_of(RANDOM_FACTS, *resources)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine_module, "MEMORY", limit)
        patched.setattr(engine_module, "_LEAST", min(limit, 1))
        engine = Engine(ruleset, lambda _place, match, _: Outcome(match, again=again), 6)

    for _ in range(30):
        flow = flow_of(random_flow(chance))
        data = wire(flow.packet)
        packet = parse(data)
        assert isinstance(packet, Packet)
        gate = chance.choice(GATES[flow.direction])
        place = Place(gate, flow.in_interface or "", flow.out_interface or "")
        way = engine.way(place)
        if way is None:
            assert gate.stage is Stage.NORMAL
            assert ruleset.endpoint_for(place.interface) is None
            continue
        outcome = way.judge(bytes(5) + data + bytes(9), 5, 5 + len(data))
        assert isinstance(outcome, Outcome)
        assert outcome.match == asked(place, ruleset, packet)
        assert engine.table.entries <= 6


def test_a_flood_of_anything_fills_nothing_beyond_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MEMORY", 0)
    monkeypatch.setattr(engine_module, "_LEAST", 64)
    engine = Engine(
        STAGES, lambda place, match, _: Outcome(match, again=place.gate.stage is Stage.UNTRACKED), 100
    )
    places = [at(Stage.UNTRACKED, "eth0"), at(Stage.NORMAL, "eth0"), at(Stage.FORWARD, "eth0", "eth1")]

    for number in range(3000):
        for place, protocol in product(places, (6, 17)):
            source, port = number * 65_537 % 2**32, number * 11 % 65_536
            packet = Packet(4, protocol, source, number, port, 65_535 - port)
            assert judge(engine, place, wire(packet)) == asked(place, STAGES, packet)
        assert max(map(len, engine.remembered())) <= 64
        assert engine.table.entries <= 100


def test_what_does_not_come_again_never_enters_the_flow_table() -> None:
    engine = Engine(RULESET, lambda _place, match, _: Outcome(match))

    for name in PACKETS:
        judge(engine, ETH0, PACKETS[name])

    assert engine.table.entries == 0


def test_a_stage_that_nobody_is_asked_at_remembers_nothing() -> None:
    engine = engine_of(STAGES)

    assert judge(engine, at(Stage.PRE_DNAT, "eth1"), PACKETS[SYN]) == NO_OPINION
    assert engine.table.entries == 0


def test_places_that_come_and_go_by_the_thousand_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "WAYS", 10)
    engine = engine_of(ruleset_of(FACTS, host_endpoint(interfaceName="*")), table_size=100)
    first = engine.way(Place(IN, "first"))
    assert first is not None

    for number in range(100):
        assert reason_of(judge(engine, Place(IN, f"eth{number}"), PACKETS[SYN])) == "deny no-match"
        assert len(engine._ways) <= 10
    for port in range(1000):
        first.judge(wire(Packet(4, 6, 1, 2, 3, port)), 0, 40)

    assert engine.table.entries == sum(map(len, engine.table.halves)) <= 100


def living() -> int:
    """Return how many objects there are of those that an engine is made of."""
    kinds = (Engine, FlowTable, Outcomes, Part, Several, Share, Way)
    return sum(isinstance(one, kinds) for one in gc.get_objects())


def test_an_engine_that_is_not_needed_any_more_goes_at_once_without_a_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        before = living()
        engine = engine_of(STAGES)
        places = [
            at(Stage.FORWARD, "eth0", "eth1"),
            at(Stage.NORMAL, "eth0"),
            at(Stage.UNTRACKED, "eth1"),
            at(Stage.NORMAL, "cali1"),
        ]
        for place, name in product(places, PACKETS):
            judge(engine, place, PACKETS[name])
        assert living() > before + 10

        del engine

        assert living() == before
    finally:
        gc.enable()
