"""The whole compilation: Inventory and HostFacts to a Ruleset.

Owns the order of the steps; each step is a module of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.compile.addresses import AddressBook
from nfq_guard.compile.ahead import Ahead
from nfq_guard.compile.blocks import Place
from nfq_guard.compile.chains import ChainBuilder, CounterIndex
from nfq_guard.compile.endpoints import WILDCARD, resolve, resolve_workloads
from nfq_guard.compile.felix import (
    deny_action,
    effective_felix,
    excluded,
    log_limit,
    workload_prefixes,
)
from nfq_guard.compile.flattened import Flattener
from nfq_guard.compile.memory import CompileMemory
from nfq_guard.compile.policies import PolicyIndex, enforced, staged_in
from nfq_guard.compile.states import States
from nfq_guard.compile.warnings import host_warnings, idle_warnings
from nfq_guard.engine.ruleset import Failsafe, GuardedEndpoint, HostAction, Options, Ruleset
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import Side, Stage
from nfq_guard.resources import DEFAULT_INBOUND, DEFAULT_OUTBOUND
from nfq_guard.resources.labels import EndpointLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nfq_guard.compile.policies import AppliedProfile, AppliedTier
    from nfq_guard.engine.chain import Chain
    from nfq_guard.engine.ruleset import CounterKey, Pending, TriedKey
    from nfq_guard.model.host import HostFacts
    from nfq_guard.model.problem import Problem
    from nfq_guard.resources import HostEndpoint, Inventory, Located, ProtoPort, WorkloadEndpoint


@dataclass(frozen=True, slots=True)
class Compiled:
    """A Ruleset, and what its author should know about it."""

    ruleset: Ruleset
    warnings: tuple[Problem, ...] = ()


def compile_ruleset(
    inventory: Inventory,
    facts: HostFacts,
    options: Options = Options(),  # noqa: B008 - frozen
    memory: CompileMemory | None = None,
) -> Compiled:
    """Return the Ruleset that enforces an inventory on a host.

    `memory` may be kept between calls: it makes them cheaper, and changes nothing else.
    """
    memory = CompileMemory() if memory is None else memory
    felix = effective_felix(inventory, facts.node)
    prefixes = workload_prefixes(felix)

    def addressless(name: str) -> bool:
        return excluded(felix, name)

    governed = resolve(
        inventory.host_endpoints,
        facts,
        workload_prefixes=prefixes,
        addressless=addressless,
    )
    inbound = _failsafes(felix.failsafe_inbound_host_ports, DEFAULT_INBOUND)
    outbound = _failsafes(felix.failsafe_outbound_host_ports, DEFAULT_OUTBOUND)
    ahead = Ahead(inbound, outbound, options.allow_neighbor_discovery)
    compiler = _EndpointCompiler(inventory, memory, felix.log_prefix, ahead)
    own = {name: compiler.host(endpoint) for name, endpoint in governed.interfaces.items()}
    expected = {name: compiler.host(endpoint) for name, endpoint in governed.absent.items()}
    wildcard = None if governed.wildcard is None else compiler.host(governed.wildcard)
    attached = resolve_workloads(inventory.workload_endpoints, facts.node, prefixes)
    workloads = compiler.workloads(attached)
    states = tuple(States(facts, governed, attached, prefixes, addressless).of(inventory))
    tried = compiler.rehearse()
    ruleset = Ruleset(
        node=facts.node,
        governed=own,
        expected=expected,
        wildcard=wildcard,
        workloads=workloads,
        workload_prefixes=prefixes,
        endpoint_to_host=HostAction(felix.default_endpoint_to_host_action.capitalize()),
        failsafe_inbound=inbound,
        failsafe_outbound=outbound,
        options=replace(
            options,
            drop_invalid=options.drop_invalid and not felix.disable_conntrack_invalid_check,
            deny_action=deny_action(felix),
        ),
        log_limit=log_limit(felix),
        counter_keys=compiler.counters.keys,
        tried_keys=tried,
        staged_policies=len(compiler.staged),
        endpoint_states=tuple(state for _, state in states),
    )
    warnings = (*host_warnings(inventory, facts.node), *idle_warnings(states))
    return Compiled(ruleset, (*inventory.warnings, *warnings))


_HOST_STAGES = (Stage.NORMAL, Stage.UNTRACKED, Stage.PRE_DNAT, Stage.FORWARD)


class _Rehearsed(NamedTuple):
    """A place where staged policies take part, to be compiled when all that is enforced is."""

    pending: dict[tuple[Stage, Side], Pending]
    """Where it goes."""
    stage: Stage
    side: Side
    endpoint: Located[HostEndpoint] | Located[WorkloadEndpoint]
    tiers: tuple[AppliedTier, ...]
    profiles: list[AppliedProfile]


class _EndpointCompiler:
    """Compiles each endpoint once, however many interfaces it governs."""

    def __init__(self, inventory: Inventory, memory: CompileMemory, log_prefix: str, ahead: Ahead) -> None:
        self.counters: CounterIndex[CounterKey] = CounterIndex()
        self.staged: set[tuple[str, str | None, str]] = set()
        """Kind, namespace and name of the staged policies that take part somewhere."""
        self._log_prefix = log_prefix
        self._ahead = ahead
        self._inventory = inventory
        self._labels = EndpointLabels(inventory)
        self._rules = Flattener(AddressBook(inventory, memory.selectors, memory.addresses), memory.rules)
        self._chains = memory.chains
        self._chains.begin_round()
        self._policies = PolicyIndex(inventory, memory.selectors, memory.policies)
        self._done: dict[str, GuardedEndpoint] = {}
        self._rehearsed: list[_Rehearsed] = []

    def host(self, endpoint: Located[HostEndpoint]) -> GuardedEndpoint:
        """Return a host endpoint's chains in every stage that some policy takes part in."""
        if endpoint.name not in self._done:
            self._done[endpoint.name] = self._compiled(endpoint, _HOST_STAGES)
        return self._done[endpoint.name]

    def workloads(self, attached: Mapping[str, Located[WorkloadEndpoint]]) -> dict[str, GuardedEndpoint]:
        """Return the chains of workload endpoints, by interface."""
        return {
            interface: self._compiled(endpoint, (Stage.NORMAL,)) for interface, endpoint in attached.items()
        }

    def _compiled(
        self, endpoint: Located[HostEndpoint] | Located[WorkloadEndpoint], stages: tuple[Stage, ...]
    ) -> GuardedEndpoint:
        labels = self._labels.of(endpoint)
        profiles = [self._policies.profile(name) for name in endpoint.value.spec.profiles]
        chains: dict[tuple[Stage, Side], Chain] = {}
        pending: dict[tuple[Stage, Side], Pending] = {}
        for stage in stages:
            tiers = self._policies.tiers(labels, stage)
            for side in _sides_of(stage):
                chain = self._chain(stage, side, endpoint, enforced(tiers), profiles)
                if chain is not None:
                    chains[stage, side] = chain
                staged = staged_in(tiers, side)
                if staged:
                    self._rehearsed.append(_Rehearsed(pending, stage, side, endpoint, tiers, profiles))
                if not _is_unheard(stage, endpoint):
                    self.staged.update((policy.kind, policy.namespace, policy.name) for policy in staged)
        return GuardedEndpoint(endpoint.name, chains, pending, endpoint.namespace or "")

    def _chain(
        self,
        stage: Stage,
        side: Side,
        endpoint: Located[HostEndpoint] | Located[WorkloadEndpoint],
        tiers: Sequence[AppliedTier],
        profiles: Sequence[AppliedProfile],
    ) -> Chain | None:
        builder = self._builder(stage, side, endpoint)
        return builder.normal(tiers, profiles) if stage is Stage.NORMAL else builder.passing(tiers)

    def _builder(
        self,
        stage: Stage,
        side: Side,
        endpoint: Located[HostEndpoint] | Located[WorkloadEndpoint],
        tried: CounterIndex[TriedKey] | None = None,
    ) -> ChainBuilder:
        ahead = self._ahead if endpoint.kind == "HostEndpoint" else None
        place = Place(endpoint.kind, endpoint.name, stage, side, tried is not None)
        return ChainBuilder(place, self._rules, self.counters, self._chains, self._log_prefix, ahead, tried)

    def rehearse(self) -> tuple[TriedKey, ...]:
        """Fill in what is pending at each endpoint; return what it counts.

        When all that is enforced is compiled: where counters are short, what is tried out goes without.
        """
        tried: CounterIndex[TriedKey] = CounterIndex(len(self.counters.keys))
        for one in self._rehearsed:
            builder = self._builder(one.stage, one.side, one.endpoint, tried)
            one.pending[one.stage, one.side] = builder.pending(one.tiers, one.profiles)
        return tried.keys


def _is_unheard(stage: Stage, endpoint: Located[HostEndpoint] | Located[WorkloadEndpoint]) -> bool:
    """Return whether policy of a stage at an endpoint is ignored (felix endpoint_mgr.go)."""
    return stage is Stage.UNTRACKED and endpoint.value.spec.interface_name == WILDCARD


def _sides_of(stage: Stage) -> tuple[Side, ...]:
    # What leaves is past NAT already: policy before DNAT has no egress.
    return (Side.INGRESS,) if stage is Stage.PRE_DNAT else tuple(Side)


def _failsafes(configured: Iterable[ProtoPort] | None, default: tuple[Failsafe, ...]) -> tuple[Failsafe, ...]:
    """Return the failsafes in force: None is the default list, an empty list is none at all."""
    if configured is None:
        return default
    return tuple(
        Failsafe(
            port.protocol.number,
            port.port,
            None if port.net is None else parse_net(port.net, bare=True, host_bits=True),
        )
        for port in configured
    )
