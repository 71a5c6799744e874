"""What staged policies would have said is counted, and nothing that is enforced changes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import flow_of, host_endpoint, policy, resource, ruleset_of
from strategies import FACTS as RANDOM_FACTS
from strategies import INTERFACES, inventories, random_flow

from nfq_guard.engine.decide import (
    asks_forwarded,
    decide,
    forward_policy,
    judge,
    stage_policy,
    workload_to_host,
)
from nfq_guard.engine.ruleset import CounterKey, OutcomeKey, StagedKey
from nfq_guard.kernel.plan import Watched, plan_for
from nfq_guard.model.flow import Side, Stage

if TYPE_CHECKING:
    from nfq_guard.engine.chain import Match
    from nfq_guard.engine.ruleset import CountedKey, Ruleset
    from nfq_guard.model.flow import Packet

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"], "eth1": ["10.1.0.1"], "cali1": []}}
WEB = {"direction": "in", "in_interface": "eth0", "protocol": 6, "src": "203.0.113.9", "dst": "10.0.0.1"}
WEB |= {"sport": 40000, "dport": 443}
PACKET = flow_of(WEB).packet
ALLOW, DENY, LOG, PASS = ([{"action": action}] for action in ("Allow", "Deny", "Log", "Pass"))
INGRESS, EGRESS = Side.INGRESS, Side.EGRESS
EARLY: dict[str, Any] = {"preDNAT": True, "applyOnForward": True}
FORWARD: dict[str, Any] = {"applyOnForward": True}


def staged(name: str = "tried", **spec: Any) -> dict[str, Any]:
    return policy(name, **spec) | {"kind": "StagedGlobalNetworkPolicy"}


def workload(interface: str, name: str) -> dict[str, Any]:
    spec = {"node": "host-a", "interfaceName": interface, "ipNetworks": ["10.9.0.1/32"], "profiles": []}
    return {
        "kind": "WorkloadEndpoint",
        "metadata": {"name": name, "namespace": "shop", "labels": {"role": "pod"}},
        "spec": spec,
    }


def counted(match: Match | None, ruleset: Ruleset) -> list[CountedKey]:
    assert match is not None
    return [ruleset.counted[index] for index in match.counters]


def tried(match: Match | None, ruleset: Ruleset) -> list[str]:
    """Return what a match counts of staged policies, in words."""
    said = []
    for key in counted(match, ruleset):
        if isinstance(key, StagedKey):
            said.append(f"{key.line.kind}({key.line.policy}) {key.line.rule} {key.line.action}")
        elif isinstance(key, OutcomeKey):
            said.append(f"{key.endpoint} {key.stage} {key.direction}: {key.enforced}, would {key.staged}")
    return said


def normal(*resources: dict[str, Any]) -> list[str]:
    ruleset = ruleset_of(FACTS, host_endpoint(), *resources)
    return tried(stage_policy(ruleset, Stage.NORMAL, INGRESS, "eth0", PACKET), ruleset)


CASES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "a rule that would deny what is allowed": (
        [staged(order=1, ingress=DENY), policy(order=2, ingress=ALLOW)],
        ["StagedGlobalNetworkPolicy(tried) 0 deny", "hep normal ingress: allow, would deny"],
    ),
    "a rule that changes nothing": (
        [staged(order=1, ingress=ALLOW), policy(order=2, ingress=ALLOW)],
        ["StagedGlobalNetworkPolicy(tried) 0 allow", "hep normal ingress: allow, would allow"],
    ),
    "a rule that would allow what nothing allows": (
        [staged(ingress=ALLOW)],
        ["StagedGlobalNetworkPolicy(tried) 0 allow", "hep normal ingress: deny, would allow"],
    ),
    "a live policy ahead decides first": (
        [staged(order=2, ingress=DENY), policy(order=1, ingress=ALLOW)],
        ["hep normal ingress: allow, would allow"],
    ),
    "at equal order, and with the same name, the live one comes first": (
        [staged("same", ingress=DENY), policy("same", ingress=ALLOW)],
        ["hep normal ingress: allow, would allow"],
    ),
    "every line on the way": (
        [
            resource("Tier", "first", order=1),
            staged("first.a", tier="first", ingress=[*LOG, *PASS]),
            policy(ingress=ALLOW),
        ],
        [
            "StagedGlobalNetworkPolicy(first.a) 0 log",
            "StagedGlobalNetworkPolicy(first.a) 1 pass",
            "hep normal ingress: allow, would allow",
        ],
    ),
    "the end of a tier that only staged policies are in": (
        [resource("Tier", "first", order=1), staged("first.a", tier="first"), policy(ingress=ALLOW)],
        ["Tier(first) default deny", "hep normal ingress: allow, would deny"],
    ),
    "the end of a tier that passes": (
        [
            resource("Tier", "first", order=1, defaultAction="Pass"),
            staged("first.a", tier="first"),
            policy(ingress=ALLOW),
        ],
        ["Tier(first) default pass", "hep normal ingress: allow, would allow"],
    ),
    "an action that only says how Calico came by the policy": (
        [staged(ingress=DENY, stagedAction="Learn"), policy(order=2, ingress=ALLOW)],
        ["hep normal ingress: allow, would allow"],
    ),
    "a deletion": ([staged(stagedAction="Delete"), policy(ingress=ALLOW)], []),
    "another direction": ([staged(egress=DENY), policy(ingress=ALLOW)], []),
    "another endpoint": ([staged(selector="role == 'db'", ingress=DENY), policy(ingress=ALLOW)], []),
}


@pytest.mark.parametrize("case", CASES)
def test_beside_what_is_enforced_is_counted(case: str) -> None:
    resources, expected = CASES[case]

    assert normal(*resources) == expected


def test_staged_log_rules_are_counted_and_not_logged() -> None:
    ruleset = ruleset_of(FACTS, host_endpoint(), staged(ingress=LOG), policy("z", ingress=ALLOW))
    match = stage_policy(ruleset, Stage.NORMAL, INGRESS, "eth0", PACKET)

    assert match is not None
    assert match.logs == ()


def test_without_staged_policy_a_match_is_the_chains_own() -> None:
    elsewhere = staged(selector="role == 'db'", ingress=DENY)
    ruleset = ruleset_of(FACTS, host_endpoint(), policy(ingress=ALLOW), elsewhere)
    chain = ruleset.governed["eth0"].chains[Stage.NORMAL, INGRESS]

    assert ruleset.staged_policies == 0
    assert stage_policy(ruleset, Stage.NORMAL, INGRESS, "eth0", PACKET) == chain.classify(PACKET)


@pytest.mark.parametrize(
    ("spec", "stage", "side"),
    [
        (EARLY, Stage.PRE_DNAT, INGRESS),
        (FORWARD | {"doNotTrack": True}, Stage.UNTRACKED, INGRESS),
        (FORWARD | {"doNotTrack": True}, Stage.UNTRACKED, EGRESS),
    ],
)
def test_the_first_policy_of_a_stage_can_be_tried_out_and_has_no_opinion(
    spec: dict[str, Any], stage: Stage, side: Side
) -> None:
    spec = {**spec, str(side): DENY}
    ruleset = ruleset_of(FACTS, host_endpoint(), staged(**spec))
    match = stage_policy(ruleset, stage, side, "eth0", PACKET)

    assert match is not None
    assert match.decision is None
    assert tried(match, ruleset) == [
        "StagedGlobalNetworkPolicy(tried) 0 deny",
        f"hep {stage} {side}: pass, would deny",
    ]
    assert ruleset.chain_for(stage, side, "eth0") is None


def test_what_goes_to_a_failsafe_port_is_not_put_to_staged_policies() -> None:
    ruleset = ruleset_of(FACTS, host_endpoint(), staged(ingress=DENY), staged("e", **EARLY, ingress=DENY))
    ssh = PACKET._replace(dport=22)

    assert stage_policy(ruleset, Stage.PRE_DNAT, INGRESS, "eth0", ssh) is None
    assert tried(stage_policy(ruleset, Stage.NORMAL, INGRESS, "eth0", ssh), ruleset) == []


def test_before_dnat_a_staged_policy_of_its_own_would_stand_in_for_the_wildcards() -> None:
    endpoints = (
        host_endpoint(labels={"role": "own"}),
        host_endpoint("every", interfaceName="*", labels={"role": "any"}),
    )
    live = policy("live", selector="role == 'any'", **EARLY, ingress=DENY)
    ruleset = ruleset_of(FACTS, *endpoints, live, staged(selector="role == 'own'", **EARLY, ingress=ALLOW))
    before = ruleset_of(FACTS, *endpoints, live)
    match = stage_policy(ruleset, Stage.PRE_DNAT, INGRESS, "eth0", PACKET)

    assert match is not None
    assert match.decision == decide(before, flow_of(WEB))
    assert tried(match, ruleset)[-1] == "hep pre-dnat ingress: deny, would allow"
    # Everywhere else the wildcard's has nothing staged.
    assert tried(stage_policy(ruleset, Stage.PRE_DNAT, INGRESS, "eth1", PACKET), ruleset) == []


def crossed(*resources: dict[str, Any], before_nat: bool = False) -> list[str]:
    both = (
        host_endpoint("in", labels={"at": "in"}),
        host_endpoint("out", interfaceName="eth1", labels={"at": "out"}),
    )
    ruleset = ruleset_of(FACTS, *both, *resources)
    return tried(forward_policy(ruleset, "eth0", "eth1", PACKET, before_nat=before_nat), ruleset)


def at(where: str, action: list[dict[str, Any]]) -> dict[str, Any]:
    side = {"in": "ingress", "out": "egress"}[where]
    return {"selector": f"at == '{where}'", **FORWARD, side: action, "types": [side.capitalize()]}


def test_a_forwarded_packet_is_put_to_staged_policies_up_to_the_first_that_would_deny() -> None:
    assert crossed(staged("a", **at("in", DENY)), staged("b", **at("out", DENY))) == [
        "StagedGlobalNetworkPolicy(a) 0 deny",
        "in forward ingress: pass, would deny",
    ]
    assert crossed(staged("a", **at("in", ALLOW)), staged("b", **at("out", DENY))) == [
        "StagedGlobalNetworkPolicy(a) 0 allow",
        "in forward ingress: pass, would allow",
        "StagedGlobalNetworkPolicy(b) 0 deny",
        "out forward egress: pass, would deny",
    ]


def test_what_is_enforced_may_end_earlier_or_go_on() -> None:
    # Denied where it comes in, which the staged policy would allow: then its way out counts, too.
    live = policy("z", order=9, **at("in", DENY))
    assert crossed(live, staged("a", order=1, **at("in", ALLOW)), staged("b", **at("out", DENY))) == [
        "StagedGlobalNetworkPolicy(a) 0 allow",
        "in forward ingress: deny, would allow",
        "StagedGlobalNetworkPolicy(b) 0 deny",
        "out forward egress: pass, would deny",
    ]
    # Denied by a policy that stays: it never gets to the way out.
    assert crossed(live, staged("b", **at("out", DENY))) == []


def test_what_was_allowed_before_nat_is_spared_the_staged_policy_of_its_way_in() -> None:
    assert crossed(staged("a", **at("in", DENY)), before_nat=True) == []


def test_a_workloads_packets_to_its_host_are_put_to_staged_policies() -> None:
    ruleset = ruleset_of(
        FACTS,
        workload("cali1", "wep"),
        staged(selector="role == 'pod'", egress=DENY),
        policy(selector="role == 'pod'", egress=ALLOW, order=2),
    )
    staged_first = ruleset_of(
        FACTS,
        workload("cali1", "wep"),
        staged(selector="role == 'pod'", egress=DENY, order=1),
        policy(selector="role == 'pod'", egress=ALLOW, order=2),
    )

    assert tried(workload_to_host(ruleset, "cali1", PACKET), ruleset) == [
        "wep normal egress: allow, would allow"
    ]
    assert tried(workload_to_host(staged_first, "cali1", PACKET), staged_first) == [
        "StagedGlobalNetworkPolicy(tried) 0 deny",
        "wep normal egress: allow, would deny",
    ]


def test_a_policy_of_a_namespace_can_be_staged() -> None:
    made = {
        "kind": "StagedNetworkPolicy",
        "metadata": {"name": "tried", "namespace": "shop"},
        "spec": {"egress": ALLOW},
    }
    ruleset = ruleset_of(FACTS, workload("cali1", "wep"), made)

    assert tried(workload_to_host(ruleset, "cali1", PACKET), ruleset) == [
        "StagedNetworkPolicy(shop/tried) 0 allow",
        "wep normal egress: deny, would allow",
    ]


def test_what_is_enforced_is_counted_as_ever() -> None:
    live = policy(order=2, ingress=ALLOW)
    with_staged = ruleset_of(FACTS, host_endpoint(), live, staged(order=1, ingress=DENY))
    match = judge(with_staged, flow_of(WEB))

    assert [key for key in counted(match, with_staged) if isinstance(key, CounterKey)] == [
        CounterKey("default", "GlobalNetworkPolicy", "policy", "0", "ingress", "allow")
    ]
    assert with_staged.counter_keys == ruleset_of(FACTS, host_endpoint(), live).counter_keys


# -- nothing that is enforced changes ------------------------------------------------------


def at_every_gate(ruleset: Ruleset, packet: Packet, incoming: str, outgoing: str) -> list[object]:
    """Return what a worker would decide about a packet wherever the kernel may ask."""
    matches = [
        stage_policy(ruleset, stage, side, interface, packet)
        for stage, side, interface in (
            (Stage.UNTRACKED, INGRESS, incoming),
            (Stage.UNTRACKED, EGRESS, outgoing),
            (Stage.PRE_DNAT, INGRESS, incoming),
            (Stage.NORMAL, INGRESS, incoming),
            (Stage.NORMAL, EGRESS, outgoing),
        )
    ]
    matches.append(workload_to_host(ruleset, incoming, packet))
    matches += [
        forward_policy(ruleset, incoming, outgoing, packet, before_nat=before_nat)
        for before_nat in (False, True)
    ]
    enforced = len(ruleset.counter_keys)
    return [
        asks_forwarded(ruleset, incoming, outgoing),
        *(match and match.decision for match in matches),
        *([index for index in match.counters if index < enforced] if match else [] for match in matches),
        *([log.rule for log in match.logs] if match else [] for match in matches),
    ]


@given(inventories(), st.integers(0, 2**32).map(Random))
def test_staged_policies_change_no_verdict_no_count_and_no_log_line(
    resources: list[dict[str, Any]], chance: Random
) -> None:
    live = [item for item in resources if not item["kind"].startswith("Staged")]
    without, ruleset = ruleset_of(RANDOM_FACTS, *live), ruleset_of(RANDOM_FACTS, *resources)

    assert ruleset.counter_keys == without.counter_keys
    assert (without.tried_keys, without.staged_policies) == ((), 0)
    assert replace(plan_for(ruleset, 1), watched=Watched()) == plan_for(without, 1)
    for _ in range(40):
        flow = flow_of(random_flow(chance))
        interfaces = chance.choice(INTERFACES), chance.choice(INTERFACES)
        assert decide(ruleset, flow) == decide(without, flow)
        assert at_every_gate(ruleset, flow.packet, *interfaces) == at_every_gate(
            without, flow.packet, *interfaces
        )


@given(inventories())
def test_the_kernel_asks_wherever_staged_policies_take_part(resources: list[dict[str, Any]]) -> None:
    ruleset = ruleset_of(RANDOM_FACTS, *resources)
    plan = plan_for(ruleset, 1)
    watched = plan.watched

    def asks(guarded: Any, alone: Any, interface: str) -> bool:
        return any(
            interface in one.interfaces or (one.others and interface not in plan.interfaces)
            for one in (guarded, alone)
        )

    for interface in {*INTERFACES, *plan.interfaces}:
        expected = {
            "untracked in": interface in {*plan.untracked_in, *watched.untracked_in},
            "untracked out": interface in {*plan.untracked_out, *watched.untracked_out},
            "forward in": asks(plan.forward_in, watched.forward_in, interface),
            "forward out": asks(plan.forward_out, watched.forward_out, interface),
            "pre-dnat in": any(
                one.others or interface in one.interfaces for one in (plan.pre_dnat, watched.pre_dnat)
            ),
        }
        for stage, side in itertools.product((Stage.UNTRACKED, Stage.PRE_DNAT, Stage.FORWARD), Side):
            if ruleset.pending_for(stage, side, interface) is not None:
                assert expected[f"{stage} {'in' if side is INGRESS else 'out'}"], (stage, side, interface)
