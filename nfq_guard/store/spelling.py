"""Keys of a resource as Calico spells them.

Owns the respelling of keys that differ from Calico's in letter case only, which its decoder
takes for the same. Leaves keys it does not know: loading tells about those.
"""

from __future__ import annotations

import functools
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, get_args

from nfq_guard.resources.base import Strict
from nfq_guard.resources.kinds import KINDS

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from nfq_guard.store.values import Data


def spelled(kind: str, data: dict[str, Data]) -> dict[str, Data]:
    """Return a resource's data with every key spelled as Calico does."""
    whole: dict[str, Data] = _respelled(KINDS[kind].model, data)
    return whole


def spelled_like(kind: str, data: dict[str, Data], old: dict[str, Data]) -> dict[str, Data]:
    """Return a resource's data with its keys spelled as in an old version, where that has them."""
    whole: dict[str, Data] = _like(KINDS[kind].model, data, old)
    return whole


def _respelled(model: type[Strict], data: Data) -> Data:
    if isinstance(data, list):
        return [_respelled(model, each) for each in data]
    if not isinstance(data, dict):
        return data
    inner = _inner(model)
    exact: dict[str, Data] = {}
    for key, name in _names(model, data).items():
        exact[name] = _respelled(inner[name], data[key]) if name in inner else data[key]
    return exact


def _like(model: type[Strict], data: Data, old: Data) -> Data:
    if isinstance(data, list) and isinstance(old, list):
        both = zip_longest(data, old[: len(data)])
        return [_like(model, each, before) for each, before in both]
    if not isinstance(data, dict) or not isinstance(old, dict):
        return data
    inner = _inner(model)
    before = {name: key for key, name in _names(model, old).items()}
    like: dict[str, Data] = {}
    key: str
    for key, value in data.items():
        was = before.get(key, key)
        like[was] = _like(inner[key], value, old.get(was)) if key in inner else value
    return like


def _names(model: type[Strict], data: dict[str, Data]) -> dict[str, str]:
    """Return the keys of a mapping with Calico's spelling; the first has it if several differ in letter case."""
    folded = {name.lower(): name for name in _fields(model)}
    names: dict[str, str] = {}
    taken = set(data)
    for key in data:
        name = folded.get(key.lower(), key)
        names[key] = key if name in taken else name
        taken.add(names[key])
    return names


@functools.cache
def _inner(model: type[Strict]) -> dict[str, type[Strict]]:
    """Return the models of those keys that hold mappings with fields."""
    models = {name: _model_in(field.annotation) for name, field in _fields(model).items()}
    return {name: found for name, found in models.items() if found is not None}


@functools.cache
def _fields(model: type[Strict]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[Strict] | None:  # noqa: ANN401  # an annotation is of no one type
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each)) is not None), None)
