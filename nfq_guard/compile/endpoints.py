"""Which host endpoint governs which interface.

Owns Calico's matching (felix/dataplane/linux/endpoint_mgr.go): the alphabetically
first endpoint that matches wins, a match by name has no advantage over one by
address, an endpoint that names an interface never matches by address, and `*`
takes the interfaces that nobody else governs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfq_guard.model.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nfq_guard.model.host import HostFacts, Interface
    from nfq_guard.resources import HostEndpoint, Located, WorkloadEndpoint

WILDCARD = "*"
UP, DOWN, ERROR = "up", "down", "error"


@dataclass(frozen=True, slots=True)
class Governed:
    """Who governs what on this node."""

    interfaces: Mapping[str, Located[HostEndpoint]]
    """By interface name."""
    absent: Mapping[str, Located[HostEndpoint]]
    """By the name of an interface that is not there now: who will govern it when it comes."""
    wildcard: Located[HostEndpoint] | None
    status: Mapping[str, str]
    """Endpoint name -> up, down or error (governs nothing)."""


def resolve(
    endpoints: Iterable[Located[HostEndpoint]],
    facts: HostFacts,
    *,
    workload_prefixes: tuple[str, ...],
    addressless: Callable[[str], bool] = lambda _name: False,
) -> Governed:
    """Return who governs what. Interfaces for which `addressless` is true match by name only."""
    mine = sorted(
        (endpoint for endpoint in endpoints if endpoint.value.spec.node == facts.node),
        key=lambda endpoint: endpoint.name.encode(),
    )
    specific = [endpoint for endpoint in mine if endpoint.value.spec.interface_name != WILDCARD]
    expected = [frozenset(map(parse_address, endpoint.value.spec.expected_ips)) for endpoint in specific]
    interfaces: dict[str, Located[HostEndpoint]] = {}
    for interface in facts.interfaces.values():
        if interface.name.startswith(workload_prefixes):
            continue
        held = (
            frozenset() if addressless(interface.name) else frozenset(map(parse_address, interface.addresses))
        )
        for endpoint, wanted in zip(specific, expected, strict=True):
            if _matches(endpoint, wanted, interface, held):
                interfaces[interface.name] = endpoint
                break
    absent: dict[str, Located[HostEndpoint]] = {}
    for endpoint in specific:
        name = endpoint.value.spec.interface_name
        if name and name not in facts.interfaces and not name.startswith(workload_prefixes):
            absent.setdefault(name, endpoint)
    wildcards = [endpoint for endpoint in mine if endpoint.value.spec.interface_name == WILDCARD]
    status = {endpoint.name: _status(endpoint, interfaces, facts) for endpoint in specific}
    status.update({endpoint.name: UP for endpoint in wildcards})
    return Governed(interfaces, absent, wildcards[0] if wildcards else None, dict(sorted(status.items())))


def resolve_workloads(
    endpoints: Iterable[Located[WorkloadEndpoint]], node: str, workload_prefixes: tuple[str, ...]
) -> Mapping[str, Located[WorkloadEndpoint]]:
    """Return this node's workload endpoints by interface; the first by name wins an interface."""
    mine = sorted(
        (
            endpoint
            for endpoint in endpoints
            if endpoint.value.spec.node == node
            and endpoint.value.spec.interface_name.startswith(workload_prefixes)
        ),
        key=lambda endpoint: (endpoint.name, endpoint.namespace or ""),
        reverse=True,
    )
    return {endpoint.value.spec.interface_name: endpoint for endpoint in mine}


def _matches(
    endpoint: Located[HostEndpoint],
    wanted: frozenset[tuple[int, int]],
    interface: Interface,
    held: frozenset[tuple[int, int]],
) -> bool:
    if endpoint.value.spec.interface_name:
        return endpoint.value.spec.interface_name == interface.name
    return not wanted.isdisjoint(held)


def _status(
    endpoint: Located[HostEndpoint], interfaces: Mapping[str, Located[HostEndpoint]], facts: HostFacts
) -> str:
    governed = [name for name, winner in interfaces.items() if winner is endpoint]
    if not governed:
        return ERROR
    return UP if all(facts.interfaces[name].up for name in governed) else DOWN
