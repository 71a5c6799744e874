"""Resources as plain data: dictionaries, lists, text, numbers and booleans, as JSON has them.

Owns the way from a file's tree to that data and when two data are the same. Must never
know what a field means, but for those that are mappings of texts.
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

from nfq_guard.resources.scalars import PlainScalar, float_text
from nfq_guard.resources.tree import MappingNode, Node, ScalarNode, SequenceNode

Data: TypeAlias = Any
"""JSON of any shape."""

Steps = tuple[str | int, ...]
"""Keys and indices that lead from a document to a part of it."""


_TEXTS = frozenset({"annotations", "bpfLogFilters", "labels", "labelsToApply"})
"""Mappings of texts: to Calico's decoder, null there is the empty text, and its key is there."""


def data_of(node: Node, *, nulls: bool = False) -> Data:
    """Return a node's data; fields whose value is null are left out, as Calico's decoder sees them.

    With `nulls` they stay: in a merge patch a null says that something goes.
    """
    if isinstance(node, MappingNode):
        pairs = ((key, _value_of(key, entry.value, nulls=nulls)) for key, entry in node.entries.items())
        return {key: value for key, value in pairs if nulls or value is not None}
    if isinstance(node, SequenceNode):
        return [data_of(item, nulls=nulls) for item in node.items]
    value = node.value if isinstance(node, ScalarNode) else None
    return _finite(value) if isinstance(value, PlainScalar) else value


def _value_of(key: str, node: Node, *, nulls: bool) -> Data:
    if nulls or key not in _TEXTS or not isinstance(node, MappingNode):
        return data_of(node, nulls=nulls)
    values = data_of(node, nulls=True)
    return {name: "" if value is None else value for name, value in values.items()}


def _finite(scalar: PlainScalar) -> bool | float | str:
    # JSON has no infinity; only as text can it be meant, and then Calico's decoder writes it so.
    if isinstance(scalar.value, float) and not math.isfinite(scalar.value):
        return float_text(scalar.value)
    return scalar.value


def same(one: Data, other: Data) -> bool:
    """Return whether two data mean the same: `1` is `1.0`, but neither is `true` or "1"."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if _is_number(one) and _is_number(other):
        return bool(one == other)
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Data) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def fingerprint(value: Data) -> str:
    """Return a text that is equal for equal data, for comparing many."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def without_nulls(value: Data) -> Data:
    """Return data without the keys whose value is null."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value
