"""The whole compilation: a function of resources and host facts, and of nothing else."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import facts_of, flow_of, host_endpoint, inventory_of, policy, resource, ruleset_of
from strategies import FACTS, flows, inventories

from nfq_guard.compile import CompileMemory, compile_ruleset
from nfq_guard.engine import decide
from nfq_guard.engine.chain import Step
from nfq_guard.engine.ruleset import Failsafe, Options
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import SCTP, TCP, UDP
from nfq_guard.resources import DEFAULT_INBOUND, DEFAULT_OUTBOUND
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.engine.chain import Chain, FlatRule
    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset

HOST = facts_of(FACTS)
ALLOW = [{"action": "Allow"}]


def as_it_is(rule: FlatRule) -> FlatRule:
    """Return a line as it compares."""
    return rule


def without_criteria(rule: FlatRule) -> FlatRule:
    """Return a line as it travels: what it accepts, the chain's slices say, and only what is logged is named."""
    decision = rule.decision and rule.decision._replace(rule=None, counter=-1)
    ref = rule.ref if rule.step is Step.LOG else None
    return replace(rule, criteria={}, decision=decision, ref=ref)


def tables(chain: Chain) -> object:
    """Return what a chain's slices are made of, but for what they only remember."""
    return {
        family: [
            (piece.lines, [(axis.specific, axis.starts, axis.classes, axis.members) for axis in piece.axes])
            for piece in dict.fromkeys(slices)
        ]
        for family, slices in chain.slices.items()
    }


def spread(endpoint: GuardedEndpoint | None, form: Callable[[FlatRule], FlatRule]) -> object:
    """Return an endpoint's compiled lines and tables, which compare by value."""
    if endpoint is None:
        return None
    lines = {key: (tuple(map(form, chain.rules)), tables(chain)) for key, chain in endpoint.chains.items()}
    pending = {
        key: (tuple(map(form, one.chain.rules)), tables(one.chain), one.outcomes)
        for key, one in endpoint.pending.items()
    }
    return endpoint.name, lines, pending


def content(ruleset: Ruleset, form: Callable[[FlatRule], FlatRule] = as_it_is) -> object:
    """Return everything that a ruleset says, for comparison."""
    return (
        ruleset.node,
        {name: spread(endpoint, form) for name, endpoint in ruleset.governed.items()},
        spread(ruleset.wildcard, form),
        ruleset.workload_prefixes,
        ruleset.failsafe_inbound,
        ruleset.failsafe_outbound,
        ruleset.options,
        ruleset.counter_keys,
        ruleset.tried_keys,
        ruleset.staged_policies,
        ruleset.endpoint_states,
        ruleset.generation,
    )


