"""Which FelixConfiguration is in force, and what its lists of interfaces mean."""

from __future__ import annotations

from typing import Any

import pytest
from policy import inventory_of, resource

from nfq_guard.compile.felix import (
    MAX_LOG_PREFIX,
    deny_action,
    effective_felix,
    excluded,
    log_limit,
    log_prefix,
    workload_prefixes,
)
from nfq_guard.engine.ruleset import LogLimit
from nfq_guard.model.decision import Action, RuleRef
from nfq_guard.model.flow import Side
from nfq_guard.resources import FelixConfigurationSpec

NODE = "host-a"


def felix(name: str, **spec: Any) -> dict[str, Any]:
    return resource("FelixConfiguration", name, **spec)


PRECEDENCE: dict[str, tuple[list[dict[str, Any]], tuple[str, bool, int | None]]] = {
    "no configuration is Calico's defaults": ([], ("cali", False, None)),
    "the default one holds for every node": (
        [felix("default", interfacePrefix="tap", disableConntrackInvalidCheck=True)],
        ("tap", True, None),
    ),
    "the node's own needs no default one": (
        [felix("node.host-a", interfacePrefix="tap")],
        ("tap", False, None),
    ),
    "the node's own wins, wherever it stands": (
        [felix("node.host-a", interfacePrefix="veth"), felix("default", interfacePrefix="tap")],
        ("veth", False, None),
    ),
    "what the node's own does not set is the default one's": (
        [felix("default", interfacePrefix="tap"), felix("node.host-a", disableConntrackInvalidCheck=True)],
        ("tap", True, None),
    ),
    "a value that is Calico's default is set all the same": (
        [
            felix("default", interfacePrefix="tap", disableConntrackInvalidCheck=True),
            felix("node.host-a", interfacePrefix="cali", disableConntrackInvalidCheck=False),
        ],
        ("cali", False, None),
    ),
    "an empty text sets nothing": (
        [felix("default", interfacePrefix="tap"), felix("node.host-a", interfacePrefix="")],
        ("tap", False, None),
    ),
    "an empty list is a setting": (
        [
            felix("default", failsafeInboundHostPorts=[{"protocol": "TCP", "port": 22}]),
            felix("node.host-a", failsafeInboundHostPorts=[]),
        ],
        ("cali", False, 0),
    ),
    "lists are not joined": (
        [
            felix("default", failsafeInboundHostPorts=[{"protocol": "TCP", "port": 22}]),
            felix("node.host-a", failsafeInboundHostPorts=[{"protocol": "TCP", "port": 23}]),
        ],
        ("cali", False, 1),
    ),
    "another node's is not ours": ([felix("node.host-b", interfacePrefix="tap")], ("cali", False, None)),
    "a node's name is compared whole": (
        [felix("node.host-a.b", interfacePrefix="tap")],
        ("cali", False, None),
    ),
    "one for nodes by label is not in force": (
        [felix("racks", interfacePrefix="tap", nodeSelector="has(rack)")],
        ("cali", False, None),
    ),
}


@pytest.mark.parametrize("case", PRECEDENCE)
def test_the_settings_in_force(case: str) -> None:
    configurations, expected = PRECEDENCE[case]

    spec = effective_felix(inventory_of(*configurations), NODE)

    failsafes = spec.failsafe_inbound_host_ports
    count = None if failsafes is None else len(failsafes)
    assert (spec.interface_prefix, spec.disable_conntrack_invalid_check, count) == expected


def test_a_setting_keeps_its_type_on_the_way() -> None:
    port = {"protocol": "SCTP", "port": 9, "net": "fd00::/8"}
    inventory = inventory_of(felix("default", failsafeOutboundHostPorts=[port]))

    loaded = inventory.felix_configurations[0].value.spec

    assert effective_felix(inventory, NODE) == loaded
    assert loaded != FelixConfigurationSpec()


PREFIXES = {
    "cali": ("cali",),
    "cali,tap": ("cali", "tap"),
    " cali , tap": ("cali", "tap"),
    "cali,,tap,": ("cali", "tap"),
    "": (),
    " , ": (),
}


@pytest.mark.parametrize("text", PREFIXES)
def test_an_interface_prefix_is_a_list_and_never_empty_text(text: str) -> None:
    spec = FelixConfigurationSpec.model_construct(interface_prefix=text)

    assert workload_prefixes(spec) == PREFIXES[text]


EXCLUDED: dict[str, tuple[str, list[str], list[str]]] = {
    "Calico's default": ("kube-ipvs0", ["kube-ipvs0"], ["kube-ipvs", "kube-ipvs01", "eth0"]),
    "nothing": ("", [], ["eth0", ""]),
    "names between commas and spaces": ("a, b,", ["a", "b"], ["", "c", "ab"]),
    "a regular expression finds a part of the name": ("/veth/", ["veth1", "myveth"], ["eth1"]),
    "an anchored one does not": ("/^veth[0-9]$/", ["veth1"], ["myveth1", "veth12"]),
    "names beside expressions": ("lo,/^br-/", ["lo", "br-1"], ["lo1", "xbr-"]),
    "a name is no expression": ("eth.", ["eth."], ["eth0"]),
    "letter case counts": ("Eth0,/^BR/", ["Eth0", "BR1"], ["eth0", "br1"]),
}


