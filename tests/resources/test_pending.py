"""What is understood but not enforced yet."""

from __future__ import annotations

from dataclasses import fields

from nfq_guard.resources.inventory import Inventory
from nfq_guard.resources.pending import KINDS, NOT_ENFORCED


def test_everything_that_is_pending_says_so_in_the_same_words() -> None:
    assert [message for message in KINDS.values() if NOT_ENFORCED not in message] == []


def test_a_pending_kind_is_one_that_is_loaded() -> None:
    assert KINDS.keys() <= {field.name for field in fields(Inventory)} - {"warnings"}


def test_what_protects_hosts_is_enforced() -> None:
    enforced = {
        *("host_endpoints", "global_network_policies", "global_network_sets"),
        *("profiles", "tiers", "felix_configurations"),
        *("network_policies", "network_sets", "workload_endpoints"),
    }

    assert not enforced & KINDS.keys()
