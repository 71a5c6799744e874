"""The compiled policy of one host: what the engine decides by and the kernel is told.

Owns the Ruleset value. A Ruleset is immutable, carries no reference to resources or
files' contents, and travels whole (pickled) from the controller to the workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from nfq_guard.model.flow import Side, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nfq_guard.engine.chain import Chain
    from nfq_guard.model.addresses import Net
    from nfq_guard.model.decision import Verdict


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


class StagedKey(NamedTuple):
    """Labels of what counts a line that is only tried out. Never equal to those of an enforced one."""

    line: CounterKey


class OutcomeKey(NamedTuple):
    """Labels of what counts how staged policies would have judged at one place, beside what was enforced."""

    endpoint: str
    stage: str
    direction: str
    enforced: str
    """`allow`, `deny`, or `pass`: left to the next stage."""
    staged: str
    """The same, with the staged policies live."""


TriedKey: TypeAlias = StagedKey | OutcomeKey
CountedKey: TypeAlias = CounterKey | TriedKey


class DenyAction(StrEnum):
    """What a packet gets that normal or forward policy denies (FelixConfiguration ...FilterDenyAction)."""

    DROP = "Drop"
    REJECT = "Reject"
    """Its sender is told: a TCP reset, else ICMP administratively prohibited."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is about the program, not the policy, yet changes verdicts."""

    allow_neighbor_discovery: bool = True
    drop_invalid: bool = True
    """False: FelixConfiguration disableConntrackInvalidCheck."""
    deny_action: DenyAction = DenyAction.DROP


class HostAction(StrEnum):
    """What a workload's packet to the host gets (FelixConfiguration defaultEndpointToHostAction)."""

    DROP = "Drop"
    ACCEPT = "Accept"
    RETURN = "Return"
    """Left to the tables behind ours: an allow on our side."""


class LogLimit(NamedTuple):
    """How often a Log rule may write, each rule by itself (FelixConfiguration logActionRateLimit)."""

    burst: int
    """Lines at once, ahead of the rate."""
    per_second: float


@dataclass(frozen=True, slots=True)
class Pending:
    """An endpoint's policy in one stage and side as it would be with its staged policies live."""

    chain: Chain
    """Counts what staged policies add, and nothing of what is enforced."""
    outcomes: Mapping[tuple[Verdict | None, Verdict | None], int]
    """Counter of each pair of what is enforced and what would be. None: the stage has no opinion."""


@dataclass(frozen=True, slots=True)
class GuardedEndpoint:
    """A host or workload endpoint's compiled policy."""

    name: str
    chains: Mapping[tuple[Stage, Side], Chain]
    """A missing chain means that the stage has nothing to say in that direction.

    A host endpoint always has the two `normal` chains, a workload endpoint has nothing else.
    """
    pending: Mapping[tuple[Stage, Side], Pending] = field(default_factory=dict)
    """Where staged policies take part, also where no chain is: decides about nothing, and makes the
    kernel ask."""
    namespace: str = ""
    """Of a workload endpoint."""