@pytest.mark.parametrize("case", EXCLUDED)
def test_interfaces_that_are_excluded(case: str) -> None:
    text, inside, outside = EXCLUDED[case]
    spec = FelixConfigurationSpec.model_construct(interface_exclude=text)

    assert [name for name in inside if not excluded(spec, name)] == []
    assert [name for name in outside if excluded(spec, name)] == []


DENY_ACTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "Drop"),
    "iptables alone": ({"iptablesFilterDenyAction": "Reject"}, "Reject"),
    "nftables alone": ({"nftablesFilterDenyAction": "REJECT"}, "Reject"),
    "nftables wins": ({"iptablesFilterDenyAction": "Reject", "nftablesFilterDenyAction": "Drop"}, "Drop"),
    "nftables wins the other way round too": (
        {"iptablesFilterDenyAction": "drop", "nftablesFilterDenyAction": "reject"},
        "Reject",
    ),
}


@pytest.mark.parametrize("case", DENY_ACTIONS)
def test_what_denied_packets_get_under(case: str) -> None:
    spec, expected = DENY_ACTIONS[case]

    assert deny_action(effective_felix(inventory_of(felix("default", **spec)), NODE)) == expected


def rule_of(kind: str, name: str, *, tier: str | None = "default", namespace: str | None = None) -> RuleRef:
    return RuleRef(tier, kind, name, namespace, 0, Side.INGRESS, Action.LOG, "a.yaml", 1)


GLOBAL = rule_of("GlobalNetworkPolicy", "web")
NAMESPACED = rule_of("NetworkPolicy", "web", tier="front", namespace="shop")
LOG_PREFIXES: dict[str, tuple[str, RuleRef, str]] = {
    "no specifier": ("calico-packet", GLOBAL, "calico-packet"),
    "each of them": ("%t %k %n %p", NAMESPACED, "front np web shop/web"),
    "no namespace": ("%p", GLOBAL, "web"),
    "one twice": ("%n%n", GLOBAL, "webweb"),
    "a global policy": ("%k", GLOBAL, "gnp"),
    "a profile, which has no tier": ("%k:%t:%p", rule_of("Profile", "open", tier=None), "pro::open"),
    "staged kinds": ("%k", rule_of("StagedGlobalNetworkPolicy", "x"), "sgnp"),
    "staged kinds of a namespace": ("%k", rule_of("StagedNetworkPolicy", "x"), "snp"),
    "a kind without a short name": ("%k", rule_of("Other", "x"), "Other"),
    "unknown specifiers stay": ("%x %T 5% %", GLOBAL, "%x %T 5% %"),
    "a doubled percent sign is none of its own": ("%%t %% %%%n", GLOBAL, "%default %% %%web"),
    "what a name holds is not expanded again": ("%n", rule_of("GlobalNetworkPolicy", "%t"), "%t"),
    "as long as it may be": ("x" * 127, GLOBAL, "x" * 127),
    "longer": ("x" * 120 + "%p", rule_of("NetworkPolicy", "a" * 200, namespace="b"), "x" * 120 + "b/aaaaa"),
}


@pytest.mark.parametrize("case", LOG_PREFIXES)
def test_a_log_prefix_is_worked_out_as_calico_does(case: str) -> None:
    form, rule, expected = LOG_PREFIXES[case]

    assert log_prefix(form, rule) == expected


def test_a_log_prefix_cannot_be_made_long_by_repetition() -> None:
    assert len(log_prefix("%n" * 1_000_000, rule_of("GlobalNetworkPolicy", "a" * 250))) == MAX_LOG_PREFIX


LOG_LIMITS: dict[str, tuple[dict[str, Any], LogLimit | None]] = {
    "nothing": ({}, None),
    "a burst without a rate": ({"logActionRateLimitBurst": 9}, None),
    "a second": ({"logActionRateLimit": "7/second"}, LogLimit(5, 7)),
    "a minute": ({"logActionRateLimit": "30/minute"}, LogLimit(5, 0.5)),
    "an hour": ({"logActionRateLimit": "36/hour", "logActionRateLimitBurst": 1}, LogLimit(1, 0.01)),
    "a day": ({"logActionRateLimit": "864/day", "logActionRateLimitBurst": 9999}, LogLimit(9999, 0.01)),
    "a burst of none is the default": (
        {"logActionRateLimit": "1/second", "logActionRateLimitBurst": 0},
        LogLimit(5, 1),
    ),
}


@pytest.mark.parametrize("case", LOG_LIMITS)
def test_the_limit_of_log_lines_for(case: str) -> None:
    spec, expected = LOG_LIMITS[case]

    assert log_limit(effective_felix(inventory_of(felix("default", **spec)), NODE)) == expected
