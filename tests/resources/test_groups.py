"""Network sets, profiles and tiers, and those that exist without being declared."""

from __future__ import annotations

from typing import Any

import pytest
from parts import faults, messages

from nfq_guard.model.decision import Action
from nfq_guard.resources.groups import (
    BUILT_IN_TIERS,
    GlobalNetworkSet,
    NetworkSet,
    Profile,
    Tier,
)


def named(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


SETS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": (named("a"), []),
    "no spec at all": ({"metadata": {"name": "a"}}, []),
    "nets, addresses and host bits of both families": (
        named("a", nets=["10.0.0.0/8", "10.0.0.1", "10.0.0.1/8", "fd00::1", "::/0"]),
        [],
    ),
    "what overlaps is not the same": (named("a", nets=["10.0.0.1", "10.0.0.1/32"]), []),
    "one net twice": (
        named("a", nets=["::1", "::2", "::1", "::2"]),
        [
            ("spec.nets[2]", "duplicate-item"),
            ("spec.nets[3]", "duplicate-item"),
        ],
    ),
    "the label of a namespace": (
        {"metadata": {"name": "a", "labels": {"projectcalico.org/namespace": ""}}},
        [('metadata.labels["projectcalico.org/namespace"]', "bad-label")],
    ),
    "another label of Calico's": (
        {"metadata": {"name": "a", "labels": {"projectcalico.org/tier": "x"}}},
        [],
    ),
}


@pytest.mark.parametrize("case", SETS)
@pytest.mark.parametrize("model", [GlobalNetworkSet, NetworkSet])
def test_a_network_set_has(model: type[GlobalNetworkSet | NetworkSet], case: str) -> None:
    fields, expected = SETS[case]

    assert faults(model, fields) == expected


PROFILES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": ({}, []),
    "labels": ({"labelsToApply": {"example.org/role": "web", "empty": ""}}, []),
    "a bad label": ({"labelsToApply": {"a b": "ok"}}, [('spec.labelsToApply["a b"]', "bad-label")]),
    "rules that only policies are refused": (
        {"ingress": [{"action": "Pass", "http": {"methods": ["GET"]}}]},
        [],
    ),
    "rules that nobody may have": (
        {"egress": [{"action": "Allow"}, {"action": "Allow", "source": {"ports": [1]}}]},
        [("spec.egress[1].source.ports", "conflict")],
    ),
}


@pytest.mark.parametrize("case", PROFILES)
def test_a_profile_has(case: str) -> None:
    spec, expected = PROFILES[case]

    assert faults(Profile, named("a", **spec)) == expected


ORDER, ACTION = ("spec.order", "built-in"), ("spec.defaultAction", "built-in")
TIERS: dict[str, tuple[str, dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": ("mine", {}, []),
    "an order below zero, with a fraction": ("mine", {"order": -0.5, "defaultAction": "Pass"}, []),
    "an action that ends nothing": ("mine", {"defaultAction": "Log"}, [("spec.defaultAction", "bad-value")]),
    "an action that opens everything": (
        "mine",
        {"defaultAction": "Allow"},
        [("spec.defaultAction", "bad-value")],
    ),
    "default as it is": ("default", {}, []),
    "default as it is, written out": ("default", {"order": 1_000_000, "defaultAction": "Deny"}, []),
    "default elsewhere": ("default", {"order": 999_999}, [ORDER]),
    "default that passes": ("default", {"defaultAction": "Pass"}, [ACTION]),
    "kube-admin as it is": ("kube-admin", {"order": 1000, "defaultAction": "Pass"}, []),
    "kube-admin with what other tiers have": ("kube-admin", {}, [ORDER, ACTION]),
    "kube-baseline as it is": ("kube-baseline", {"order": 1e7, "defaultAction": "Pass"}, []),
    "kube-baseline that denies": ("kube-baseline", {"order": 1e7, "defaultAction": "Deny"}, [ACTION]),
}


@pytest.mark.parametrize("case", TIERS)
def test_a_tier_has(case: str) -> None:
    name, spec, expected = TIERS[case]

    assert faults(Tier, named(name, **spec)) == expected


def test_a_built_in_tier_is_told_what_it_is_and_what_was_found() -> None:
    found = messages(Tier, named("kube-admin", order=12.5, defaultAction="Deny"))

    assert ["1000 " in found[0], found[0].endswith("found 12.5")] == [True, True]
    assert ["Pass " in found[1], found[1].endswith("found Deny")] == [True, True]


@pytest.mark.parametrize("name", BUILT_IN_TIERS)
def test_a_built_in_tier_may_be_declared_exactly_as_it_is(name: str) -> None:
    order, action = BUILT_IN_TIERS[name]

    tier = Tier.model_validate(named(name, order=order, defaultAction=str(action)))

    assert (tier.spec.order, tier.spec.default_action) == (order, action)


def test_a_tier_that_says_nothing_stands_where_the_default_one_does_and_denies() -> None:
    tier = Tier.model_validate({"metadata": {"name": "mine"}, "status": {"conditions": [{"type": "Ready"}]}})

    assert (
        (tier.spec.order, tier.spec.default_action) == BUILT_IN_TIERS["default"] == (1_000_000, Action.DENY)
    )
