"""The whole compilation: Inventory and HostFacts to a Ruleset.

Owns the order of the steps; each step is a module of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfq_guard.compile.addresses import AddressBook
from nfq_guard.compile.chains import ChainBuilder, CounterIndex
from nfq_guard.compile.endpoints import resolve
from nfq_guard.compile.felix import effective_felix, excluded, workload_prefixes
from nfq_guard.compile.policies import PolicyIndex
from nfq_guard.compile.warnings import host_warnings
from nfq_guard.engine.ruleset import Failsafe, GuardedEndpoint, Options, Ruleset
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import Side, Stage
from nfq_guard.resources import DEFAULT_INBOUND, DEFAULT_OUTBOUND
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nfq_guard.model.host import HostFacts
    from nfq_guard.model.problem import Problem
    from nfq_guard.resources import HostEndpoint, Inventory, ProtoPort


@dataclass(frozen=True, slots=True)
class Compiled:
    """A Ruleset, and what its author should know about it."""

    ruleset: Ruleset
    warnings: tuple[Problem, ...] = ()


def compile_ruleset(
    inventory: Inventory,
    facts: HostFacts,
    options: Options = Options(),  # noqa: B008 - frozen
    selectors: SelectorCache | None = None,
) -> Compiled:
    """Return the Ruleset that enforces an inventory on a host.

    `selectors` may be kept between calls: it remembers parsed text only.
    """
    selectors = SelectorCache() if selectors is None else selectors
    felix = effective_felix(inventory, facts.node)
    prefixes = workload_prefixes(felix)
    governed = resolve(
        (item.value for item in inventory.host_endpoints),
        facts,
        workload_prefixes=prefixes,
        addressless=lambda name: excluded(felix, name),
    )
    compiler = _EndpointCompiler(inventory, selectors)
    ruleset = Ruleset(
        node=facts.node,
        governed={name: compiler.compiled(endpoint) for name, endpoint in governed.interfaces.items()},
        expected={name: compiler.compiled(endpoint) for name, endpoint in governed.absent.items()},
        wildcard=None if governed.wildcard is None else compiler.compiled(governed.wildcard),
        workload_prefixes=prefixes,
        failsafe_inbound=_failsafes(felix.failsafe_inbound_host_ports, DEFAULT_INBOUND),
        failsafe_outbound=_failsafes(felix.failsafe_outbound_host_ports, DEFAULT_OUTBOUND),
        options=replace(
            options, drop_invalid=options.drop_invalid and not felix.disable_conntrack_invalid_check
        ),
        counter_keys=compiler.counters.keys,
        endpoint_status=governed.status,
    )
    return Compiled(ruleset, (*inventory.warnings, *host_warnings(inventory, facts.node)))


class _EndpointCompiler:
    """Compiles each host endpoint once, however many interfaces it governs."""

    def __init__(self, inventory: Inventory, selectors: SelectorCache) -> None:
        self.counters = CounterIndex()
        self._book = AddressBook(inventory, selectors)
        self._policies = PolicyIndex(inventory, selectors)
        self._done: dict[str, GuardedEndpoint] = {}

    def compiled(self, endpoint: HostEndpoint) -> GuardedEndpoint:
        name = endpoint.metadata.name
        if name not in self._done:
            tiers = self._policies.tiers(endpoint, Stage.NORMAL)
            profiles = self._policies.profiles(endpoint)
            self._done[name] = GuardedEndpoint(
                name,
                {
                    (Stage.NORMAL, side): ChainBuilder(
                        Stage.NORMAL, side, name, self._book, self.counters
                    ).normal(tiers, profiles)
                    for side in Side
                },
            )
        return self._done[name]


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
