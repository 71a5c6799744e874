"""The compiled policy of one host: what the engine decides by and the kernel is told.

Owns the Ruleset value. A Ruleset is immutable, carries no reference to resources or
files' contents, and travels whole (pickled) from the controller to the workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nfq_guard.engine.chain import Chain
    from nfq_guard.model.addresses import Net
    from nfq_guard.model.flow import Side, Stage


class Failsafe(NamedTuple):
    """A port accepted ahead of every policy.

    Inbound: destination port, and source in `net`. Outbound: destination port, and
    destination in `net`. Without `net` both families (Calico felix/rules/static.go).
    """

    protocol: int
    port: int
    net: Net | None = None


class CounterKey(NamedTuple):
    """Labels of one per-policy counter. Stable across reloads for the same rule."""

    tier: str
    kind: str
    policy: str
    rule: str
    """0-based index in its direction, or `default` for end-of-tier and no-match."""
    direction: str
    """`ingress` or `egress`."""
    action: str
    """`allow`, `deny`, `pass` or `log`."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is about the program, not the policy, yet changes verdicts."""

    allow_neighbor_discovery: bool = True
    drop_invalid: bool = True
    """False: FelixConfiguration disableConntrackInvalidCheck."""


@dataclass(frozen=True, slots=True)
class GuardedEndpoint:
    """A host endpoint's compiled policy."""

    name: str
    chains: Mapping[tuple[Stage, Side], Chain]
    """A missing chain means that the stage has nothing to say in that direction."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything needed to decide for this host."""

    node: str
    governed: Mapping[str, GuardedEndpoint] = field(default_factory=dict)
    """By interface name: interfaces with a host endpoint of their own."""
    expected: Mapping[str, GuardedEndpoint] = field(default_factory=dict)
    """By the name of an interface that is not there yet. It is guarded from its first packet on:
    between its coming and our hearing of it lies time enough to be talked to."""
    wildcard: GuardedEndpoint | None = None
    """Governs every other interface that is not a workload's (`interfaceName: "*"`)."""
    workload_prefixes: tuple[str, ...] = ("cali",)
    """Interfaces that start so belong to workloads and have no host endpoint."""
    failsafe_inbound: tuple[Failsafe, ...] = ()
    failsafe_outbound: tuple[Failsafe, ...] = ()
    options: Options = Options()
    counter_keys: tuple[CounterKey, ...] = ()
    """A Decision's `counter` indexes this."""
    endpoint_status: Mapping[str, str] = field(default_factory=dict)
    """Host endpoint name -> `up`, `down` or `error` (governs nothing)."""
    generation: int = 0
    """Set when installed; 0 before."""

    @property
    def by_interface(self) -> Mapping[str, GuardedEndpoint]:
        """Endpoints of their own by interface name, of interfaces that are there and that may come."""
        return {**self.expected, **self.governed}

    def endpoint_for(self, interface: str) -> GuardedEndpoint | None:
        """Return the host endpoint that governs an interface, None where none does."""
        endpoint = self.governed.get(interface) or self.expected.get(interface)
        if endpoint is not None:
            return endpoint
        if self.wildcard is None or interface.startswith(self.workload_prefixes):
            return None
        return self.wildcard
