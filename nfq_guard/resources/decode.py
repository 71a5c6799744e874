"""A mapping in a file to a model, or to everything that is wrong with it.

Owns the way from pydantic's errors to Problems with positions in our own words. Must
never let a sentence of pydantic through.

A model that has a bad field cannot check its fields against each other. So that one
load tells about everything, bad values are taken out, what is required is filled in, and
the rest is decoded again; faults that only this may have caused are left out.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from nfq_guard.model.problem import Position, Problem, Severity
from nfq_guard.resources.fields import LONGEST_SHOWN, show
from nfq_guard.resources.paths import format_path, locate, nodes
from nfq_guard.resources.source import MAX_PROBLEMS
from nfq_guard.resources.tree import MappingNode, Node, ScalarNode, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from pydantic_core import ErrorDetails

    from nfq_guard.resources.base import Path, Resource
    from nfq_guard.resources.scalars import PlainScalar

MAX_ROUNDS = 8
"""Fields, then the levels of parts that check theirs: HTTP path, match, rule, spec, resource; and spare ones."""

_PLACEHOLDERS: dict[str | int, object] = {
    "action": "Allow",
    "metadata": {"name": "x"},
    "name": "x",
    "node": "x",
    "port": 1,
    "protocol": "TCP",
}
"""Values for required fields that are missing or bad, none of which any check refuses."""

_PARTS = ("spec", "metadata")
"""Of a resource: a wrong indentation puts a field beside them, or into the wrong one."""

_KEY = "[key]"
_AT_KEY = frozenset({"unknown-field", "bad-label", "bad-annotation"})
_EXPECTED_TYPES = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
}


class Subject(NamedTuple):
    """What problems are about."""

    file: str
    kind: str
    name: str
    node: Node

    def problem(
        self, path: Path, code: str, message: str, *, key: bool = False, severity: Severity = Severity.ERROR
    ) -> Problem:
        """Return a problem at a field of the subject."""
        line, column = locate(self.node, path, key=key or code in _AT_KEY)
        position = Position(self.file, line, column)
        return Problem(position, code, message, format_path(path), self.kind, self.name, severity)


class _Fault(NamedTuple):
    """One error of one attempt. Paths are those of the file, `current` that of the attempt's data."""

    path: Path
    current: Path
    code: str
    message: str
    needs: tuple[Path, ...]
    """Of a check between fields: where in the file stand the fields whose absence may be what is wrong."""
    missing: bool
    key: bool


class _Items(list[Any]):
    """A list from which bad items were taken; remembers where the others stood."""

    def __init__(self, items: Iterable[Any], origin: list[int]) -> None:
        super().__init__(items)
        self.origin = origin


def decode(model: type[Resource], subject: Subject) -> tuple[Resource | None, list[Problem]]:
    """Return the decoded resource with warnings, or None with errors."""
    data = to_python(subject.node)
    surprises: list[PlainScalar] = []
    value: Resource | None = None
    faults: dict[tuple[Path, str], _Fault] = {}
    taken: set[Path] = set()
    touched: set[Path] = set()
    for number in range(MAX_ROUNDS):
        try:
            result = model.model_validate(data, context=surprises if number == 0 else None)
        except ValidationError as error:
            details = error.errors(include_url=False)[:MAX_PROBLEMS]
            found = [_fault(model, detail, data) for detail in details]
        else:
            value = result if number == 0 else None
            break
        for fault in found:
            if not _caused_by(fault, taken, touched):
                faults.setdefault((fault.path, fault.message), fault)
        removed = _take_out(data, found)
        if not removed or len(found) == MAX_PROBLEMS:
            break
        taken.update(removed)
        touched.update(path[:end] for path in removed for end in range(1, len(path) + 1))
    problems = [subject.problem(f.path, f.code, f.message, key=f.key) for f in faults.values()]
    return value, problems + list(_unquoted(subject, surprises))


