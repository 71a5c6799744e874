"""How this node's endpoints fare: what each governs, and why one governs nothing.

Owns the states that `status` and the log tell, of host and of workload endpoints. Must never
decide who governs what: that is done by then (`compile.endpoints`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfq_guard.compile.endpoints import DOWN, ERROR, UP, WILDCARD
from nfq_guard.engine.ruleset import EndpointState
from nfq_guard.model.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from nfq_guard.compile.endpoints import Governed
    from nfq_guard.model.host import HostFacts
    from nfq_guard.resources import HostEndpoint, Inventory, Located, WorkloadEndpoint

    Told: TypeAlias = Located[HostEndpoint] | Located[WorkloadEndpoint]

_NAMED = 5
"""Addresses named: enough to see a slip of the pen."""


@dataclass(frozen=True, slots=True)
class States:
    """Tells the states of one node's endpoints."""

    facts: HostFacts
    governed: Governed
    attached: Mapping[str, Located[WorkloadEndpoint]]
    """Workload endpoints by interface."""
    workload_prefixes: tuple[str, ...]
    addressless: Callable[[str], bool]

    def of(self, inventory: Inventory) -> Iterator[tuple[Told, EndpointState]]:
        """Yield this node's endpoints with how each fares: host endpoints first, each kind by name."""
        node = self.facts.node
        hosts = [endpoint for endpoint in inventory.host_endpoints if endpoint.value.spec.node == node]
        for host in sorted(hosts, key=lambda endpoint: endpoint.name):
            yield host, self._host(host)
        workloads = [each for each in inventory.workload_endpoints if each.value.spec.node == node]
        for workload in sorted(workloads, key=lambda each: (each.namespace or "", each.name)):
            yield workload, self._workload(workload)

    def _host(self, endpoint: Located[HostEndpoint]) -> EndpointState:
        wildcard = endpoint is self.governed.wildcard
        interfaces = [name for name, winner in self.governed.interfaces.items() if winner is endpoint]
        return EndpointState(
            endpoint.kind,
            endpoint.name,
            "",
            self.governed.status[endpoint.name],
            (*interfaces, *[WILDCARD] * wildcard),
            "" if interfaces or wildcard else self._why_nothing(endpoint),
        )

    def _workload(self, endpoint: Located[WorkloadEndpoint]) -> EndpointState:
        name = endpoint.value.spec.interface_name
        interface = self.facts.interfaces.get(name)
        winner = self.attached.get(name)
        if winner is None:
            reason = f"{name} is no workload's interface: interfacePrefix {','.join(self.workload_prefixes)}"
        elif winner is not endpoint:
            reason = f"{name} is governed by {winner.namespace}/{winner.name}, the first by name"
        else:
            reason = "" if interface is not None else _absent(name)
        status = ERROR if reason or interface is None else UP if interface.up else DOWN
        interfaces = () if reason else (name,)
        return EndpointState(
            endpoint.kind, endpoint.name, endpoint.namespace or "", status, interfaces, reason
        )

    def _why_nothing(self, endpoint: Located[HostEndpoint]) -> str:
        name = endpoint.value.spec.interface_name
        if name == WILDCARD:
            return self._taken(name, self.governed.wildcard)
        if not name:
            return self._why_no_address(endpoint.value.spec.expected_ips)
        if prefix := self._prefix(name):
            return f"{name} is a workload's interface: interfacePrefix {prefix}"
        if name in self.facts.interfaces:
            return self._taken(name, self.governed.interfaces.get(name))
        winner = self.governed.absent.get(name)
        return _absent(name) if winner is endpoint else self._taken(name, winner)

    def _why_no_address(self, expected: Iterable[str]) -> str:
        wanted = {parse_address(text): text for text in expected}
        for interface in self.facts.interfaces.values():
            for held in map(parse_address, interface.addresses):
                if held in wanted:
                    return self._why_not(interface.name, wanted[held])
        texts = list(wanted.values())
        more = f" or {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
        return f"no interface has {' or '.join(texts[:_NAMED])}{more}"

    def _why_not(self, interface: str, address: str) -> str:
        """Return why an interface that has an expected address is not governed for it."""
        name = f"{interface}, which has {address},"
        if prefix := self._prefix(interface):
            return f"{name} is a workload's interface: interfacePrefix {prefix}"
        if self.addressless(interface):
            return f"{name} is left out by interfaceExclude"
        return self._taken(name, self.governed.interfaces.get(interface))

    def _taken(self, name: str, winner: Located[HostEndpoint] | None) -> str:
        by = "another endpoint" if winner is None else winner.name
        return f"{name} is governed by {by}, the first by name"

    def _prefix(self, name: str) -> str:
        return next((prefix for prefix in self.workload_prefixes if name.startswith(prefix)), "")


def _absent(name: str) -> str:
    # It is guarded from its first packet on, so that this is no fault by itself.
    return f"no interface {name} yet"