@given(inventories(), st.data())
def test_the_order_in_which_resources_are_declared_changes_nothing(
    resources: list[dict[str, Any]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(resources))

    assert content(ruleset_of(FACTS, *shuffled)) == content(ruleset_of(FACTS, *resources))


@given(inventories())
def test_what_was_compiled_before_leaves_no_trace(resources: list[dict[str, Any]]) -> None:
    selectors = SelectorCache(maxsize=4)
    before = (
        host_endpoint("hep-a", expectedIPs=["10.0.0.1"], labels={"role": "db"}),
        policy(
            "allow", selector="role == 'db'", ingress=[{"action": "Deny", "source": {"selector": "all()"}}]
        ),
    )
    compile_ruleset(inventory_of(*before), HOST, memory=CompileMemory(selectors))

    again = compile_ruleset(inventory_of(*resources), HOST, memory=CompileMemory(selectors)).ruleset

    assert content(again) == content(ruleset_of(FACTS, *resources))


@given(inventories(), st.lists(flows(), min_size=5, max_size=5))
def test_a_ruleset_that_travelled_answers_as_the_one_it_was_made_from(
    resources: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    ruleset = ruleset_of(FACTS, *resources)

    data = pickle.dumps(ruleset)
    copy = pickle.loads(data)  # noqa: S301 - made here

    assert content(copy) == content(ruleset, without_criteria)
    assert b"nfq_guard.resources" not in data
    # Which rule it was a worker need not know: what it counts says it.
    assert [decide(copy, flow_of(flow)) for flow in asked] == [
        decide(ruleset, flow_of(flow))._replace(rule=None, counter=-1) for flow in asked
    ]


@given(inventories(), st.lists(flows(), min_size=10, max_size=10))
def test_a_decision_that_is_counted_names_a_counter_of_its_own_rule(
    resources: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    ruleset = ruleset_of(FACTS, *resources)

    for flow in asked:
        decision = decide(ruleset, flow_of(flow))
        if decision.counter < 0:
            assert decision.rule is None
            continue
        key = ruleset.counter_keys[decision.counter]
        assert key.action == str(decision.verdict)
        assert key.direction == str(decision.side)
        if decision.rule is not None:
            assert (key.kind, key.policy, key.rule) == (
                decision.rule.kind,
                decision.rule.full_name,
                str(decision.rule.rule),
            )


def test_no_resources_no_endpoint_and_calicos_defaults() -> None:
    ruleset = ruleset_of({"node": "host-z", "interfaces": {"eth0": ["10.0.0.1"]}})

    assert (ruleset.node, ruleset.governed, ruleset.wildcard) == ("host-z", {}, None)
    assert (ruleset.counter_keys, ruleset.endpoint_states, ruleset.generation) == ((), (), 0)
    assert (ruleset.failsafe_inbound, ruleset.failsafe_outbound) == (DEFAULT_INBOUND, DEFAULT_OUTBOUND)
    assert ruleset.workload_prefixes == ("cali",)


def test_who_governs_what_follows_the_host_it_is_compiled_for() -> None:
    endpoints = (
        host_endpoint("by-name", interfaceName="eth1"),
        host_endpoint("by-address", expectedIPs=["10.0.0.1"]),
        host_endpoint("every", interfaceName="*"),
        host_endpoint("absent", interfaceName="eth7"),
        host_endpoint("foreign", node="host-b"),
    )

    ruleset = ruleset_of(FACTS, *endpoints)

    assert {name: endpoint.name for name, endpoint in ruleset.governed.items()} == {
        "eth0": "by-address",
        "eth1": "by-name",
    }
    assert ruleset.wildcard is not None
    assert ruleset.wildcard.name == "every"
    assert ruleset.endpoint_status == {"absent": "error", "by-address": "up", "by-name": "up", "every": "up"}


def test_an_endpoint_of_several_interfaces_is_compiled_once() -> None:
    ruleset = ruleset_of(FACTS, host_endpoint(expectedIPs=["10.0.0.1", "10.1.0.1"]), policy(ingress=ALLOW))

    assert ruleset.governed.keys() == {"eth0", "eth1"}
    assert ruleset.governed["eth0"] is ruleset.governed["eth1"]


def felix(**spec: Any) -> dict[str, Any]:
    return resource("FelixConfiguration", "default", **spec)


def test_felix_says_which_interfaces_are_workloads_and_which_have_no_addresses() -> None:
    endpoint = host_endpoint(expectedIPs=["10.0.0.1", "10.1.0.1", "10.2.0.1"])

    governed = {
        "cali1 is a workload's": ruleset_of(FACTS, endpoint).governed.keys(),
        "another prefix": ruleset_of(FACTS, endpoint, felix(interfacePrefix="eth0,tap")).governed.keys(),
        "excluded": ruleset_of(FACTS, endpoint, felix(interfaceExclude="/^eth/")).governed.keys(),
    }

    assert governed == {
        "cali1 is a workload's": {"eth0", "eth1"},
        "another prefix": {"eth1", "cali1"},
        "excluded": set(),
    }
    assert ruleset_of(FACTS, felix(interfacePrefix="eth0,tap")).workload_prefixes == ("eth0", "tap")


LISTS: dict[str, tuple[dict[str, Any], tuple[Failsafe, ...], tuple[Failsafe, ...]]] = {
    "none given": ({}, DEFAULT_INBOUND, DEFAULT_OUTBOUND),
    "none inbound": ({"failsafeInboundHostPorts": []}, (), DEFAULT_OUTBOUND),
    "none outbound": ({"failsafeOutboundHostPorts": []}, DEFAULT_INBOUND, ()),
    "in their order, nets masked and addresses as nets": (
        {
            "failsafeInboundHostPorts": [
                {"protocol": "UDP", "port": 53, "net": "10.1.2.3/8"},
                {"protocol": "TCP", "port": 22},
                {"protocol": "SCTP", "port": 0, "net": "fd00::1"},
            ],
            "failsafeOutboundHostPorts": [{"protocol": "TCP", "port": 65535}],
        },
        (
            Failsafe(UDP, 53, parse_net("10.0.0.0/8")),
            Failsafe(TCP, 22),
            Failsafe(SCTP, 0, parse_net("fd00::1/128")),
        ),
        (Failsafe(TCP, 65535),),
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_failsafes(case: str) -> None:
    spec, inbound, outbound = LISTS[case]

    ruleset = ruleset_of(FACTS, felix(**spec))

    assert (ruleset.failsafe_inbound, ruleset.failsafe_outbound) == (inbound, outbound)


DROPS = {(True, False): True, (True, True): False, (False, False): False, (False, True): False}


@pytest.mark.parametrize(("wanted", "disabled"), DROPS)
def test_invalid_packets_are_dropped_if_neither_the_program_nor_felix_says_otherwise(
    wanted: bool,  # noqa: FBT001 - a column of the table
    disabled: bool,  # noqa: FBT001 - a column of the table
) -> None:
    inventory = inventory_of(felix(disableConntrackInvalidCheck=disabled))
    options = Options(allow_neighbor_discovery=False, drop_invalid=wanted)

    compiled = compile_ruleset(inventory, HOST, options).ruleset.options

    assert compiled == Options(allow_neighbor_discovery=False, drop_invalid=DROPS[wanted, disabled])


def test_the_warnings_of_the_inventory_come_along() -> None:
    inventory = inventory_of(host_endpoint(profiles=["missing"]))

    compiled = compile_ruleset(inventory, HOST)

    assert [warning.code for warning in inventory.warnings] == ["missing-profile"]
    assert set(inventory.warnings) <= set(compiled.warnings)


def test_what_the_files_alone_show_is_told_by_loading_them() -> None:
    untracked = policy(doNotTrack=True, applyOnForward=True, ingress=ALLOW)
    inventory = inventory_of(host_endpoint(interfaceName="*"), untracked)

    assert [warning.code for warning in inventory.warnings] == ["no-effect"]
    assert compile_ruleset(inventory, HOST).warnings == inventory.warnings


WORKLOAD: dict[str, Any] = {
    "node": "host-a",
    "orchestrator": "k8s",
    "pod": "w",
    "endpoint": "eth0",
    "interfaceName": "cali1",
}
WORKLOAD |= {"ipNetworks": ["10.65.0.2/32"]}
RULE = {"action": "Allow", "protocol": "TCP"}
WITHOUT_EFFECT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "performance hints": (policy(), policy(performanceHints=["AssumeNeededOnEveryNode"])),
    "annotations of a rule": (
        policy(ingress=[RULE]),
        policy(ingress=[{**RULE, "metadata": {"annotations": {"why": "because"}}}]),
    ),
    "where a workload's packets go and may come from": (
        resource("WorkloadEndpoint", "host--a-k8s-w-eth0", **WORKLOAD),
        resource(
            "WorkloadEndpoint",
            "host--a-k8s-w-eth0",
            **WORKLOAD,
            ipNATs=[{"internalIP": "10.65.0.2", "externalIP": "192.0.2.1"}],
            ipv4Gateway="169.254.1.1",
            ipv6Gateway="fe80::1",
            mac="00:11:22:33:44:55",
            allowSpoofedSourcePrefixes=["192.0.2.0/24"],
            qosControls={"ingressBandwidth": 1000},
        ),
    ),
}


@pytest.mark.parametrize("case", WITHOUT_EFFECT)
def test_fields_are_accepted_without_effect(case: str) -> None:
    plain, adorned = (ruleset_of(FACTS, host_endpoint(), each) for each in WITHOUT_EFFECT[case])

    assert content(adorned) == content(plain)
    assert {name: spread(each, as_it_is) for name, each in adorned.workloads.items()} == {
        name: spread(each, as_it_is) for name, each in plain.workloads.items()
    }


def test_texts_that_a_cache_knows_are_not_parsed_again() -> None:
    inventory = inventory_of(host_endpoint(), policy(selector="has(a)", ingress=ALLOW))
    selectors = SelectorCache()
    compile_ruleset(inventory, HOST, memory=CompileMemory(selectors))
    parsed = selectors.misses

    compile_ruleset(inventory, HOST, memory=CompileMemory(selectors))

    assert selectors.misses == parsed > 0


def staged(name: str, **spec: Any) -> dict[str, Any]:
    return {**policy(name, **spec), "kind": "StagedGlobalNetworkPolicy"}


UNTRACKED: dict[str, Any] = {"doNotTrack": True, "applyOnForward": True}
WATCHED: dict[str, tuple[list[dict[str, Any]], int]] = {
    "one in two directions and two stages": (
        [staged("a", types=["Ingress", "Egress"], applyOnForward=True)],
        1,
    ),
    "one on two endpoints": ([host_endpoint("other", interfaceName="eth1"), staged("a")], 1),
    "two": ([staged("a"), staged("b", egress=ALLOW)], 2),
    "one that selects nobody": ([staged("a", selector="role == 'nobody'")], 0),
    "one that deletes": ([staged("a", stagedAction="Delete")], 0),
    "one about an endpoint of another node": (
        [host_endpoint("far", node="b", labels={"at": "far"}), staged("a", selector="at == 'far'")],
        0,
    ),
    "one of a stage that its endpoint has not": (
        [
            host_endpoint("every", interfaceName="*", labels={"at": "every"}),
            staged("a", selector="at == 'every'", **UNTRACKED),
        ],
        0,
    ),
}


@pytest.mark.parametrize("case", WATCHED)
def test_staged_policies_that_take_part_somewhere_are_watched(case: str) -> None:
    resources, expected = WATCHED[case]

    assert ruleset_of(FACTS, host_endpoint(), *resources).staged_policies == expected


def test_what_is_tried_out_is_counted_behind_everything_that_is_enforced() -> None:
    endpoints = host_endpoint("a"), host_endpoint("b", interfaceName="eth1")
    ruleset = ruleset_of(FACTS, *endpoints, policy("live", ingress=ALLOW), staged("try", ingress=ALLOW))
    pending = [
        index
        for endpoint in ruleset.governed.values()
        for one in endpoint.pending.values()
        for index in (
            *one.outcomes.values(),
            *(line.counter for line in one.chain.rules if line.counter >= 0),
        )
    ]

    assert set(pending) == set(range(len(ruleset.counter_keys), len(ruleset.counted)))
    assert len(set(ruleset.counted)) == len(ruleset.counted)