def to_python(node: Node) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return a node as lists, dictionaries and scalars."""
    if isinstance(node, MappingNode):
        return {key: to_python(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, SequenceNode):
        return [to_python(item) for item in node.items]
    return node.value if isinstance(node, ScalarNode) else None


def _unquoted(subject: Subject, surprises: list[PlainScalar]) -> Iterator[Problem]:
    if not surprises:
        return
    paths = {id(node.value): path for path, node in nodes(subject.node) if isinstance(node, ScalarNode)}
    for scalar in {id(scalar): scalar for scalar in surprises}.values():
        message = f'without quotes, {scalar.raw} is read as "{scalar.text}"; put quotes around it'
        yield subject.problem(paths[id(scalar)], "unquoted-value", message, severity=Severity.WARNING)


def _fault(model: type[BaseModel], detail: ErrorDetails, data: Any) -> _Fault:  # noqa: ANN401 - JSON
    current = tuple(detail["loc"])
    key = bool(current) and current[-1] == _KEY
    current = current[:-1] if key else current
    kind = detail["type"]
    context = detail.get("ctx", {})
    path = _original(data, current)
    if kind == "missing":
        return _Fault(
            path, current, "missing-field", f"{current[-1]} is required", (), missing=True, key=True
        )
    if kind == "extra_forbidden":
        message = _unknown(model, current)
        return _Fault(path, current, "unknown-field", message, (), missing=False, key=True)
    finding = context.get("finding")
    if finding is not None:
        owner = path[: len(path) - len(finding.path)]
        needs = tuple(owner + need for need in finding.needs)
        return _Fault(path, current, kind, finding.message, needs, missing=False, key=key)
    if "message" in context:
        return _Fault(path, current, kind, str(context["message"]), (), missing=False, key=key)
    expected = _EXPECTED_TYPES.get(kind)
    found = f"found {show(detail['input'])}"
    message = f"{found}, which is not allowed here" if expected is None else f"{found}, expected {expected}"
    return _Fault(path, current, "wrong-type", message, (), missing=False, key=key)


def _original(data: Any, current: Path) -> Path:  # noqa: ANN401 - JSON
    """Return where in the file a path of the current data is."""
    path: list[str | int] = []
    for step in current:
        if isinstance(data, _Items) and isinstance(step, int) and step < len(data):
            path.append(data.origin[step])
        else:
            path.append(step)
        data = _child(data, step)
    return tuple(path)


def _child(data: Any, step: str | int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(data, dict):
        return data.get(_key_of(data, step))
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return None


def _key_of(data: dict[str, Any], step: str | int) -> str | int:
    """Return the key that a field was read from: itself, or one in another letter case."""
    if step in data or not isinstance(step, str):
        return step
    return next((key for key in data if key.lower() == step.lower()), step)


def _caused_by(fault: _Fault, taken: AbstractSet[Path], touched: AbstractSet[Path]) -> bool:
    """Return whether only the taking out of what was bad made a fault appear."""
    if fault.missing:
        return fault.path in taken
    return any(need in touched for need in fault.needs)


def _take_out(data: Any, faults: Iterable[_Fault]) -> list[Path]:  # noqa: ANN401 - JSON
    """Take bad values out of the data, or put good ones in; return where in the file they were."""
    holders: dict[Path, dict[str | int, bool]] = {}
    for fault in faults:
        target = _target(fault)
        if target is not None:
            holders.setdefault(target[:-1], {})[target[-1]] = fault.code == "unknown-field"
    originals = [_original(data, (*way, last)) for way, steps in holders.items() for last in steps]
    # The deepest first, so that the way to the others stays as it is.
    for way in sorted(holders, key=len, reverse=True):
        _change(data, way, holders[way])
    return originals


def _change(data: Any, way: Path, steps: Mapping[str | int, bool]) -> None:  # noqa: ANN401 - JSON
    """Take steps out of the list or mapping at a path; `True`: not even a good value may stay."""
    outer, holder = None, data
    for step in way:
        outer, holder = holder, _child(holder, step)
    if isinstance(holder, dict):
        for step, for_good in steps.items():
            key = _key_of(holder, step)
            holder.pop(key, None)
            if step in _PLACEHOLDERS and not for_good:
                holder[key] = _PLACEHOLDERS[step]
    elif isinstance(holder, list) and outer is not None:
        origin = holder.origin if isinstance(holder, _Items) else range(len(holder))
        kept = [index for index in range(len(holder)) if index not in steps]
        key = _key_of(outer, way[-1]) if isinstance(outer, dict) else way[-1]
        outer[key] = _Items((holder[index] for index in kept), [origin[index] for index in kept])


def _target(fault: _Fault) -> Path | None:
    """Return what to take out or fill in; for what is missing and cannot be, the list item around it."""
    if not fault.missing or fault.current[-1] in _PLACEHOLDERS:
        return fault.current or None
    inside = fault.current[:-1]
    return next((inside[:end] for end in range(len(inside), 0, -1) if isinstance(inside[end - 1], int)), None)


def _unknown(model: type[BaseModel], path: Path) -> str:
    """Return what to say about a field that is not known, with the nearest that is."""
    *way, last = path
    known = sorted(_fields(model, way))
    name = str(last)[:LONGEST_SHOWN]
    home = _home(model, way, name)
    if home is not None:
        return f"unknown field; known here: {_first(known)}; {name} belongs under {home}"
    folded = {field.lower(): field for field in known}
    near = [folded[name.lower()]] if name.lower() in folded else get_close_matches(name, known, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"known here: {_first(known)}"
    return f"unknown field; {hint}"


def _first(known: list[str]) -> str:
    return ", ".join(known[:12])


def _home(model: type[BaseModel], way: list[str | int], name: str) -> str | None:
    """Return which part of a resource knows a field that stands beside it, or in the other part."""
    if way and way not in [[part] for part in _PARTS]:
        return None
    others = (part for part in _PARTS if [part] != way)
    return next((part for part in others if name.lower() in map(str.lower, _fields(model, [part]))), None)


def _fields(model: type[BaseModel], way: Iterable[str | int]) -> Iterator[str]:
    part: type[BaseModel] | None = model
    for step in way:
        if isinstance(step, int) or part is None:
            continue
        annotation = next((f.annotation for f in part.model_fields.values() if f.alias == step), None)
        part = _model_in(annotation)
    for field in part.model_fields.values() if part is not None else ():
        yield field.alias or ""


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    """Return the model in an annotation such as `tuple[Rule, ...]` or `ICMP | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
