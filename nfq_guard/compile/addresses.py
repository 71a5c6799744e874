"""What selectors in rules stand for: addresses and named ports of known endpoints.

Owns the list of everything a rule's selector can select (host endpoints of every
node by their expectedIPs, network sets by their nets) and remembers what each
selector gave. An endpoint without expectedIPs cannot be selected by a rule
(calico-semantics 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.addresses import AddressSet, Net, parse_net
from nfq_guard.resources.labels import NAMESPACE, Wanted, endpoint_labels, wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nfq_guard.resources import EndpointPort, EntityRule, Inventory, WorkloadEndpointPort
    from nfq_guard.selector import Selector, SelectorCache


class PortMember(NamedTuple):
    """A named port as its endpoint defines it."""

    name: str
    protocol: int
    port: int


@dataclass(frozen=True, slots=True)
class Known:
    """Something selectors can select."""

    labels: Mapping[str, str]
    nets: tuple[Net, ...]
    ports: tuple[PortMember, ...] = ()


class NamedPort(NamedTuple):
    """The addresses at which a named port is one protocol and number."""

    addresses: AddressSet
    protocol: int
    port: int


class AddressBook:
    """Selectors to addresses, each worked out once."""

    def __init__(self, inventory: Inventory, selectors: SelectorCache) -> None:
        """Take in everything that selectors can select."""
        self._selectors = selectors
        self._known = tuple(_known(inventory))
        self._addresses: dict[str, AddressSet] = {}
        self._named: dict[tuple[str, str], tuple[NamedPort, ...]] = {}

    def wanted(self, entity: EntityRule, namespace: str | None = None) -> Wanted:
        """Return what one side of a rule, of a policy in a namespace, selects by labels."""
        return wanted(entity, self._selectors, namespace)

    def select(self, selector: Selector) -> AddressSet:
        """Return the addresses of everything a selector selects."""
        found = self._addresses.get(selector.canonical)
        if found is None:
            matches = selector.matches
            found = AddressSet.of(net for known in self._known if matches(known.labels) for net in known.nets)
            self._addresses[selector.canonical] = found
        return found

    def named(self, name: str, selector: Selector | None) -> tuple[NamedPort, ...]:
        """Return where a named port is, among the endpoints a selector selects (None: all)."""
        key = (name, "" if selector is None else selector.canonical)
        if key not in self._named:
            self._named[key] = tuple(self._find_named(name, selector))
        return self._named[key]

    def _find_named(self, name: str, selector: Selector | None) -> Iterable[NamedPort]:
        nets: dict[tuple[int, int], list[Net]] = {}
        for known in self._known:
            if selector is not None and not selector.matches(known.labels):
                continue
            for member in known.ports:
                if member.name == name:
                    nets.setdefault((member.protocol, member.port), []).extend(known.nets)
        for (protocol, port), members in sorted(nets.items()):
            yield NamedPort(AddressSet.of(members), protocol, port)


def _known(inventory: Inventory) -> Iterable[Known]:
    for host in inventory.host_endpoints:
        spec = host.value.spec
        yield Known(
            endpoint_labels(host, inventory), _nets(spec.expected_ips), tuple(map(_member, spec.ports))
        )
    for workload in inventory.workload_endpoints:
        named = tuple(_member(port) for port in workload.value.spec.ports if port.name)
        yield Known(endpoint_labels(workload, inventory), _nets(workload.value.spec.ip_networks), named)
    for global_set in inventory.global_network_sets:
        yield Known(global_set.value.metadata.labels, _nets(global_set.value.spec.nets))
    for network_set in inventory.network_sets:
        labels = {**network_set.value.metadata.labels, NAMESPACE.member: network_set.namespace or ""}
        yield Known(labels, _nets(network_set.value.spec.nets))


def _nets(texts: Iterable[str]) -> tuple[Net, ...]:
    return tuple(parse_net(text, bare=True, host_bits=True) for text in texts)


def _member(port: EndpointPort | WorkloadEndpointPort) -> PortMember:
    return PortMember(port.name, port.protocol.number, port.port)
