"""The way of a flow, as it was gone."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from policy import flow_of, host_endpoint, policy, ruleset_of
from strategies import FACTS, inventories, random_flow

from nfq_guard.engine import decide
from nfq_guard.engine.trace import Tracer
from nfq_guard.model.flow import Side, Stage

FLOW = {"direction": "forward", "in_interface": "eth0", "out_interface": "eth1", "protocol": 6}
FLOW |= {"src": "192.0.2.1", "dst": "10.1.0.1", "sport": 40000, "dport": 80}


def test_every_chain_that_was_asked_is_told_in_order() -> None:
    early = policy("early", preDNAT=True, applyOnForward=True, ingress=[{"action": "Pass"}])
    across = policy("across", applyOnForward=True, ingress=[{"action": "Allow"}], egress=[{"action": "Deny"}])
    ruleset = ruleset_of(FACTS, host_endpoint("a"), host_endpoint("b", interfaceName="eth1"), early, across)

    trace = Tracer(ruleset).trace(flow_of(FLOW | {"original_dst": "10.0.0.1"}))

    assert [(one.endpoint.name, one.stage, one.side) for one in trace.asked] == [
        ("a", Stage.PRE_DNAT, Side.INGRESS),
        ("a", Stage.FORWARD, Side.INGRESS),
        ("b", Stage.FORWARD, Side.EGRESS),
    ]
    assert [one.packet.dst for one in trace.asked] == [0x0A000001, 0x0A010001, 0x0A010001]
    assert trace.decision == trace.asked[-1].match.decision


def test_a_chain_that_nobody_had_to_ask_is_not_told() -> None:
    deny = policy(applyOnForward=True, ingress=[{"action": "Deny"}], egress=[{"action": "Deny"}])
    ruleset = ruleset_of(FACTS, host_endpoint("a"), host_endpoint("b", interfaceName="eth1"), deny)

    trace = Tracer(ruleset).trace(flow_of(FLOW))

    assert [(one.endpoint.name, one.side) for one in trace.asked] == [("a", Side.INGRESS)]


@given(inventories(), st.integers(0, 2**32).map(Random))
def test_a_traced_flow_gets_the_verdict_that_it_gets_untraced(
    resources: list[dict[str, object]], chance: Random
) -> None:
    ruleset = ruleset_of(FACTS, *resources)
    tracer = Tracer(ruleset)
    for _ in range(20):
        flow = flow_of(random_flow(chance))
        assert tracer.trace(flow).decision == decide(ruleset, flow)
