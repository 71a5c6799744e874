"""What is understood but not enforced yet."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from nfq_guard.resources.inventory import Inventory
from nfq_guard.resources.pending import KINDS, NOT_ENFORCED, pending_fields
from nfq_guard.resources.policies import GlobalNetworkPolicySpec

FIELDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a policy on the host's own connections": ({"ingress": [{"action": "Allow"}]}, []),
    "a stage that is not asked for": (
        {"doNotTrack": False, "preDNAT": False, "applyOnForward": False},
        [],
    ),
    "forwarded packets": ({"applyOnForward": True}, ["applyOnForward"]),
    "untracked packets, the field they need not told beside": (
        {"doNotTrack": True, "applyOnForward": True},
        ["doNotTrack"],
    ),
    "packets before DNAT, the field they need not told beside": (
        {"preDNAT": True, "applyOnForward": True},
        ["preDNAT"],
    ),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_policy_that_asks_for_what_is_not_enforced_is_told_so_once(case: str) -> None:
    spec, expected = FIELDS[case]

    assert [field for field, _ in pending_fields(GlobalNetworkPolicySpec.model_validate(spec))] == expected


def test_everything_that_is_pending_says_so_in_the_same_words() -> None:
    specs = [GlobalNetworkPolicySpec.model_validate(spec) for spec, _ in FIELDS.values()]
    told = [message for spec in specs for _, message in pending_fields(spec)]

    assert [message for message in [*KINDS.values(), *told] if NOT_ENFORCED not in message] == []


def test_a_pending_kind_is_one_that_is_loaded() -> None:
    assert KINDS.keys() <= {field.name for field in fields(Inventory)} - {"warnings"}


def test_what_protects_hosts_is_enforced() -> None:
    enforced = {
        *("host_endpoints", "global_network_policies", "global_network_sets"),
        *("profiles", "tiers", "felix_configurations"),
    }

    assert not enforced & KINDS.keys()
