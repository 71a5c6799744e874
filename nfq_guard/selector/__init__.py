"""Calico's selector language: which endpoints and network sets an expression selects.

Owns parsing, evaluation, canonical text and label restrictions. Must never know where
in a resource a selector stands: what empty or `all()` means there is the compiler's.
"""

from nfq_guard.selector.cache import SelectorCache
from nfq_guard.selector.errors import SelectorError
from nfq_guard.selector.restrictions import Restriction
from nfq_guard.selector.selector import Selector, conjoin, negate, parse

__all__ = ["Restriction", "Selector", "SelectorCache", "SelectorError", "conjoin", "negate", "parse"]
