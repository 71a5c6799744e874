"""What one compilation leaves for the next, so that it works out again only what changed.

Owns nothing but results of pure functions of objects that cannot change: a compilation
gives the same with a memory as without. Whatever is taken from here was made of the very
objects that it would be made of now; nothing is taken because it was in force.
"""

from __future__ import annotations

from nfq_guard.compile.addresses import AddressMemory
from nfq_guard.compile.blocks import ChainMemory
from nfq_guard.compile.flattened import FlatMemory
from nfq_guard.compile.policies import PolicyMemory
from nfq_guard.selector import SelectorCache


class CompileMemory:
    """Handed from one compilation to the next by whoever compiles again and again. One thread at a time."""

    def __init__(self, selectors: SelectorCache | None = None) -> None:
        """Know nothing yet but selectors, which others may have parsed."""
        self.selectors = SelectorCache() if selectors is None else selectors
        self.addresses = AddressMemory()
        self.policies = PolicyMemory()
        self.rules = FlatMemory()
        self.chains = ChainMemory()
