"""Policies: what is filled in, and how they decode."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nfq_guard.model.decision import Action
from nfq_guard.resources import Port, Protocol, Source, load_or_raise

if TYPE_CHECKING:
    from nfq_guard.resources.policies import GlobalNetworkPolicySpec

ALLOW = [{"action": "Allow"}]

TYPES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing at all": ({}, ("Ingress",)),
    "ingress rules": ({"ingress": ALLOW}, ("Ingress",)),
    "egress rules": ({"egress": ALLOW}, ("Egress",)),
    "both": ({"ingress": ALLOW, "egress": ALLOW}, ("Ingress", "Egress")),
    "empty lists": ({"ingress": [], "egress": [], "types": []}, ("Ingress",)),
    "given": ({"ingress": ALLOW, "types": ["Egress"]}, ("Egress",)),
}


def spec_of(spec: dict[str, Any]) -> GlobalNetworkPolicySpec:
    """Return a policy's spec as loaded."""
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "p"},
    }
    data = json.dumps({**document, "spec": spec}).encode()
    return load_or_raise([Source("policy.json", data)]).global_network_policies[0].value.spec


@pytest.mark.parametrize("case", TYPES)
def test_types_that_are_not_given(case: str) -> None:
    spec, expected = TYPES[case]

    assert spec_of(spec).types == expected


def test_a_policy_without_anything_is_one_of_the_default_tier_for_all_endpoints() -> None:
    spec = spec_of({})

    assert (spec.tier, spec.order, spec.selector) == ("default", None, "")
    assert (spec.do_not_track, spec.pre_dnat, spec.apply_on_forward) == (False, False, False)


def test_empty_texts_of_a_policy_say_nothing() -> None:
    spec = spec_of(
        {
            **dict.fromkeys(("tier", "selector", "namespaceSelector", "serviceAccountSelector"), ""),
            "ingress": [{"action": "Allow", "source": {"selector": "", "notSelector": ""}}],
        }
    )

    assert spec == spec_of({"ingress": ALLOW})


@pytest.mark.parametrize("kind", ["StagedGlobalNetworkPolicy", "StagedNetworkPolicy"])
def test_an_empty_staged_action_is_set(kind: str) -> None:
    document = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": "p"}}
    data = json.dumps({**document, "spec": {"stagedAction": "", "selector": "all()"}}).encode()
    inventory = load_or_raise([Source("policy.json", data)])
    (staged,) = inventory.staged_global_network_policies or inventory.staged_network_policies

    assert staged.value.spec.staged_action == "Set"


def test_every_field_of_a_rule_is_decoded() -> None:
    side = {
        "nets": ["10.0.0.0/8"],
        "notNets": ["10.1.0.0/16"],
        "selector": "has(a)",
        "notSelector": "has(b)",
        "namespaceSelector": "global()",
        "ports": [80, "8000:8100", "http"],
        "notPorts": ["8080"],
    }
    rule = {
        "action": "Pass",
        "ipVersion": 4,
        "protocol": "TCP",
        "notProtocol": 17,
        "notICMP": {"type": 8, "code": 0},
        "source": side,
        "destination": {"serviceAccounts": {"names": ["x"], "selector": "has(a)"}},
        "metadata": {"annotations": {"note": "x"}},
    }

    decoded = spec_of({"ingress": [rule]}).ingress[0]

    assert (decoded.action, decoded.ip_version, decoded.protocol, decoded.not_protocol) == (
        Action.PASS,
        4,
        Protocol(6, "TCP"),
        Protocol(17, "17"),
    )
    assert decoded.icmp is None
    assert decoded.not_icmp is not None
    assert (decoded.not_icmp.type, decoded.not_icmp.code) == (8, 0)
    source = decoded.source
    assert (source.nets, source.not_nets, source.selector) == (("10.0.0.0/8",), ("10.1.0.0/16",), "has(a)")
    assert (source.not_selector, source.namespace_selector) == ("has(b)", "global()")
    assert source.ports == (Port(80, 80), Port(8000, 8100), Port(0, 0, "http"))
    assert source.not_ports == (Port(8080, 8080),)
    assert decoded.destination.service_accounts is not None
    assert decoded.destination.service_accounts.names == ("x",)
