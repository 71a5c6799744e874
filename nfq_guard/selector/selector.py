"""Selectors as values, and how they are combined.

Owns identity: two selectors are the same if their canonical texts are.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha224
from typing import TYPE_CHECKING

from nfq_guard.selector.evaluate import Predicate, compile_node
from nfq_guard.selector.nodes import And, Node, negation, prefix_labels, render
from nfq_guard.selector.parser import parse_node
from nfq_guard.selector.restrictions import restrictions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nfq_guard.selector.restrictions import Restriction


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Selector:
    """A parsed selector. Made by `parse`, `conjoin`, `negate` or `of`, not by hand."""

    canonical: str
    """Text that parses back to an equal selector, the same for every way of writing it."""
    node: Node = field(compare=False, repr=False)
    _predicate: Predicate = field(compare=False, repr=False)

    @classmethod
    def of(cls, node: Node) -> Selector:
        """Return the selector of a syntax tree."""
        return cls(render(node), node, compile_node(node))

    def __str__(self) -> str:
        """Return the canonical text."""
        return self.canonical

    def __reduce__(self) -> tuple[Callable[[str], Selector], tuple[str]]:
        """Pickle the canonical text: closures cannot be pickled, deep trees overflow the pickler."""
        return parse, (self.canonical,)

    @property
    def uid(self) -> str:
        """Calico's identifier: `s:` and the unpadded base64url SHA-224 of `s:` + canonical."""
        digest = sha224(f"s:{self.canonical}".encode()).digest()
        return "s:" + urlsafe_b64encode(digest).decode().rstrip("=")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether something with these labels is selected."""
        return self._predicate(labels)

    def restrictions(self) -> Mapping[str, Restriction]:
        """Return by label what every match must fulfil: necessary, not sufficient."""
        return restrictions_of(self.node)

    def with_prefix(self, prefix: str, member: str = "") -> Selector:
        """Return the selector over labels named prefix + label (Calico: `pcns.` for namespaces).

        `member` is the label that everything in a namespace has: with it, `all()` means
        "in some namespace" and `global()` "in none".
        """
        return Selector.of(prefix_labels(self.node, prefix, member))


def parse(text: str) -> Selector:
    """Return the selector a text means; no text but blanks means `all()`.

    Raises SelectorError, and nothing else, for text outside the language. Does not limit
    the text's length: what a resource may hold is its validator's business.
    """
    return Selector.of(parse_node(text))


def conjoin(one: Selector, other: Selector) -> Selector:
    """Return the selector of what both select."""
    return Selector.of(And((one.node, other.node)))


def negate(one: Selector) -> Selector:
    """Return the selector of what the given one does not select."""
    return Selector.of(negation(one.node))
