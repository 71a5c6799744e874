"""Parsed selectors, kept while they are used.

Owns the memory of texts seen before. One thread at a time: the compiler's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from cachetools import LRUCache

from nfq_guard.selector.selector import conjoin, negate, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.selector.selector import Selector

DEFAULT_SIZE = 16_384
"""Texts remembered: above what thousands of policies hold. A selector takes about two kilobytes."""


class SelectorCache:
    """Least recently used texts are forgotten first; texts that mean the same share a Selector."""

    def __init__(self, maxsize: int = DEFAULT_SIZE) -> None:
        """Remember at most `maxsize` texts; ValueError below one."""
        if maxsize < 1:
            raise ValueError(f"maxsize must be at least 1, got {maxsize}")
        self._by_text: LRUCache[str, Selector] = LRUCache(maxsize)
        self._combined: LRUCache[tuple[str, ...], Selector] = LRUCache(maxsize)
        """By what was done, and the canonical texts it was done to."""
        self._by_canonical: WeakValueDictionary[str, Selector] = WeakValueDictionary()
        self._hits = 0
        self._misses = 0

    @property
    def hits(self) -> int:
        """Times that a text was known."""
        return self._hits

    @property
    def misses(self) -> int:
        """Times that a text had to be parsed, in vain or not."""
        return self._misses

    def __len__(self) -> int:
        """Return how many texts are remembered."""
        return len(self._by_text)

    def get(self, text: str) -> Selector:
        """Return the selector a text means; SelectorError as from `parse`, and nothing remembered."""
        found = self._by_text.get(text)
        if found is not None:
            self._hits += 1
            return found
        self._misses += 1
        shared = self._by_text[text] = self._shared(parse(text))
        return shared

    def conjoin(self, one: Selector, other: Selector) -> Selector:
        """Return the selector of what both select."""
        return self._combine(("&&", one.canonical, other.canonical), lambda: conjoin(one, other))

    def negate(self, one: Selector) -> Selector:
        """Return the selector of what the given one does not select."""
        return self._combine(("!", one.canonical), lambda: negate(one))

    def with_prefix(self, one: Selector, prefix: str, member: str) -> Selector:
        """Return the selector over labels named prefix + label, as `Selector.with_prefix`."""
        key = ("prefix", one.canonical, prefix, member)
        return self._combine(key, lambda: one.with_prefix(prefix, member))

    def _combine(self, key: tuple[str, ...], make: Callable[[], Selector]) -> Selector:
        found = self._combined.get(key)
        if found is None:
            found = self._combined[key] = self._shared(make())
        return found

    def _shared(self, made: Selector) -> Selector:
        return self._by_canonical.setdefault(made.canonical, made)
