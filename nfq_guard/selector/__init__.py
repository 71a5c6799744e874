"""Calico's selector language: which endpoints and network sets an expression selects.

Owns parsing, evaluation, canonical text and label restrictions. Must never know where
in a resource a selector stands: what empty or `all()` means there is the compiler's.
"""

from nfq_guard.selector.cache import SelectorCache
from nfq_guard.selector.errors import SelectorError
from nfq_guard.selector.index import LabelIndex, SelectorIndex, keys_of
from nfq_guard.selector.restrictions import Restriction
from nfq_guard.selector.selector import Selector, conjoin, negate, parse

__all__ = [
    "LabelIndex",
    "Restriction",
    "Selector",
    "SelectorCache",
    "SelectorError",
    "SelectorIndex",
    "conjoin",
    "keys_of",
    "negate",
    "parse",
]
