"""Classification: bit vectors find what a walk over the lines finds."""

from __future__ import annotations

import pickle
from unittest.mock import patch

import pytest
from chains import ALLOW, DENY, LAST, lines, packets, ref, with_its_own_fields
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.engine import axis as axis_module
from nfq_guard.engine.chain import (
    ANYTHING,
    Chain,
    Criteria,
    FlatRule,
    Logged,
    Match,
    Step,
    icmp_key,
    port_key,
)
from nfq_guard.model.addresses import Intervals
from nfq_guard.model.decision import Action
from nfq_guard.model.flow import ABSENT, Packet

SYN = Packet(4, 6, 1, 2, 40000, 443)


def one(value: int) -> Intervals:
    return Intervals(((value, value),))


def only(family: int, **fields: Intervals) -> dict[int, Criteria]:
    return {family: Criteria(**fields)}


def accepts(rule: FlatRule, packet: Packet) -> bool:
    """Return whether a line accepts a packet, the long way."""
    values = (
        packet.src,
        packet.dst,
        packet.protocol,
        port_key(packet.sport),
        port_key(packet.dport),
        icmp_key(packet.icmp_type, packet.icmp_code),
    )
    criteria = rule.criteria.get(packet.family)
    return criteria is not None and all(
        wanted is None or value in wanted for wanted, value in zip(criteria, values, strict=True)
    )


@pytest.mark.parametrize("sparse", [axis_module.SPARSE, 0], ids=["few lines a class", "many lines a class"])
@given(rules=st.lists(lines, max_size=8), flow=st.lists(packets, min_size=1, max_size=10))
def test_the_lines_that_accept_a_packet_are_found(
    sparse: int, rules: list[FlatRule], flow: list[Packet]
) -> None:
    with patch.object(axis_module, "SPARSE", sparse):
        chain = Chain([*rules, LAST])

    for packet in map(with_its_own_fields, flow):
        expected = [index for index, rule in enumerate(chain.rules) if accepts(rule, packet)]
        assert list(chain.accepting(packet)) == expected
        part, key = chain.slices[packet.family][packet.protocol], chain.key(packet)
        for start in range(len(chain.rules)):
            assert part.first(key, start) == next(index for index in expected if index >= start)


def test_a_chain_must_end_in_a_decision_about_anything() -> None:
    with pytest.raises(ValueError, match="must decide about anything"):
        Chain([])
    with pytest.raises(ValueError, match="must decide about anything"):
        Chain([FlatRule(Step.DECIDE, only(4), ALLOW)])
    with pytest.raises(ValueError, match="must decide about anything"):
        Chain([FlatRule(Step.JUMP, ANYTHING, target=0)])


def test_the_decisive_line_is_counted() -> None:
    chain = Chain([FlatRule(Step.DECIDE, only(4, dport=one(port_key(443))), ALLOW, counter=7), LAST])

    assert chain.classify(SYN) == Match(ALLOW, (7,), decisive=7)
    assert chain.classify(SYN._replace(dport=80)) == Match(DENY)


def test_a_log_line_is_noted_once_and_the_walk_goes_on_behind_its_rule() -> None:
    rule = ref(0)
    twice = [FlatRule(Step.LOG, ANYTHING, target=2, ref=rule, counter=1) for _ in range(2)]
    chain = Chain([*twice, FlatRule(Step.DECIDE, ANYTHING, ALLOW, counter=2), LAST])

    assert chain.classify(SYN) == Match(ALLOW, (1, 2), (Logged(rule, 1),), 2)


def test_a_pass_is_counted_and_skips_to_its_target() -> None:
    chain = Chain(
        [
            FlatRule(Step.JUMP, ANYTHING, target=2, ref=ref(0, Action.PASS), counter=1),
            FlatRule(Step.DECIDE, ANYTHING, DENY, counter=2),
            FlatRule(Step.DECIDE, ANYTHING, ALLOW, counter=3),
        ]
    )

    assert chain.classify(SYN) == Match(ALLOW, (1, 3), decisive=3)


