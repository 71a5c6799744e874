"""Random lines of chains and packets over a universe small enough that they meet.

Owns the strategies of the engine's tests below the compiler. Must never ask the engine.
"""

from __future__ import annotations

from hypothesis import strategies as st

from nfq_guard.engine.chain import ANYTHING, PORTED, Chain, Criteria, FlatRule, Step, icmp_key, port_key
from nfq_guard.model.addresses import LAST_ADDRESS, Intervals
from nfq_guard.model.decision import Action, Decision, Reason, RuleRef, Verdict
from nfq_guard.model.flow import ABSENT, ICMP_OF_FAMILY, Packet, Side

DENY = Decision(Verdict.DENY, Reason.NO_MATCH)
ALLOW = Decision(Verdict.ALLOW, Reason.POLICY)
LAST = FlatRule(Step.DECIDE, ANYTHING, DENY)


def ref(rule: int, action: Action = Action.LOG) -> RuleRef:
    """Return a rule's reference."""
    return RuleRef("default", "GlobalNetworkPolicy", "p", None, rule, Side.INGRESS, action, "p.yaml", 1)


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
        protocol=axis(st.sampled_from([0, 1, 6, 17, 58, 255])),
        sport=axis(ports.map(port_key)),
        dport=axis(ports.map(port_key)),
        icmp=axis(st.sampled_from([icmp_key(8, 0), icmp_key(8, 255), icmp_key(0, 0), icmp_key(255, 255)])),
    ),
)
packets = st.builds(
    Packet,
    family=st.sampled_from([4, 6]),
    protocol=st.sampled_from([0, 1, 6, 17, 58, 255]),
    src=addresses,
    dst=addresses,
    sport=ports,
    dport=ports,
    icmp_type=st.sampled_from([ABSENT, 0, 8, 255]),
    icmp_code=st.sampled_from([0, 255]),
)


def with_its_own_fields(packet: Packet) -> Packet:
    """Return a packet without the fields that its protocol does not have."""
    if packet.protocol in PORTED:
        return packet._replace(icmp_type=ABSENT)
    plain = packet._replace(sport=ABSENT, dport=ABSENT)
    return plain if packet.protocol == ICMP_OF_FAMILY[packet.family] else plain._replace(icmp_type=ABSENT)


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Draw a chain whose lines decide, jump and log, each counted by its own number."""
    deciding = draw(st.lists(lines, max_size=8))
    rules = []
    for index, rule in enumerate(deciding):
        step = draw(st.sampled_from([Step.DECIDE, Step.DECIDE, Step.JUMP, Step.LOG]))
        target = draw(st.integers(index + 1, len(deciding))) if step is Step.JUMP else index + 1
        decision = draw(st.sampled_from([ALLOW, DENY, None])) if step is Step.DECIDE else None
        rules.append(FlatRule(step, rule.criteria, decision, target, ref(index), index))
    return Chain([*rules, LAST])
