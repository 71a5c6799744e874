"""What goes ahead of a host endpoint's policy: failsafes of its direction, answers where nobody knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chains import packets, with_its_own_fields
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.compile.ahead import Ahead
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import Failsafe
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import ABSENT, ICMPV6, TCP, UDP, Packet, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

NETS = [None, *(parse_net(text) for text in ("0.0.0.0/31", "0.0.0.0/0", "::/127", "::/0"))]
failsafes = st.lists(
    st.builds(
        Failsafe,
        protocol=st.sampled_from([TCP, UDP]),
        port=st.sampled_from([0, 1, 443, 65535]),
        net=st.sampled_from(NETS),
    ),
    max_size=3,
).map(tuple)
EARLY = [Stage.UNTRACKED, Stage.PRE_DNAT, Stage.NORMAL]


def said(ahead: Ahead, stage: Stage, side: Side, packet: Packet) -> Reason | None:
    """Return why a chain of these lines alone lets a packet by."""
    lines = [
        FlatRule(Step.DECIDE, criteria, Decision(Verdict.ALLOW, reason))
        for reason, criteria in ahead.lines(stage, side)
    ]
    decision = Chain([*lines, FlatRule(Step.DECIDE, ANYTHING)]).classify(packet).decision
    return None if decision is None else decision.reason


def hits(asked: Iterable[Failsafe], packet: Packet, port: int, peer: int) -> bool:
    """Return whether one of these ports is meant, the long way (calico-semantics 3.6)."""
    return any(
        (one.protocol, one.port) == (packet.protocol, port)
        and (one.net is None or (one.net.family == packet.family and one.net.first <= peer <= one.net.last))
        for one in asked
    )


def expected(ahead: Ahead, stage: Stage, side: Side, packet: Packet) -> Reason | None:
    inward = side is Side.INGRESS
    asked, answered = (ahead.inbound, ahead.outbound) if inward else (ahead.outbound, ahead.inbound)
    peer = packet.src if inward else packet.dst
    if hits(asked, packet, packet.dport, peer):
        return Reason.FAILSAFE
    if stage is Stage.UNTRACKED and hits(answered, packet, packet.sport, peer):
        return Reason.FAILSAFE
    discovery = packet.family == 6 and packet.protocol == ICMPV6 and 133 <= packet.icmp_type <= 137
    return Reason.NEIGHBOR_DISCOVERY if discovery and ahead.neighbor_discovery else None


@given(
    ahead=st.builds(Ahead, failsafes, failsafes, st.booleans()),
    stage=st.sampled_from(EARLY),
    side=st.sampled_from(list(Side)),
    flow=st.lists(packets.map(with_its_own_fields), min_size=1, max_size=20),
)
def test_failsafe_ports_and_where_nobody_knows_them_their_answers_are_let_by(
    ahead: Ahead, stage: Stage, side: Side, flow: list[Packet]
) -> None:
    for packet in flow:
        assert said(ahead, stage, side, packet) == expected(ahead, stage, side, packet)


@pytest.mark.parametrize("stage", EARLY)
@pytest.mark.parametrize(
    ("kind", "passes"),
    [(132, False), (133, True), (134, True), (135, True), (136, True), (137, True), (138, False)],
)
@pytest.mark.parametrize("code", [0, 255])
def test_neighbor_discovery_is_let_by_whatever_its_code(
    stage: Stage, kind: int, code: int, *, passes: bool
) -> None:
    packet = Packet(6, ICMPV6, 1, 2, ABSENT, ABSENT, kind, code)

    for side in Side:
        assert said(Ahead(), stage, side, packet) == (Reason.NEIGHBOR_DISCOVERY if passes else None)
        assert said(Ahead(neighbor_discovery=False), stage, side, packet) is None


def test_nothing_is_let_by_ahead_of_policy_for_forwarded_traffic() -> None:
    ahead = Ahead((Failsafe(TCP, 22),), (Failsafe(TCP, 443),))

    assert [list(ahead.lines(Stage.FORWARD, side)) for side in Side] == [[], []]
