"""What selectors in rules stand for: addresses and named ports of known endpoints.

Owns the list of everything a rule's selector can select (host endpoints of every
node by their expectedIPs, network sets by their nets) and remembers what each
selector gave. An endpoint without expectedIPs cannot be selected by a rule
(calico-semantics 2.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.addresses import AddressSet, Net, parse_net
from nfq_guard.model.memo import Memo
from nfq_guard.resources.labels import NAMESPACE, EndpointLabels, Wanted, wanted
from nfq_guard.selector import LabelIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nfq_guard.resources import (
        EndpointPort,
        EntityRule,
        GlobalNetworkSet,
        HostEndpoint,
        Inventory,
        NetworkSet,
        WorkloadEndpoint,
        WorkloadEndpointPort,
    )
    from nfq_guard.selector import Selector, SelectorCache

_SELECTORS_SPARED = 1024
"""Selectors no longer in any rule whose results may be remembered, at least."""


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


class Selected:
    """What selectors select among what is known, each worked out once."""

    def __init__(self, known: tuple[Known, ...], before: Selected | None = None) -> None:
        """Take in what can be selected; `before` knows what selectors gave when something else could."""
        self.known = known
        self._index = LabelIndex((each.labels, each) for each in known)
        self.addresses: dict[str, AddressSet] = {}
        """By canonical selector."""
        self.places: dict[tuple[str, str], tuple[NamedPort, ...]] = {}
        """By name of the port and canonical selector."""
        self._addresses_before = {} if before is None else before.addresses
        self._places_before = {} if before is None else before.places
        self._changed = LabelIndex(() if before is None else _differing(known, before.known))
        self._most = _SELECTORS_SPARED + 2 * (len(self._addresses_before) + len(self._places_before))

    def serves(self, known: tuple[Known, ...]) -> bool:
        """Return whether these very things can be selected, and not too much is remembered about them."""
        return len(self.addresses) + len(self.places) <= self._most and self._is_of(known)

    def _is_of(self, known: tuple[Known, ...]) -> bool:
        return len(known) == len(self.known) and all(map(is_, known, self.known))

    def select(self, selector: Selector) -> AddressSet:
        """Return the addresses of everything a selector selects.

        The same object as before if nothing that it selects, or selected, has changed.
        """
        found = self.addresses.get(selector.canonical)
        if found is None:
            found = self.addresses[selector.canonical] = self._select(selector)
        return found

    def _select(self, selector: Selector) -> AddressSet:
        before = self._addresses_before.get(selector.canonical)
        if before is not None and next(self._changed.select(selector), None) is None:
            return before
        found = AddressSet.of(net for known in self._index.select(selector) for net in known.nets)
        return before if before is not None and found == before else found

    def named(self, name: str, selector: Selector | None) -> tuple[NamedPort, ...]:
        """Return where a named port is, among the endpoints a selector selects (None: all)."""
        key = (name, "" if selector is None else selector.canonical)
        found = self.places.get(key)
        if found is None:
            found = tuple(self._find_named(name, selector))
            before = self._places_before.get(key)
            found = self.places[key] = before if before is not None and found == before else found
        return found

    def _find_named(self, name: str, selector: Selector | None) -> Iterable[NamedPort]:
        nets: dict[tuple[int, int], list[Net]] = {}
        for known in self.known if selector is None else self._index.select(selector):
            for member in known.ports:
                if member.name == name:
                    nets.setdefault((member.protocol, member.port), []).extend(known.nets)
        for (protocol, port), members in sorted(nets.items()):
            yield NamedPort(AddressSet.of(members), protocol, port)


def _differing(one: tuple[Known, ...], other: tuple[Known, ...]) -> Iterable[tuple[Mapping[str, str], Known]]:
    """Yield what is in one of both only, with its labels."""
    for these, those in ((one, other), (other, one)):
        there = set(map(id, those))
        yield from ((each.labels, each) for each in these if id(each) not in there)


class AddressMemory:
    """What an address book leaves for the next."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.hosts: Memo[HostEndpoint, Mapping[str, str], Known] = Memo(_host)
        self.workloads: Memo[WorkloadEndpoint, Mapping[str, str], Known] = Memo(_workload)
        self.sets: Memo[GlobalNetworkSet | NetworkSet, Mapping[str, str], Known] = Memo(_set)
        self.selected: Selected | None = None

    def about(self, inventory: Inventory) -> Selected:
        """Return what selectors select in an inventory."""
        for memo in (self.hosts, self.workloads, self.sets):
            memo.begin_round()
        known = tuple(self._known(inventory))
        if self.selected is None or not self.selected.serves(known):
            self.selected = Selected(known, self.selected)
        return self.selected

    def _known(self, inventory: Inventory) -> Iterator[Known]:
        labels = EndpointLabels(inventory)
        for host in inventory.host_endpoints:
            yield self.hosts.get(host.value, labels.of(host))
        for workload in inventory.workload_endpoints:
            yield self.workloads.get(workload.value, labels.of(workload))
        for global_set in inventory.global_network_sets:
            yield self.sets.get(global_set.value, global_set.value.metadata.labels)
        for network_set in inventory.network_sets:
            within = {NAMESPACE.member: network_set.namespace or ""}
            yield self.sets.get(network_set.value, {**network_set.value.metadata.labels, **within})


class AddressBook:
    """Selectors in rules to addresses."""

    def __init__(self, inventory: Inventory, selectors: SelectorCache, memory: AddressMemory) -> None:
        """Take in everything that selectors can select."""
        self._selectors = selectors
        self._selected = memory.about(inventory)

    def wanted(self, entity: EntityRule, namespace: str | None = None) -> Wanted:
        """Return what one side of a rule, of a policy in a namespace, selects by labels."""
        return wanted(entity, self._selectors, namespace)

    def select(self, selector: Selector) -> AddressSet:
        """Return the addresses of everything a selector selects.

        The same object as in the compilation before if nothing has changed that it selects.
        """
        return self._selected.select(selector)

    def named(self, name: str, selector: Selector | None) -> tuple[NamedPort, ...]:
        """Return where a named port is, among the endpoints a selector selects (None: all)."""
        return self._selected.named(name, selector)


def _host(host: HostEndpoint, labels: Mapping[str, str]) -> Known:
    return Known(labels, _nets(host.spec.expected_ips), tuple(map(_member, host.spec.ports)))


def _workload(workload: WorkloadEndpoint, labels: Mapping[str, str]) -> Known:
    named = tuple(_member(port) for port in workload.spec.ports if port.name)
    return Known(labels, _nets(workload.spec.ip_networks), named)


def _set(found: GlobalNetworkSet | NetworkSet, labels: Mapping[str, str]) -> Known:
    return Known(labels, _nets(found.spec.nets))


def _nets(texts: Iterable[str]) -> tuple[Net, ...]:
    return tuple(parse_net(text, bare=True, host_bits=True) for text in texts)


def _member(port: EndpointPort | WorkloadEndpointPort) -> PortMember:
    return PortMember(port.name, port.protocol.number, port.port)
