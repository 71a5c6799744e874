"""Tier and policy order: the shared cases, and the one that surprises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nfq_guard.compile.ordering import policy_key, tier_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.conformance
def test_every_shared_ordering_case_comes_out_as_in_calico(cases_dir: Path) -> None:
    cases = json.loads((cases_dir / "ordering.json").read_text())["cases"]

    for case in cases:
        assert ordered(case) == case["expected"], case["desc"]
    assert len(cases) >= 15


def ordered(case: dict[str, Any]) -> list[str]:
    if "tiers" in case:
        tiers = sorted(
            case["tiers"], key=lambda tier: tier_key(tier["name"], tier["order"], declared=tier["valid"])
        )
        return [tier["name"] for tier in tiers]
    policies = sorted(
        case["policies"],
        key=lambda policy: policy_key(policy["name"], policy["namespace"], policy["kind"], policy["order"]),
    )
    return [f"{policy['kind']}/{policy['name']}" for policy in policies]


def test_allow_ssh_comes_before_allow_at_equal_order() -> None:
    names = sorted(["allow", "allow2", "allow-ssh"], key=lambda name: policy_key(name, None, "K", None))

    assert names == ["allow-ssh", "allow", "allow2"]