def test_a_stage_may_end_without_an_opinion() -> None:
    assert Chain([FlatRule(Step.DECIDE, ANYTHING)]).classify(SYN) == Match(None)


def test_a_packet_without_ports_matches_no_port() -> None:
    any_port = Intervals(((port_key(0), port_key(65535)),))
    chain = Chain([FlatRule(Step.DECIDE, only(4, dport=any_port), ALLOW), LAST])

    assert chain.classify(SYN._replace(dport=0)).decision is ALLOW
    assert chain.classify(SYN._replace(dport=ABSENT)).decision is DENY


def test_a_chain_survives_the_way_to_the_worker() -> None:
    chain = Chain([FlatRule(Step.DECIDE, only(4, dport=one(port_key(443))), ALLOW, counter=7), LAST])

    copy = pickle.loads(pickle.dumps(chain))  # noqa: S301 - our own bytes

    assert copy.classify(SYN) == Match(ALLOW, (7,), decisive=7)


def told(chain: Chain) -> object:
    """Return everything that a chain's tables hold."""
    return chain.rules, {
        family: [
            (piece.lines, [(axis.starts, axis.classes, axis.members, axis.specific) for axis in piece.axes])
            for piece in {id(piece): piece for piece in pieces}.values()
        ]
        for family, pieces in chain.slices.items()
    }


edits = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.lists(lines, max_size=2)), min_size=1, max_size=4
)


@pytest.mark.parametrize("sparse", [axis_module.SPARSE, 0], ids=["few lines a class", "many lines a class"])
@given(rules=st.lists(lines, max_size=8), walk=edits, flow=st.lists(packets, max_size=6))
def test_a_chain_made_like_another_is_what_it_is_made_alone(
    sparse: int,
    rules: list[FlatRule],
    walk: list[tuple[int, int, list[FlatRule]]],
    flow: list[Packet],
) -> None:
    with patch.object(axis_module, "SPARSE", sparse):
        chain = Chain([*rules, LAST])
        for first, last, between in walk:
            rules = [*rules[:first], *between, *rules[last:]]
            chain = Chain([*rules, LAST], like=chain)

            alone = Chain([*rules, LAST])
            assert told(chain) == told(alone)
            for packet in map(with_its_own_fields, flow):
                assert list(chain.accepting(packet)) == list(alone.accepting(packet))
                assert chain.classify(packet) == alone.classify(packet)


def test_what_no_change_touches_is_taken_over() -> None:
    https, ssh, ping = (
        FlatRule(Step.DECIDE, only(4, protocol=one(protocol), src=one(9), **more), ALLOW)
        for protocol, more in (
            (6, {"dport": one(port_key(443))}),
            (17, {"dport": one(port_key(22))}),
            (1, {"icmp": one(icmp_key(8, 0))}),
        )
    )
    before = Chain([https, ssh, ping, LAST])
    moved = FlatRule(Step.DECIDE, only(4, protocol=one(6), src=one(9), dport=one(port_key(80))), ALLOW)

    after = Chain([moved, ssh, ping, LAST], like=before)

    assert after.slices[6] == before.slices[6]
    assert [after.slices[4][number] is before.slices[4][number] for number in (1, 17, 6)] == [
        True,
        True,
        False,
    ]
    tcp = after.slices[4][6].axes
    assert [axis is kept for axis, kept in zip(tcp, before.slices[4][6].axes, strict=True)] == [
        *(True, True, False, True)
    ]


def test_what_travels_takes_nothing_along_that_only_another_chain_is_made_with() -> None:
    chain = Chain([FlatRule(Step.DECIDE, only(4, protocol=one(6), src=one(9)), ALLOW), LAST])

    arrived = pickle.loads(pickle.dumps(chain))  # noqa: S301 - our own

    assert not arrived.shares
    assert not any(piece.wanted for pieces in arrived.slices.values() for piece in pieces)
    assert arrived.classify(SYN) == chain.classify(SYN)
