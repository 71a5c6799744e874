"""Classification: bit vectors find what a walk over the lines finds."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.engine.chain import ANYTHING, Chain, Criteria, FlatRule, Match, Step, icmp_key, port_key
from nfq_guard.model.addresses import LAST_ADDRESS, Intervals
from nfq_guard.model.decision import Action, Decision, Reason, RuleRef, Verdict
from nfq_guard.model.flow import ABSENT, Packet, Side

DENY = Decision(Verdict.DENY, Reason.NO_MATCH)
ALLOW = Decision(Verdict.ALLOW, Reason.POLICY)
LAST = FlatRule(Step.DECIDE, ANYTHING, DENY)
SYN = Packet(4, 6, 1, 2, 40000, 443)


def ref(rule: int, action: Action = Action.LOG) -> RuleRef:
    return RuleRef("default", "GlobalNetworkPolicy", "p", None, rule, Side.INGRESS, action, "p.yaml", 1)


def one(value: int) -> Intervals:
    return Intervals(((value, value),))


def only(family: int, **fields: Intervals) -> dict[int, Criteria]:
    return {family: Criteria(**fields)}


def naive(rules: tuple[FlatRule, ...], packet: Packet) -> int:
    """Return the index of the first line that accepts the packet, the long way."""
    values = (
        packet.src,
        packet.dst,
        packet.protocol,
        port_key(packet.sport),
        port_key(packet.dport),
        icmp_key(packet.icmp_type, packet.icmp_code),
    )
    for index, rule in enumerate(rules):
        criteria = rule.criteria.get(packet.family)
        if criteria is not None and all(
            wanted is None or value in wanted for wanted, value in zip(criteria, values, strict=True)
        ):
            return index
    raise AssertionError("the last line accepts anything")


def axis(values: st.SearchStrategy[int]) -> st.SearchStrategy[Intervals | None]:
    pairs = st.lists(st.tuples(values, values).map(lambda pair: (min(pair), max(pair))), max_size=3)
    return st.none() | pairs.map(Intervals.of)


addresses = st.sampled_from([0, 1, 2, 1000, LAST_ADDRESS[4]])
ports = st.sampled_from([ABSENT, 0, 1, 443, 65535])


def line(families: set[int], criteria: Criteria) -> FlatRule:
    return FlatRule(Step.DECIDE, dict.fromkeys(families, criteria), ALLOW)


lines = st.builds(
    line,
    st.sets(st.sampled_from([4, 6])),
    st.builds(
        Criteria,
        src=axis(addresses),
        dst=axis(addresses),
        protocol=axis(st.sampled_from([0, 1, 6, 17, 255])),
        sport=axis(ports.map(port_key)),
        dport=axis(ports.map(port_key)),
        icmp=axis(st.sampled_from([icmp_key(8, 0), icmp_key(8, 255), icmp_key(0, 0), icmp_key(255, 255)])),
    ),
)
packets = st.builds(
    Packet,
    family=st.sampled_from([4, 6]),
    protocol=st.sampled_from([0, 1, 6, 17, 255]),
    src=addresses,
    dst=addresses,
    sport=ports,
    dport=ports,
    icmp_type=st.sampled_from([ABSENT, 0, 8, 255]),
    icmp_code=st.sampled_from([0, 255]),
)


@given(st.lists(lines, max_size=8), st.lists(packets, min_size=1, max_size=10))
def test_the_lowest_bit_is_the_first_line_that_accepts(rules: list[FlatRule], flow: list[Packet]) -> None:
    chain = Chain([*rules, LAST])

    for packet in flow:
        vector = chain.vector(packet)
        assert (vector & -vector).bit_length() - 1 == naive(chain.rules, packet)


def test_a_chain_must_end_in_a_decision_about_anything() -> None:
    with pytest.raises(ValueError, match="must decide about anything"):
        Chain([])
    with pytest.raises(ValueError, match="must decide about anything"):
        Chain([FlatRule(Step.DECIDE, only(4), ALLOW)])
    with pytest.raises(ValueError, match="must decide about anything"):
        Chain([FlatRule(Step.JUMP, ANYTHING, target=0)])


def test_the_decisive_line_is_counted() -> None:
    chain = Chain([FlatRule(Step.DECIDE, only(4, dport=one(port_key(443))), ALLOW, counter=7), LAST])

    assert chain.classify(SYN) == Match(ALLOW, (7,))
    assert chain.classify(SYN._replace(dport=80)) == Match(DENY)


def test_a_log_line_is_noted_once_and_the_walk_goes_on_behind_its_rule() -> None:
    rule = ref(0)
    twice = [FlatRule(Step.LOG, ANYTHING, target=2, ref=rule, counter=1) for _ in range(2)]
    chain = Chain([*twice, FlatRule(Step.DECIDE, ANYTHING, ALLOW, counter=2), LAST])

    assert chain.classify(SYN) == Match(ALLOW, (1, 2), (rule,))


def test_a_pass_is_counted_and_skips_to_its_target() -> None:
    chain = Chain(
        [
            FlatRule(Step.JUMP, ANYTHING, target=2, ref=ref(0, Action.PASS), counter=1),
            FlatRule(Step.DECIDE, ANYTHING, DENY, counter=2),
            FlatRule(Step.DECIDE, ANYTHING, ALLOW, counter=3),
        ]
    )

    assert chain.classify(SYN) == Match(ALLOW, (1, 3))


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

    assert copy.classify(SYN) == Match(ALLOW, (7,))
