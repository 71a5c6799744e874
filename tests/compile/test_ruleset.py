"""The whole compilation: a function of resources and host facts, and of nothing else."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import facts_of, flow_of, host_endpoint, inventory_of, policy, resource, ruleset_of
from strategies import FACTS, flows, inventories

from nfq_guard.compile import CompileMemory, compile_ruleset
from nfq_guard.engine import decide
from nfq_guard.engine.ruleset import Failsafe, Options
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import SCTP, TCP, UDP
from nfq_guard.resources import DEFAULT_INBOUND, DEFAULT_OUTBOUND
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset

HOST = facts_of(FACTS)
ALLOW = [{"action": "Allow"}]


def spread(endpoint: GuardedEndpoint | None) -> object:
    """Return an endpoint's compiled lines, which compare by value."""
    return endpoint and (endpoint.name, {key: chain.rules for key, chain in endpoint.chains.items()})


def content(ruleset: Ruleset) -> object:
    """Return everything that a ruleset says, for comparison."""
    return (
        ruleset.node,
        {name: spread(endpoint) for name, endpoint in ruleset.governed.items()},
        spread(ruleset.wildcard),
        ruleset.workload_prefixes,
        ruleset.failsafe_inbound,
        ruleset.failsafe_outbound,
        ruleset.options,
        ruleset.counter_keys,
        ruleset.endpoint_status,
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

    assert content(copy) == content(ruleset)
    assert b"nfq_guard.resources" not in data
    assert [decide(copy, flow_of(flow)) for flow in asked] == [
        decide(ruleset, flow_of(flow)) for flow in asked
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
    assert (ruleset.counter_keys, ruleset.endpoint_status, ruleset.generation) == ((), {}, 0)
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


def test_texts_that_a_cache_knows_are_not_parsed_again() -> None:
    inventory = inventory_of(host_endpoint(), policy(selector="has(a)", ingress=ALLOW))
    selectors = SelectorCache()
    compile_ruleset(inventory, HOST, memory=CompileMemory(selectors))
    parsed = selectors.misses

    compile_ruleset(inventory, HOST, memory=CompileMemory(selectors))

    assert selectors.misses == parsed > 0
