"""Patches of three kinds: JSON patch (RFC 6902), merge patch (RFC 7386), Kubernetes' strategic merge.

Owns what each does to data. Must never know a file, and never decide whether the result
is a valid resource.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from nfq_guard.store.values import same, without_nulls

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.store.values import Data


class PatchError(ValueError):
    """A patch that is none, or that does not fit. Its text is for people."""


def merge_patch(target: Data, patch: Data) -> Data:
    """Return the target with a merge patch: mappings merge, null removes, all else replaces (RFC 7386)."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


_DIRECTIVE, _RETAIN, _ORDER, _FROM_LIST = (
    "$patch",
    "$retainKeys",
    "$setElementOrder/",
    "$deleteFromPrimitiveList/",
)
_MERGED_LISTS: dict[tuple[str, ...], str] = {
    ("metadata", "finalizers"): "",
    ("metadata", "ownerReferences"): "uid",
}
"""The only lists of a Calico resource that Kubernetes merges, by their key ("": plain values)."""


def strategic_patch(target: Data, patch: Data, way: tuple[str, ...] = ()) -> Data:
    """Return the target with a strategic merge patch.

    As a merge patch, with Kubernetes' directives: `$patch: replace|delete|merge`,
    `$retainKeys`, `$deleteFromPrimitiveList`. Calico marks no list of a spec as one that
    merges, so lists are replaced, except two in the metadata.
    """
    if not isinstance(patch, dict):
        return deepcopy(patch)
    directive = patch.get(_DIRECTIVE, "merge")
    if directive == "delete":
        return None
    if directive not in {"merge", "replace"}:
        raise PatchError(f"found {_DIRECTIVE}: {directive}, expected delete, merge or replace")
    plain = {key: value for key, value in patch.items() if not key.startswith("$")}
    if directive == "replace":
        return without_nulls(plain)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in plain.items():
        merged = _merged(result.get(key), value, (*way, key))
        if merged is None:
            result.pop(key, None)
        else:
            result[key] = merged
    return _directives(result, patch)


def _merged(old: Data, value: Data, way: tuple[str, ...]) -> Data:
    if value is None:
        return None
    if isinstance(value, list):
        key = _MERGED_LISTS.get(way)
        return _merged_list(old or [], value, key) if key is not None else without_nulls(value)
    return strategic_patch(old, value, way)


def _merged_list(old: list[Data], items: list[Data], key: str) -> list[Data]:
    def name(item: Data) -> Data:
        return item.get(key) if key and isinstance(item, dict) else item

    result = list(old)
    for item in items:
        place = next((index for index, each in enumerate(result) if name(each) == name(item)), None)
        if isinstance(item, dict) and item.get(_DIRECTIVE) == "delete":
            result = [each for each in result if name(each) != name(item)]
        elif place is None:
            result.append(without_nulls(item))
        else:
            result[place] = strategic_patch(result[place], item)
    return result


def _directives(result: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    retained = patch.get(_RETAIN)
    if isinstance(retained, list):
        result = {key: value for key, value in result.items() if key in retained}
    for key, value in patch.items():
        if not key.startswith("$") or key in {_DIRECTIVE, _RETAIN} or key.startswith(_ORDER):
            continue
        field = key.removeprefix(_FROM_LIST)
        if field == key or not isinstance(value, list):
            raise PatchError(f"found the directive {key}, which has no meaning here")
        if isinstance(result.get(field), list):
            result[field] = [item for item in result[field] if item not in value]
    return result


def json_patch(target: Data, patch: Data) -> Data:
    """Return the target with all operations of a JSON patch, or raise PatchError for the first that fails."""
    if not isinstance(patch, list):
        raise PatchError("a JSON patch is a list of operations")
    result = deepcopy(target)
    for number, operation in enumerate(patch):
        try:
            result = _operate(result, operation)
        except PatchError as error:
            raise PatchError(f"operation {number}: {error}") from None
    return result


def _operate(target: Data, operation: Data) -> Data:
    if not isinstance(operation, dict):
        raise PatchError("expected an object with op and path")
    name = operation.get("op")
    act = _OPERATIONS.get(name) if isinstance(name, str) else None
    if act is None:
        raise PatchError(f"found op {name!r}, expected one of {', '.join(_OPERATIONS)}")
    if name in {"add", "replace", "test"} and "value" not in operation:
        raise PatchError(f"{name} needs a value")
    return act(target, operation)


def _add(target: Data, operation: dict[str, Any]) -> Data:
    return _added(target, _pointer(operation, "path"), deepcopy(operation["value"]))


def _added(target: Data, way: list[str], value: Data) -> Data:
    if not way:
        return value
    holder = _at(target, way[:-1])
    if isinstance(holder, dict):
        holder[way[-1]] = value
    elif isinstance(holder, list):
        holder.insert(len(holder) if way[-1] == "-" else _index(way[-1], len(holder)), value)
    else:
        raise PatchError(f"/{'/'.join(way[:-1])} is neither a list nor a mapping")
    return target


def _remove(target: Data, operation: dict[str, Any]) -> Data:
    way = _pointer(operation, "path")
    if not way:
        raise PatchError("a resource cannot be removed by a patch")
    _at(target, way)
    holder, last = _at(target, way[:-1]), way[-1]
    del holder[last if isinstance(holder, dict) else _index(last, len(holder) - 1)]
    return target


def _replace(target: Data, operation: dict[str, Any]) -> Data:
    way = _pointer(operation, "path")
    _at(target, way)
    if not way:
        return deepcopy(operation["value"])
    holder, last = _at(target, way[:-1]), way[-1]
    holder[last if isinstance(holder, dict) else _index(last, len(holder) - 1)] = deepcopy(operation["value"])
    return target


def _copy(target: Data, operation: dict[str, Any]) -> Data:
    value = deepcopy(_at(target, _pointer(operation, "from")))
    return _added(target, _pointer(operation, "path"), value)


def _move(target: Data, operation: dict[str, Any]) -> Data:
    source, goal = _pointer(operation, "from"), _pointer(operation, "path")
    if goal[: len(source)] == source and goal != source:
        raise PatchError("a value cannot be moved into itself")
    value = deepcopy(_at(target, source))
    return _added(_remove(target, {"path": operation["from"]}), goal, value)


def _test(target: Data, operation: dict[str, Any]) -> Data:
    if not same(_at(target, _pointer(operation, "path")), operation["value"]):
        raise PatchError(f"test failed at {operation['path']}")
    return target


_OPERATIONS: dict[str, Callable[[Data, dict[str, Any]], Data]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _pointer(operation: dict[str, Any], field: str) -> list[str]:
    """Return the steps of a JSON pointer (RFC 6901)."""
    text = operation.get(field)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"{field} must be a JSON pointer such as /spec/order, found {text!r}")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _at(target: Data, way: list[str]) -> Data:
    for step in way:
        if isinstance(target, dict) and step in target:
            target = target[step]
        elif isinstance(target, list):
            target = target[_index(step, len(target) - 1)]
        else:
            raise PatchError(f"there is nothing at /{'/'.join(way)}")
    return target


def _index(step: str, last: int) -> int:
    if not (step.isascii() and step.isdigit()) or (step != "0" and step.startswith("0")) or int(step) > last:
        raise PatchError(f"there is no item {step!r} in the list")
    return int(step)


PATCHES: dict[str, Callable[[Data, Data], Data]] = {
    "strategic": strategic_patch,
    "json": json_patch,
    "merge": merge_patch,
}
"""Name on the command line to what it does."""
