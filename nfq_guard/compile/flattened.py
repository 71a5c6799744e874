"""What rules come to, remembered while nothing that they ask for has changed.

Owns when that is so: the very same rules, in the same namespace, and every answer that
the address book gave for them is the same object still. Must never take one rule for
another because they look alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.compile.rules import flatten

if TYPE_CHECKING:
    from nfq_guard.compile.addresses import AddressBook, NamedPort
    from nfq_guard.compile.rules import RuleLines
    from nfq_guard.model.addresses import AddressSet
    from nfq_guard.resources import EntityRule, Rule
    from nfq_guard.resources.labels import Wanted
    from nfq_guard.selector import Selector


class Flattened(NamedTuple):
    """The lines of each of some rules."""

    rules: tuple[RuleLines, ...]
    length: int
    """How many lines they are together."""


class _Asking:
    """An address book that notes what it was asked, and what it said."""

    def __init__(self, book: AddressBook) -> None:
        self._book = book
        self.selected: dict[str, tuple[Selector, AddressSet]] = {}
        self.named_ports: dict[
            tuple[str, str | None], tuple[str, Selector | None, tuple[NamedPort, ...]]
        ] = {}

    def wanted(self, entity: EntityRule, namespace: str | None = None) -> Wanted:
        """Return what one side of a rule selects by labels: that depends on nothing else."""
        return self._book.wanted(entity, namespace)

    def select(self, selector: Selector) -> AddressSet:
        """Return the addresses of everything a selector selects."""
        found = self._book.select(selector)
        self.selected[selector.canonical] = (selector, found)
        return found

    def named(self, name: str, selector: Selector | None) -> tuple[NamedPort, ...]:
        """Return where a named port is."""
        found = self._book.named(name, selector)
        self.named_ports[name, None if selector is None else selector.canonical] = (name, selector, found)
        return found


class _Kept(NamedTuple):
    """What some rules came to, and why."""

    rules: tuple[Rule, ...]
    """Held, so that no others can get their identity."""
    namespace: str | None
    selected: tuple[tuple[Selector, AddressSet], ...]
    named: tuple[tuple[str, Selector | None, tuple[NamedPort, ...]], ...]
    result: Flattened

    def is_of(self, rules: tuple[Rule, ...], namespace: str | None) -> bool:
        """Return whether these very rules were asked about."""
        return self.rules is rules and self.namespace == namespace

    def holds(self, book: AddressBook) -> bool:
        """Return whether a book answers as that did by which the rules were flattened."""
        return all(book.select(selector) is found for selector, found in self.selected) and all(
            book.named(name, selector) is found for name, selector, found in self.named
        )


class FlatMemory:
    """What one compilation leaves for the next. Holds what the last two asked for."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.now: dict[int, _Kept] = {}
        self.before: dict[int, _Kept] = {}

    def begin_round(self) -> None:
        """Forget what nobody asked for in the round that ends here; believe nothing of it unseen."""
        self.before, self.now = self.now, {}


class Flattener:
    """Flattens rules by one address book."""

    def __init__(self, book: AddressBook, memory: FlatMemory) -> None:
        """Begin a round of the memory: another book may say something else."""
        memory.begin_round()
        self._book = book
        self._memory = memory

    def lines(self, rules: tuple[Rule, ...], namespace: str | None) -> Flattened:
        """Return what rules come to: the same object as before if nothing has changed."""
        key = id(rules)
        kept = self._memory.now.get(key)
        if kept is not None and kept.is_of(rules, namespace):
            return kept.result
        kept = self._memory.before.get(key)
        if kept is None or not kept.is_of(rules, namespace) or not kept.holds(self._book):
            kept = self._flatten(rules, namespace)
        self._memory.now[key] = kept
        return kept.result

    def _flatten(self, rules: tuple[Rule, ...], namespace: str | None) -> _Kept:
        asking = _Asking(self._book)
        lines = tuple(flatten(rule, asking, namespace) for rule in rules)
        length = sum(len(each.skips) + len(each.matches) for each in lines)
        selected, named = tuple(asking.selected.values()), tuple(asking.named_ports.values())
        return _Kept(rules, namespace, selected, named, Flattened(lines, length))
