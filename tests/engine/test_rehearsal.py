"""The whole way of a flow, as it would be with the staged policies live."""

from __future__ import annotations

from typing import Any

import pytest
from policy import flow_of, host_endpoint, policy, ruleset_of

from nfq_guard.engine import Rehearsal
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import GuardedEndpoint, Pending, Ruleset
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import Side, Stage

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"], "eth1": ["10.1.0.1"]}}
WEB = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
WEB |= {"sport": 40000, "dport": 443}
THROUGH = WEB | {"direction": "forward", "out_interface": "eth1"}
ALLOW, DENY, PASS = ([{"action": action}] for action in ("Allow", "Deny", "Pass"))
EARLY: dict[str, Any] = {"preDNAT": True, "applyOnForward": True}
FORWARD: dict[str, Any] = {"applyOnForward": True}


def staged(name: str = "tried", **spec: Any) -> dict[str, Any]:
    return policy(name, **spec) | {"kind": "StagedGlobalNetworkPolicy"}


def rehearsed(flow: dict[str, Any], *resources: dict[str, Any]) -> Decision | None:
    return Rehearsal(ruleset_of(FACTS, host_endpoint(), *resources)).decide(flow_of(flow))


def told(flow: dict[str, Any], *resources: dict[str, Any]) -> tuple[str, str, str | None] | None:
    decision = rehearsed(flow, *resources)
    return decision and (decision.verdict, decision.reason, decision.stage)


def test_the_decisive_step_names_the_staged_rule() -> None:
    decision = rehearsed(WEB, staged(order=1, ingress=DENY), policy(order=2, ingress=ALLOW))

    assert decision is not None
    assert decision.rule is not None
    assert (decision.verdict, decision.reason, decision.tier) == (Verdict.DENY, Reason.POLICY, "default")
    assert (decision.rule.kind, decision.rule.name, decision.rule.rule) == (
        "StagedGlobalNetworkPolicy",
        "tried",
        0,
    )


CASES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], tuple[str, str, str | None] | None]] = {
    "nothing staged": (WEB, [policy(ingress=ALLOW)], None),
    "nothing staged for this direction": (WEB, [policy(ingress=ALLOW), staged(egress=DENY)], None),
    "a staged policy that changes nothing": (
        WEB,
        [policy(ingress=ALLOW), staged("z", ingress=DENY)],
        ("allow", "policy", "normal"),
    ),
    "a failsafe port, for which no policy is asked": (WEB | {"dport": 22}, [staged(ingress=DENY)], None),
    "a connection that goes on": (WEB | {"ct_state": "established"}, [staged(ingress=DENY)], None),
    "nobody's interface": (WEB | {"in_interface": "eth1"}, [staged(ingress=DENY)], None),
    "an allow before DNAT skips what denies behind it": (
        WEB,
        [staged(**EARLY, ingress=ALLOW), policy(ingress=DENY)],
        ("allow", "policy", "pre-dnat"),
    ),
    "a deny before DNAT comes ahead of a staged allow": (
        WEB,
        [staged("a", **EARLY, ingress=DENY), staged("b", ingress=ALLOW)],
        ("deny", "policy", "pre-dnat"),
    ),
    "no opinion before DNAT leaves it to normal policy": (
        WEB,
        [staged(**EARLY, ingress=PASS), policy(ingress=ALLOW)],
        ("allow", "policy", "normal"),
    ),
    "a live deny ahead of the staged policy's stage": (
        WEB,
        [policy(**EARLY, ingress=DENY), staged(ingress=ALLOW)],
        None,
    ),
    "the first policy about forwarded packets": (
        THROUGH,
        [staged(**FORWARD, ingress=[{"action": "Allow", "protocol": "UDP"}])],
        ("deny", "tier-default", "forward"),
    ),
    "forwarded packets that are invalid, where policy would look": (
        THROUGH | {"ct_state": "invalid"},
        [staged(**FORWARD, ingress=ALLOW)],
        ("deny", "invalid", "forward"),
    ),
    "forwarded packets that are invalid, where policy looks already": (
        THROUGH | {"ct_state": "invalid"},
        [staged(**FORWARD, ingress=ALLOW), policy(**FORWARD, ingress=ALLOW)],
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_would_be_decided(case: str) -> None:
    flow, resources, expected = CASES[case]

    assert told(flow, *resources) == expected


def test_one_answer_has_no_part_in_the_next() -> None:
    rehearsal = Rehearsal(ruleset_of(FACTS, host_endpoint(), staged(ingress=ALLOW)))

    assert rehearsal.decide(flow_of(WEB)) is not None
    assert rehearsal.decide(flow_of(WEB | {"dport": 22})) is None


def test_endpoints_of_interfaces_that_are_not_there_yet_are_rehearsed_too() -> None:
    allow = Decision(Verdict.ALLOW, Reason.POLICY, Stage.NORMAL, Side.INGRESS, "hep")
    deny = allow._replace(verdict=Verdict.DENY)
    place = Stage.NORMAL, Side.INGRESS
    live, would = (Chain([FlatRule(Step.DECIDE, ANYTHING, one)]) for one in (allow, deny))
    endpoint = GuardedEndpoint("hep", {place: live}, {place: Pending(would, {})})

    assert Rehearsal(Ruleset("host-a", expected={"eth0": endpoint})).decide(flow_of(WEB)) == deny
