"""Everybody whom a selector can select, by name: endpoints and network sets.

Owns who has an address, and who is selected and stands for none. What a selector stands
for, compile says; here it is told with names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.explain.labels import slip, why_not
from nfq_guard.model.addresses import parse_net
from nfq_guard.resources.labels import NAMESPACE, EndpointLabels
from nfq_guard.selector import LabelIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nfq_guard.model.addresses import Net
    from nfq_guard.resources import Inventory
    from nfq_guard.selector import Selector

_NAMED = 3
"""Of those selected: enough to know them by."""
_ENDS = 2
"""Addresses of a packet."""
_ADDRESSLESS = {
    "HostEndpoint": "has no expectedIPs",
    "WorkloadEndpoint": "has no ipNetworks",
    "GlobalNetworkSet": "has no nets",
    "NetworkSet": "has no nets",
}


class Somebody(NamedTuple):
    """An endpoint or a network set."""

    kind: str
    name: str
    labels: Mapping[str, str]
    nets: tuple[Net, ...]

    def __str__(self) -> str:
        """Return `HostEndpoint(db)`."""
        return f"{self.kind}({self.name})"

    def has(self, family: int, address: int) -> bool:
        """Return whether an address is one of its own."""
        return any(net.family == family and net.first <= address <= net.last for net in self.nets)


class People:
    """Those of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        """Take them in."""
        self._all = tuple(_everybody(inventory))
        self._index = LabelIndex((one.labels, one) for one in self._all)
        self._selected: dict[str, tuple[Somebody, ...]] = {}
        """By canonical selector: thousands of rules may ask with few."""
        self._holders: dict[tuple[int, int], tuple[Somebody, ...]] = {}

    def selected(self, selector: Selector) -> tuple[Somebody, ...]:
        """Return whom a selector selects, in the order of the inventory."""
        found = self._selected.get(selector.canonical)
        if found is None:
            found = self._selected[selector.canonical] = tuple(self._index.select(selector))
        return found

    def at(self, family: int, address: int) -> tuple[Somebody, ...]:
        """Return whose an address is."""
        key = family, address
        if key not in self._holders:
            # Of one packet: the next has others.
            if len(self._holders) >= _ENDS:
                self._holders.clear()
            self._holders[key] = tuple(one for one in self._all if one.has(family, address))
        return self._holders[key]

    def whom(self, selector: Selector) -> str:
        """Return whom a selector selects, in words: `HostEndpoint(db), by role == "db"`."""
        found = self.selected(selector)
        return f"{_list(found) if found else 'nobody'}, by {selector}"

    def notes(self, selector: Selector, family: int, address: int) -> Iterator[str]:
        """Yield why a selector that is meant for somebody may not stand for an address."""
        found = self.selected(selector)
        for one in found[:_NAMED]:
            if not one.nets:
                yield f"{one} is selected, but {_ADDRESSLESS[one.kind]}: it stands for no address"
        families = {net.family for one in found for net in one.nets}
        if families and family not in families:
            yield f"those selected have no IPv{family} address"
        holders = [one for one in self.at(family, address) if one not in found]
        for one in holders[:_NAMED]:
            yield f"the address is {one}'s, which is not selected: {why_not(selector, one.labels)}"
            if guess := slip(selector, one.labels):
                yield guess
        if not found and not holders:
            yield from self._guess(selector)

    def _guess(self, selector: Selector) -> Iterator[str]:
        guesses = (slip(selector, one.labels) for one in self._all)
        yield from list(dict.fromkeys(filter(None, guesses)))[:1]


def _everybody(inventory: Inventory) -> Iterator[Somebody]:
    labels = EndpointLabels(inventory)
    for host in inventory.host_endpoints:
        yield Somebody(host.kind, host.name, labels.of(host), _nets(host.value.spec.expected_ips))
    for workload in inventory.workload_endpoints:
        name = f"{workload.namespace}/{workload.name}"
        yield Somebody(workload.kind, name, labels.of(workload), _nets(workload.value.spec.ip_networks))
    for one in inventory.global_network_sets:
        yield Somebody(one.kind, one.name, one.value.metadata.labels, _nets(one.value.spec.nets))
    for other in inventory.network_sets:
        within = {NAMESPACE.member: other.namespace or ""}
        name = f"{other.namespace}/{other.name}"
        yield Somebody(
            other.kind, name, {**other.value.metadata.labels, **within}, _nets(other.value.spec.nets)
        )


def _nets(texts: Iterable[str]) -> tuple[Net, ...]:
    return tuple(parse_net(text, bare=True, host_bits=True) for text in texts)


def _list(found: Sequence[Somebody]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(map(str, found[:_NAMED])) + more
