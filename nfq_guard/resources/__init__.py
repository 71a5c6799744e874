"""Calico v3 resources: decoding, validation, and the inventory of everything loaded.

`load` takes files' bytes and gives an Inventory and every problem; each resource knows
where in which file each of its fields stands. Must never read a file itself, and never
decide what a resource means to a packet.
"""

from nfq_guard.resources.endpoints import EndpointPort, HostEndpoint
from nfq_guard.resources.failsafes import DEFAULT_INBOUND, DEFAULT_OUTBOUND, FailsafeError, parse_failsafes
from nfq_guard.resources.felix import FelixConfiguration, FelixConfigurationSpec, ProtoPort
from nfq_guard.resources.groups import (
    BUILT_IN_TIERS,
    DEFAULT_ALLOW_PROFILE,
    GlobalNetworkSet,
    NetworkSet,
    Profile,
    Tier,
)
from nfq_guard.resources.inventory import Inventory, Located
from nfq_guard.resources.load import LoadMemory, load, load_or_raise
from nfq_guard.resources.policies import (
    GlobalNetworkPolicy,
    NetworkPolicy,
    StagedGlobalNetworkPolicy,
    StagedNetworkPolicy,
)
from nfq_guard.resources.rules import ICMP, EntityRule, Rule
from nfq_guard.resources.source import Source
from nfq_guard.resources.values import Port, Protocol
from nfq_guard.resources.workloads import WorkloadEndpoint, WorkloadEndpointPort

__all__ = [
    "BUILT_IN_TIERS",
    "DEFAULT_ALLOW_PROFILE",
    "DEFAULT_INBOUND",
    "DEFAULT_OUTBOUND",
    "ICMP",
    "EndpointPort",
    "EntityRule",
    "FailsafeError",
    "FelixConfiguration",
    "FelixConfigurationSpec",
    "GlobalNetworkPolicy",
    "GlobalNetworkSet",
    "HostEndpoint",
    "Inventory",
    "LoadMemory",
    "Located",
    "NetworkPolicy",
    "NetworkSet",
    "Port",
    "Profile",
    "ProtoPort",
    "Protocol",
    "Rule",
    "Source",
    "StagedGlobalNetworkPolicy",
    "StagedNetworkPolicy",
    "Tier",
    "WorkloadEndpoint",
    "WorkloadEndpointPort",
    "load",
    "load_or_raise",
    "parse_failsafes",
]
