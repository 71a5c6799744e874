"""The whole compilation: Inventory and HostFacts to a Ruleset.

Owns the order of the steps; each step is a module of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfq_guard.compile.addresses import AddressBook
from nfq_guard.compile.chains import ChainBuilder, CounterIndex
from nfq_guard.compile.endpoints import resolve
from nfq_guard.compile.felix import deny_action, effective_felix, excluded, workload_prefixes
from nfq_guard.compile.memory import CompileMemory
from nfq_guard.compile.policies import PolicyIndex
from nfq_guard.compile.warnings import host_warnings
from nfq_guard.engine.ruleset import Failsafe, GuardedEndpoint, HostAction, Options, Ruleset
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import Side, Stage
from nfq_guard.model.problem import Problem, Severity
from nfq_guard.resources import DEFAULT_INBOUND, DEFAULT_OUTBOUND
from nfq_guard.resources.labels import EndpointLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.engine.chain import Chain
    from nfq_guard.model.host import HostFacts
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
    governed = resolve(
        inventory.host_endpoints,
        facts,
        workload_prefixes=prefixes,
        addressless=lambda name: excluded(felix, name),
    )
    compiler = _EndpointCompiler(inventory, memory)
    ruleset = Ruleset(
        node=facts.node,
        governed={name: compiler.host(endpoint) for name, endpoint in governed.interfaces.items()},
        expected={name: compiler.host(endpoint) for name, endpoint in governed.absent.items()},
        wildcard=None if governed.wildcard is None else compiler.host(governed.wildcard),
        workloads=compiler.workloads(facts.node, prefixes),
        workload_prefixes=prefixes,
        endpoint_to_host=HostAction(felix.default_endpoint_to_host_action.capitalize()),
        failsafe_inbound=_failsafes(felix.failsafe_inbound_host_ports, DEFAULT_INBOUND),
        failsafe_outbound=_failsafes(felix.failsafe_outbound_host_ports, DEFAULT_OUTBOUND),
        options=replace(
            options,
            drop_invalid=options.drop_invalid and not felix.disable_conntrack_invalid_check,
            deny_action=deny_action(felix),
        ),
        counter_keys=compiler.counters.keys,
        endpoint_status=governed.status,
    )
    warnings = (*host_warnings(inventory, facts.node), *_unheard(governed.wildcard, ruleset))
    return Compiled(ruleset, (*inventory.warnings, *warnings))


def _unheard(wildcard: Located[HostEndpoint] | None, ruleset: Ruleset) -> Iterator[Problem]:
    """Yield a warning if untracked policy selects the `*` endpoint: Calico ignores it there."""
    chains = {} if ruleset.wildcard is None else ruleset.wildcard.chains
    if wildcard is None or not any(stage is Stage.UNTRACKED for stage, _ in chains):
        return
    message = "doNotTrack policy selects this endpoint and is ignored: it needs an endpoint for one interface"
    field = "spec.interfaceName"
    yield Problem(
        wildcard.position(field),
        "no-effect",
        message,
        field,
        wildcard.kind,
        wildcard.name,
        severity=Severity.WARNING,
    )


class _EndpointCompiler:
    """Compiles each endpoint once, however many interfaces it governs."""

    def __init__(self, inventory: Inventory, memory: CompileMemory) -> None:
        self.counters = CounterIndex()
        self._inventory = inventory
        self._labels = EndpointLabels(inventory)
        self._book = AddressBook(inventory, memory.selectors, memory.addresses)
        self._policies = PolicyIndex(inventory, memory.selectors, memory.policies)
        self._done: dict[str, GuardedEndpoint] = {}

    def host(self, endpoint: Located[HostEndpoint]) -> GuardedEndpoint:
        """Return a host endpoint's chains in every stage that some policy takes part in."""
        if endpoint.name not in self._done:
            chains = self._normal(endpoint, "HostEndpoint")
            labels = self._labels.of(endpoint)
            for stage in (Stage.UNTRACKED, Stage.PRE_DNAT, Stage.FORWARD):
                tiers = self._policies.tiers(labels, stage)
                for side in _sides_of(stage):
                    chain = self._builder(stage, side, "HostEndpoint", endpoint.name).passing(tiers)
                    if chain is not None:
                        chains[stage, side] = chain
            self._done[endpoint.name] = GuardedEndpoint(endpoint.name, chains)
        return self._done[endpoint.name]

    def workloads(self, node: str, prefixes: tuple[str, ...]) -> dict[str, GuardedEndpoint]:
        """Return this node's workload endpoints by interface; the first by name wins an interface."""
        mine = sorted(
            (
                endpoint
                for endpoint in self._inventory.workload_endpoints
                if endpoint.value.spec.node == node
                and endpoint.value.spec.interface_name.startswith(prefixes)
            ),
            key=lambda endpoint: (endpoint.name, endpoint.namespace or ""),
            reverse=True,
        )
        return {
            endpoint.value.spec.interface_name: GuardedEndpoint(
                endpoint.name, self._normal(endpoint, "WorkloadEndpoint")
            )
            for endpoint in mine
        }

    def _normal(
        self, endpoint: Located[HostEndpoint] | Located[WorkloadEndpoint], kind: str
    ) -> dict[tuple[Stage, Side], Chain]:
        tiers = self._policies.tiers(self._labels.of(endpoint), Stage.NORMAL)
        profiles = [self._policies.profile(name) for name in endpoint.value.spec.profiles]
        return {
            (Stage.NORMAL, side): self._builder(Stage.NORMAL, side, kind, endpoint.name).normal(
                tiers, profiles
            )
            for side in Side
        }

    def _builder(self, stage: Stage, side: Side, kind: str, name: str) -> ChainBuilder:
        return ChainBuilder(stage, side, kind, name, self._book, self.counters)


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
