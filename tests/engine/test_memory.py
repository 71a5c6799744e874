"""What is remembered of a chain says what the chain says, within its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chains import ALLOW, LAST, chains, packets, with_its_own_fields
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.engine import memory as memory_module
from nfq_guard.engine.axis import Axis
from nfq_guard.engine.chain import ANYTHING, PORTED, Chain, Criteria, FlatRule, Match, Step
from nfq_guard.engine.memory import Outcomes, Seen, grown, remember
from nfq_guard.model.addresses import LAST_ADDRESS, Intervals
from nfq_guard.model.flow import ABSENT, ICMP_OF_FAMILY, TCP, UDP, Packet

if TYPE_CHECKING:
    from nfq_guard.engine.memory import Memory


def asked(memory: Memory[Match], packet: Packet) -> Match:
    part = memory[packet.family][packet.protocol]
    return part.outcomes[part.number(packet)]


def accepting(**fields: Intervals) -> Chain:
    return Chain([FlatRule(Step.DECIDE, dict.fromkeys((4, 6), Criteria(**fields)), ALLOW), LAST])


@pytest.mark.parametrize("limit", [1, 3, 1000])
@given(chain=chains(), flow=st.lists(packets.map(with_its_own_fields), min_size=1, max_size=20))
def test_a_memory_says_what_its_chain_says(limit: int, chain: Chain, flow: list[Packet]) -> None:
    memory = remember(chain, lambda match, _: match, limit)

    for packet in flow * 2:
        assert asked(memory, packet) == chain.classify(packet)
        assert max(map(len, grown(memory))) <= limit


def test_one_outcome_is_made_for_all_packets_that_a_line_is_the_first_to_accept() -> None:
    made: list[Match] = []
    chain = accepting(src=Intervals(((10, 20), (30, 40))), dport=Intervals(((81, 444),)))
    memory = remember(chain, lambda match, _: made.append(match) or match, 100)  # type: ignore[func-returns-value]

    for source, port in ((10, 80), (20, 100), (35, 443), (10, 80), (15, 300)):
        assert asked(memory, Packet(4, TCP, source, 2, 1, port)).decision is ALLOW
    assert asked(memory, Packet(4, TCP, 25, 2, 1, 80)) == Match(LAST.decision)

    assert made == [Match(ALLOW), Match(LAST.decision)]


@given(
    chain=chains(),
    flow=st.lists(packets.map(with_its_own_fields), min_size=1, max_size=20),
    ports=st.lists(st.integers(0, 65_535), min_size=1, max_size=10),
)
def test_what_is_said_to_hold_for_every_source_port_does(
    chain: Chain, flow: list[Packet], ports: list[int]
) -> None:
    memory = remember(chain, lambda match, by_tuple: (match, by_tuple), 1000)

    for packet in flow:
        part = memory[packet.family][packet.protocol]
        match, by_tuple = part.outcomes[part.number(packet)]
        if by_tuple and packet.protocol in PORTED:
            assert {chain.classify(packet._replace(sport=port)) for port in ports} == {match}


def test_a_line_that_one_protocol_reaches_whatever_its_source_port_is_asked_about_by_another() -> None:
    low = {4: Criteria(protocol=Intervals(((TCP, TCP),)), sport=Intervals(((2, 1024),)))}
    chain = Chain([FlatRule(Step.DECIDE, low, LAST.decision), FlatRule(Step.DECIDE, ANYTHING, ALLOW), LAST])
    memory = remember(chain, lambda _, by_tuple: by_tuple, 1000)

    said = {
        protocol: memory[4][protocol].outcomes[
            memory[4][protocol].number(Packet(4, protocol, 1, 2, 40_000, 80))
        ]
        for protocol in (UDP, TCP)
    }

    assert said == {UDP: True, TCP: False}


def test_a_field_that_no_line_looks_at_is_not_remembered() -> None:
    memory = remember(accepting(dst=Intervals(((5, 9),))), lambda match, _: match, 100)

    part = memory[4][TCP]

    assert (part.source, part.third, part.fourth) == (None, None, None)
    assert isinstance(part.destination, Seen)


def test_protocols_that_no_line_tells_apart_share_a_memory() -> None:
    memory = remember(accepting(dst=Intervals(((5, 9),))), lambda match, _: match, 100)

    assert memory[4][47] is memory[4][50] is not memory[4][TCP]
    assert memory[6][47] is not memory[4][47]


@pytest.mark.parametrize("family", [4, 6])
def test_every_port_and_the_lack_of_one_has_its_place(family: int) -> None:
    # Ports are shifted by one, 0 stands for none.
    edges = Intervals(((0, 0), (2, 2), (65_536, 65_536)))
    memory = remember(accepting(sport=edges, dport=edges), lambda match, _: match, 100)
    one = Packet(family, UDP, 1, 2, 1, 1)

    for port, allowed in ((ABSENT, True), (0, False), (1, True), (2, False), (65_534, False), (65_535, True)):
        assert (asked(memory, one._replace(sport=port)).decision is ALLOW) == allowed
        assert (asked(memory, one._replace(dport=port)).decision is ALLOW) == allowed


@pytest.mark.parametrize("family", [4, 6])
def test_the_last_address_has_its_place(family: int) -> None:
    last = LAST_ADDRESS[family]
    memory = remember(accepting(src=Intervals(((last, last),))), lambda match, _: match, 100)

    assert asked(memory, Packet(family, ICMP_OF_FAMILY[family], last, 0, icmp_type=8, icmp_code=0)).decision
    assert asked(memory, Packet(family, 47, last - 1, last)).decision is LAST.decision


def test_a_full_memory_of_values_or_outcomes_is_emptied_and_answers_on() -> None:
    seen = Seen(Axis([(0, Intervals(((5, 9),)))], 1), 7, 3)
    outcomes: Outcomes[int, int] = Outcomes(lambda asked: asked * 2, 3)

    for value in range(20):
        assert seen[value] == (7 if 5 <= value <= 9 else 0)
        assert outcomes[value] == outcomes[value] == 2 * value
        assert 1 <= len(seen) <= 3
        assert 1 <= len(outcomes) <= 3


def test_values_are_bounded_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "VALUES", 5)
    memory = remember(accepting(src=Intervals(((5, 9),))), lambda match, _: match, 100)

    for source in range(50):
        asked(memory, Packet(4, TCP, source, 2, 1, 80))

    assert {len(entries) for entries in grown(memory)} == {2, 5}


@given(st.lists(st.integers(1, 50), min_size=4, max_size=4), st.data())
def test_a_number_stands_for_one_key(sizes: list[int], data: st.DataObject) -> None:
    chain = accepting(src=Intervals(((5, 9),)))
    piece = chain.slices[4][TCP]
    for axis, size in zip(piece.axes, sizes, strict=True):
        axis.members = [()] * size
    key = tuple(data.draw(st.integers(0, size - 1)) for size in sizes)

    number = sum(place * stride for place, stride in zip(key, memory_module._strides(piece), strict=True))

    assert memory_module._classes(piece, number) == key
