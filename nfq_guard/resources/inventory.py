"""Everything that was loaded, each resource with its places in the files.

Owns the Inventory value, which compile turns into a Ruleset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from nfq_guard.model.problem import Position, Problem
from nfq_guard.resources.base import Resource
from nfq_guard.resources.paths import locate, parse_path

if TYPE_CHECKING:
    from nfq_guard.resources.endpoints import HostEndpoint
    from nfq_guard.resources.felix import FelixConfiguration
    from nfq_guard.resources.groups import GlobalNetworkSet, NetworkSet, Profile, Tier
    from nfq_guard.resources.policies import (
        AnyPolicy,
        GlobalNetworkPolicy,
        NetworkPolicy,
        StagedGlobalNetworkPolicy,
        StagedNetworkPolicy,
    )
    from nfq_guard.resources.tree import Node
    from nfq_guard.resources.workloads import WorkloadEndpoint

T_co = TypeVar("T_co", bound=Resource, covariant=True)


@dataclass(frozen=True, slots=True)
class Located(Generic[T_co]):
    """A resource and where it stands."""

    value: T_co
    kind: str
    origin: Position
    """Where the resource begins."""
    node: Node = field(repr=False, compare=False)
    namespace: str | None = None
    """Set for kinds that live in a namespace, None for all others."""
    above: int = field(default=0, repr=False, compare=False)
    """Lines of the file above where those of `node` are counted from."""

    @property
    def name(self) -> str:
        """Return the resource's name."""
        return self.value.metadata.name

    def position(self, field_path: str) -> Position:
        """Return where a field stands, `spec.ingress[3]`; where it is missing, what would hold it."""
        line, column = locate(self.node, parse_path(field_path))
        return Position(self.origin.file, self.above + line, column)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All resources by kind, each kind in the order of files and documents."""

    host_endpoints: tuple[Located[HostEndpoint], ...] = ()
    global_network_policies: tuple[Located[GlobalNetworkPolicy], ...] = ()
    global_network_sets: tuple[Located[GlobalNetworkSet], ...] = ()
    profiles: tuple[Located[Profile], ...] = ()
    tiers: tuple[Located[Tier], ...] = ()
    felix_configurations: tuple[Located[FelixConfiguration], ...] = ()
    network_policies: tuple[Located[NetworkPolicy], ...] = ()
    network_sets: tuple[Located[NetworkSet], ...] = ()
    staged_global_network_policies: tuple[Located[StagedGlobalNetworkPolicy], ...] = ()
    staged_network_policies: tuple[Located[StagedNetworkPolicy], ...] = ()
    workload_endpoints: tuple[Located[WorkloadEndpoint], ...] = ()
    warnings: tuple[Problem, ...] = ()
    """What the operator should know though everything is valid."""

    def policies(self) -> tuple[Located[AnyPolicy], ...]:
        """Return the policies of every kind, live ones first."""
        return (
            *self.global_network_policies,
            *self.network_policies,
            *self.staged_global_network_policies,
            *self.staged_network_policies,
        )
