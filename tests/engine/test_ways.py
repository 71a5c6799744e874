"""A way's outcome is what its chains say of the packet, whatever its bytes and whatever is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from captures import PACKETS, wire
from chains import chains, packets, with_its_own_fields
from hypothesis import given, settings
from hypothesis import strategies as st

from nfq_guard.engine.chain import Match
from nfq_guard.engine.decide import along
from nfq_guard.engine.flowtable import FlowTable, Outcome
from nfq_guard.engine.memory import remember
from nfq_guard.engine.ways import ChainWay, Several, Way
from nfq_guard.model.flow import Packet
from nfq_guard.packet import Unparsable, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.engine.chain import Chain

LIMITS = st.sampled_from([1, 2, 1000])
SIZES = st.sampled_from([0, 2, 8, 1000])


BEGINNINGS = [(data, length) for data in PACKETS.values() for length in range(len(data) + 1)]


def damaged(data: bytes, damage: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for at, value in damage:
        changed[at % len(changed)] = value
    return bytes(changed)


whole = packets.map(with_its_own_fields).map(wire) | st.sampled_from(sorted(PACKETS.values()))
# The first bytes: version, lengths, flags, offset, protocol and ports, where ways part.
damages = st.lists(
    st.tuples(st.integers(0, 24) | st.integers(0, 99), st.integers(0, 255) | st.just(0x45)), max_size=3
)
contents = st.binary(max_size=60) | st.builds(damaged, whole, damages)
cut = st.builds(lambda data, length: data[:length], contents, st.integers(0, 60) | st.just(10_000))


def chain_way(chain: Chain, limit: int) -> ChainWay:
    return ChainWay(remember(chain, lambda match, _: Outcome(match), limit))


def said(outcome: Outcome | Unparsable) -> Match | Unparsable:
    return outcome if isinstance(outcome, Unparsable) else outcome.match


def checked(way: Way | ChainWay, data: bytes) -> Match | Unparsable:
    """Return what a way says, the same wherever in a message the packet is and whatever is behind it."""
    matches = [
        said(way.judge(data, 0, len(data))),
        said(way.judge(bytearray(b"x" * 68 + data + b"\x45" * 60), 68, 68 + len(data))),
        said(way.judge(memoryview(data), 0, len(data))),
    ]
    assert matches[0] == matches[1] == matches[2]
    return matches[0]


@given(chain=chains(), asked=st.lists(cut, min_size=1, max_size=20), limit=LIMITS)
def test_a_chains_way_says_what_the_chain_says_of_the_parsed_packet(
    chain: Chain, asked: list[bytes], limit: int
) -> None:
    way = chain_way(chain, limit)

    for data in asked * 2:
        packet = parse(data)
        assert checked(way, data) == (packet if isinstance(packet, Unparsable) else chain.classify(packet))


@given(
    several=st.lists(chains(), max_size=3),
    asked=st.lists(cut, min_size=1, max_size=10),
    limit=LIMITS,
    size=SIZES,
    again=st.booleans(),
)
def test_a_way_along_several_chains_says_what_they_say_in_turn(
    several: list[Chain], asked: list[bytes], limit: int, size: int, *, again: bool
) -> None:
    table = FlowTable(size)
    memories = [remember(chain, lambda match, _: match, limit) for chain in several]
    joint = Several(memories, lambda said: Outcome(along(said), again=again), limit)
    way = Way(table, joint.ask)

    for data in asked * 2:
        packet = parse(data)
        expected: Match | Unparsable
        if isinstance(packet, Unparsable):
            expected = packet
        else:
            expected = along(chain.classify(packet) for chain in several)
        assert checked(way, data) == expected
        assert table.entries <= size
        assert len(joint.outcomes) <= limit


@settings(max_examples=20)
@given(chain=chains())
def test_every_beginning_of_every_packet_is_judged_like_the_parsed_one(chain: Chain) -> None:
    way = chain_way(chain, 1000)

    for data, length in BEGINNINGS:
        packet = parse(data[:length])
        found = said(way.judge(data, 0, length))
        assert found == (packet if isinstance(packet, Unparsable) else chain.classify(packet))


def counting(asked: list[Packet], *, again: bool) -> Callable[[Packet], Outcome]:
    def ask(packet: Packet) -> Outcome:
        asked.append(packet)
        return Outcome(Match(None), again=again)

    return ask


def test_what_comes_again_is_asked_about_once() -> None:
    table, asked = FlowTable(), list[Packet]()
    way = Way(table, counting(asked, again=True))
    data = PACKETS["a TCP SYN over IPv6"]

    outcomes = {id(way.judge(data, 0, len(data))) for _ in range(3)}

    assert len(outcomes) == len(asked) == table.entries == 1
    assert table.hits == 2


def test_what_does_not_come_again_is_asked_about_each_time() -> None:
    table, asked = FlowTable(), list[Packet]()
    way = Way(table, counting(asked, again=False))

    for _ in range(3):
        way.judge(PACKETS["a TCP SYN over IPv6"], 0, 60)

    assert (len(asked), table.entries, table.hits) == (3, 0, 0)


def test_ways_of_one_table_know_their_own_packets_only() -> None:
    table, first, second = FlowTable(), list[Packet](), list[Packet]()
    ways = [Way(table, counting(asked, again=True)) for asked in (first, second)]

    for way in ways * 2:
        way.judge(PACKETS["a TCP SYN over IPv4"], 0, 40)

    assert (len(first), len(second), table.entries, table.hits) == (1, 1, 2, 2)
