"""Many selectors asked about much: who may match at all, without asking each about everything.

Owns two ways to look up by what selectors demand of single labels. Both give what asking
one by one would give, in the same order; a demand only narrows down who is asked.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nfq_guard.selector.selector import Selector

Item = TypeVar("Item")


class Demand(NamedTuple):
    """One label that everything selected has, with one of these values; None: with any."""

    label: str
    values: frozenset[str] | None


def demand_of(selector: Selector) -> Demand | None:
    """Return the narrowest demand a selector makes of one label, None where it makes none.

    Which values are rare is not known here: fewer are taken to be narrower.
    """
    demands = [
        Demand(label, restriction.values)
        for label, restriction in selector.restrictions().items()
        if restriction.present
    ]
    return min(demands, key=_width, default=None)


def _width(demand: Demand) -> tuple[bool, int, str]:
    return demand.values is None, len(demand.values or ()), demand.label


class LabelIndex(Generic[Item]):
    """Things with labels, to be found by selectors."""

    def __init__(self, items: Iterable[tuple[Mapping[str, str], Item]]) -> None:
        """Take in what can be selected."""
        self._items = tuple(items)
        self._by_label: dict[str, dict[str, list[int]]] = {}
        """Label -> value -> places in `items`, for labels that were asked for."""

    def select(self, selector: Selector) -> Iterator[Item]:
        """Yield what a selector selects, in the order given."""
        matches = selector.matches
        demand = demand_of(selector)
        if demand is None:
            yield from (item for labels, item in self._items if matches(labels))
            return
        for place in self._places(demand):
            labels, item = self._items[place]
            if matches(labels):
                yield item

    def _places(self, demand: Demand) -> Sequence[int]:
        by_value = self._by_label.get(demand.label)
        if by_value is None:
            by_value = self._by_label[demand.label] = self._values_of(demand.label)
        wanted = by_value if demand.values is None else demand.values
        found = [by_value[value] for value in wanted if value in by_value]
        return found[0] if len(found) == 1 else sorted(place for places in found for place in places)

    def _values_of(self, label: str) -> dict[str, list[int]]:
        by_value: dict[str, list[int]] = {}
        for place, (labels, _) in enumerate(self._items):
            value = labels.get(label)
            if value is not None:
                by_value.setdefault(value, []).append(place)
        return by_value


Key = str | tuple[str, str] | None
"""What something must have to be selected: a label, a label with this value, nothing."""


def keys_of(selector: Selector) -> tuple[Key, ...]:
    """Return the keys of which everything that a selector selects has one."""
    demand = demand_of(selector)
    if demand is None:
        return (None,)
    return (demand.label,) if demand.values is None else tuple((demand.label, one) for one in demand.values)


class SelectorIndex(Generic[Item]):
    """Things with a selector each, to be found by the labels of what they select."""

    def __init__(self, items: Iterable[tuple[Selector, tuple[Key, ...], Item]]) -> None:
        """Take in who selects, each with its selector and the `keys_of` that."""
        self._items = tuple(items)
        self._by_key: dict[Key, list[int]] = defaultdict(list)
        for place, (_, keys, _) in enumerate(self._items):
            for key in keys:
                self._by_key[key].append(place)

    def selecting(self, labels: Mapping[str, str]) -> Iterator[Item]:
        """Yield who selects something with these labels, in the order given."""
        keys: list[Key] = [None, *labels, *labels.items()]
        for place in sorted(place for key in keys for place in self._by_key.get(key, ())):
            selector, _, item = self._items[place]
            if selector.matches(labels):
                yield item
