"""The table of kinds, and what is said about a kind that is not in it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from nfq_guard.resources.inventory import Inventory
from nfq_guard.resources.kinds import KINDS, unsupported


def test_every_kind_has_a_place_of_its_own_and_every_place_a_kind() -> None:
    places = [kind.place for kind in KINDS.values()]

    assert sorted([*places, "warnings"]) == sorted(field.name for field in fields(Inventory))


def test_a_kind_is_called_as_its_model() -> None:
    assert {name: kind.model.__name__ for name, kind in KINDS.items()} == {name: name for name in KINDS}


NAMES: dict[str, tuple[list[str], list[str]]] = {
    "HostEndpoint": (["a.b.c"], ["A"]),
    "FelixConfiguration": (["default", "node.host-a"], ["node."]),
    "GlobalNetworkPolicy": (["a", "tier.a"], ["a.b.c", "knp.default.a"]),
    "StagedGlobalNetworkPolicy": (["tier.a"], ["a.b.c"]),
    "NetworkPolicy": (["tier.a", "knp.default.a"], ["a.b.c"]),
    "StagedNetworkPolicy": (["tier.a", "knp.default.a"], ["a.b.c"]),
    "Tier": (["a-b"], ["a.b"]),
    "WorkloadEndpoint": (["host-k8s-pod-eth0"], ["host_k8s"]),
}


@pytest.mark.parametrize("kind", NAMES)
def test_resources_of_a_kind_are_named(kind: str) -> None:
    good, bad = NAMES[kind]
    rule = KINDS[kind].name_rule

    assert [name for name in good if rule(name) is not None] == []
    assert [name for name in bad if rule(name) is None] == []


def test_what_belongs_to_workloads_lives_in_a_namespace() -> None:
    assert {name for name, kind in KINDS.items() if kind.namespaced} == {
        "NetworkPolicy",
        "NetworkSet",
        "StagedNetworkPolicy",
        "WorkloadEndpoint",
    }


UNSUPPORTED = {
    "IPPool": "the Calico kind IPPool is not supported",
    "StagedKubernetesNetworkPolicy": "the Calico kind StagedKubernetesNetworkPolicy is not supported",
    "HostEndpoints": "found the kind HostEndpoints: write HostEndpoint;",
    "globalnetworkpolicy": ": write GlobalNetworkPolicy;",
    "GlobalNetworkpolicy": ": write GlobalNetworkPolicy;",
    "": "found the kind , expected one of",
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_is_said_about_a_kind_that_is_not_known(kind: str) -> None:
    assert UNSUPPORTED[kind] in unsupported(kind)


def test_nothing_near_is_no_hint() -> None:
    assert "write" not in unsupported("Deployment")


def test_a_huge_kind_is_cut() -> None:
    assert len(unsupported("HostEndpoint" * 100_000)) < 500