class EndpointState(NamedTuple):
    """How a host or workload endpoint of this node fares."""

    kind: str
    name: str
    namespace: str
    """Empty for a host endpoint."""
    status: str
    """`up`, `down` (an interface is down), or `error` (governs nothing)."""
    interfaces: tuple[str, ...] = ()
    """That it governs; `*` for all that nobody else does."""
    reason: str = ""
    """Why it governs nothing; empty where it governs something."""


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
    workloads: Mapping[str, GuardedEndpoint] = field(default_factory=dict)
    """By interface name: workload endpoints of this node."""
    workload_prefixes: tuple[str, ...] = ("cali",)
    """Interfaces that start so belong to workloads and have no host endpoint of their own."""
    endpoint_to_host: HostAction = HostAction.DROP
    failsafe_inbound: tuple[Failsafe, ...] = ()
    failsafe_outbound: tuple[Failsafe, ...] = ()
    options: Options = Options()
    log_limit: LogLimit | None = None
    """None: only the worker's own bound on all of them."""
    counter_keys: tuple[CounterKey, ...] = ()
    """A Decision's `counter` indexes this, where it is enforced."""
    tried_keys: tuple[TriedKey, ...] = ()
    """What is counted of staged policies: their indices go on behind those of `counter_keys`."""
    staged_policies: int = 0
    """How many staged policies take part somewhere. 0: nothing pending is ever asked."""
    endpoint_states: tuple[EndpointState, ...] = ()
    """Of this node's endpoints, host endpoints first, each kind by name."""
    generation: int = 0
    """Set when installed; 0 before."""

    @property
    def counted(self) -> tuple[CountedKey, ...]:
        """Everything that is counted, by index. What is enforced comes first."""
        return self.counter_keys + self.tried_keys

    @property
    def endpoint_status(self) -> Mapping[str, str]:
        """Host endpoint name -> `up`, `down` or `error` (governs nothing)."""
        return {state.name: state.status for state in self.endpoint_states if state.kind == "HostEndpoint"}

    @property
    def by_interface(self) -> Mapping[str, GuardedEndpoint]:
        """Endpoints of their own by interface name, of interfaces that are there and that may come."""
        return {**self.expected, **self.governed}

    @property
    def endpoints(self) -> tuple[GuardedEndpoint, ...]:
        """Every endpoint once, however many interfaces it governs."""
        wildcard = () if self.wildcard is None else (self.wildcard,)
        found = (*self.by_interface.values(), *self.workloads.values(), *wildcard)
        return tuple({id(endpoint): endpoint for endpoint in found}.values())

    def with_endpoints(self, change: Callable[[GuardedEndpoint], GuardedEndpoint]) -> Ruleset:
        """Return the same ruleset with every endpoint changed, where it is: its view of another policy."""

        def each(endpoints: Mapping[str, GuardedEndpoint]) -> Mapping[str, GuardedEndpoint]:
            return {interface: change(endpoint) for interface, endpoint in endpoints.items()}

        return replace(
            self,
            governed=each(self.governed),
            expected=each(self.expected),
            wildcard=None if self.wildcard is None else change(self.wildcard),
            workloads=each(self.workloads),
        )

    def is_workload(self, interface: str) -> bool:
        """Return whether an interface belongs to a workload."""
        return interface.startswith(self.workload_prefixes)

    def own_endpoint(self, interface: str) -> GuardedEndpoint | None:
        """Return the host endpoint for just this interface, be it there or still to come."""
        return self.governed.get(interface) or self.expected.get(interface)

    def endpoint_for(self, interface: str) -> GuardedEndpoint | None:
        """Return the host endpoint that governs an interface for the host's own traffic."""
        endpoint = self.own_endpoint(interface)
        if endpoint is not None:
            return endpoint
        return None if self.is_workload(interface) else self.wildcard

    def chain_for(self, stage: Stage, side: Side, interface: str) -> tuple[GuardedEndpoint, Chain] | None:
        """Return what a host endpoint's policy says at an interface, None where it says nothing.

        The wildcard endpoint stands in where Calico lets it: nowhere for untracked policy
        (endpoint_mgr.go refuses it), before DNAT for every interface whose own endpoint has
        no such policy, workloads' included, and on forwarded traffic for every interface
        without an endpoint, workloads' included.
        """
        endpoint = self._asked(stage, side, interface, pending=False)
        chain = None if endpoint is None else endpoint.chains.get((stage, side))
        return None if endpoint is None or chain is None else (endpoint, chain)

    def pending_for(self, stage: Stage, side: Side, interface: str) -> Pending | None:
        """Return what would be said there with the staged policies live, None where they change nothing."""
        endpoint = self._asked(stage, side, interface, pending=True)
        return None if endpoint is None else endpoint.pending.get((stage, side))

    def _asked(self, stage: Stage, side: Side, interface: str, *, pending: bool) -> GuardedEndpoint | None:
        if stage is Stage.NORMAL:
            return self.endpoint_for(interface)
        own = self.own_endpoint(interface)
        if stage is Stage.PRE_DNAT:
            speaks = own is not None and (
                (stage, side) in own.chains or (pending and (stage, side) in own.pending)
            )
            return own if speaks else self.wildcard
        return own if stage is Stage.UNTRACKED else own or self.wildcard
