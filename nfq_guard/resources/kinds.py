"""The kinds this program knows, and how each is named.

Owns the one table: a further kind is a model, a row here, and a tuple in Inventory.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from nfq_guard.resources import names
from nfq_guard.resources.endpoints import HostEndpoint
from nfq_guard.resources.felix import FelixConfiguration
from nfq_guard.resources.groups import GlobalNetworkSet, NetworkSet, Profile, Tier
from nfq_guard.resources.policies import (
    GlobalNetworkPolicy,
    NetworkPolicy,
    StagedGlobalNetworkPolicy,
    StagedNetworkPolicy,
)
from nfq_guard.resources.workloads import WorkloadEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.resources.base import Resource


@dataclass(frozen=True, slots=True)
class Kind:
    """How resources of a kind are decoded and kept."""

    model: type[Resource]
    place: str
    """Field of Inventory."""
    name_rule: Callable[[str], str | None] = names.subdomain
    namespaced: bool = False


KINDS: dict[str, Kind] = {
    "FelixConfiguration": Kind(FelixConfiguration, "felix_configurations"),
    "GlobalNetworkPolicy": Kind(GlobalNetworkPolicy, "global_network_policies", names.global_policy),
    "GlobalNetworkSet": Kind(GlobalNetworkSet, "global_network_sets"),
    "HostEndpoint": Kind(HostEndpoint, "host_endpoints"),
    "NetworkPolicy": Kind(NetworkPolicy, "network_policies", names.policy, namespaced=True),
    "NetworkSet": Kind(NetworkSet, "network_sets", namespaced=True),
    "Profile": Kind(Profile, "profiles"),
    "StagedGlobalNetworkPolicy": Kind(
        StagedGlobalNetworkPolicy, "staged_global_network_policies", names.global_policy
    ),
    "StagedNetworkPolicy": Kind(
        StagedNetworkPolicy, "staged_network_policies", names.policy, namespaced=True
    ),
    "Tier": Kind(Tier, "tiers", names.tier),
    "WorkloadEndpoint": Kind(WorkloadEndpoint, "workload_endpoints", namespaced=True),
}

_OTHER_CALICO_KINDS = frozenset(
    {
        "BGPConfiguration",
        "BGPFilter",
        "BGPPeer",
        "BlockAffinity",
        "CalicoNodeStatus",
        "ClusterInformation",
        "IPAMBlock",
        "IPAMConfig",
        "IPAMConfiguration",
        "IPAMHandle",
        "IPPool",
        "IPReservation",
        "KubeControllersConfiguration",
        "Node",
        "QoSPolicy",
        "StagedKubernetesNetworkPolicy",
    }
)

_LONGEST = 60
"""Characters of a kind that are looked at and shown."""


def unsupported(kind: str) -> str:
    """Return what to say about a kind that is not in the table."""
    if kind in _OTHER_CALICO_KINDS:
        return (
            f"the Calico kind {kind} is not supported by this version; move it to a file outside these rules"
        )
    spelled = {name.lower(): name for name in KINDS}
    near = get_close_matches(kind[:_LONGEST].lower(), spelled, 1, 0.75)
    if near:
        return f"found the kind {kind[:_LONGEST]}: write {spelled[near[0]]}; nothing else of it was checked"
    return f"found the kind {kind[:_LONGEST]}, expected one of {', '.join(sorted(KINDS))}"
