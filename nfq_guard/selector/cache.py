"""Parsed selectors, kept while they are used.

Owns the memory of texts seen before. One thread at a time: the compiler's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from cachetools import LRUCache

from nfq_guard.selector.selector import parse

if TYPE_CHECKING:
    from nfq_guard.selector.selector import Selector

DEFAULT_SIZE = 4096
"""Texts remembered: far above what the policies of one host hold, a few megabytes."""


class SelectorCache:
    """Least recently used texts are forgotten first; texts that mean the same share a Selector."""

    def __init__(self, maxsize: int = DEFAULT_SIZE) -> None:
        """Remember at most `maxsize` texts; ValueError below one."""
        if maxsize < 1:
            raise ValueError(f"maxsize must be at least 1, got {maxsize}")
        self._by_text: LRUCache[str, Selector] = LRUCache(maxsize)
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
        parsed = parse(text)
        shared = self._by_canonical.setdefault(parsed.canonical, parsed)
        self._by_text[text] = shared
        return shared
