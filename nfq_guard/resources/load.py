"""Files to an Inventory, with every problem found on the way.

Owns the order of the steps and what holds between documents: lists of resources,
kinds and versions, names, duplicates, built-in names. Must never stop at the first
problem, and never let an exception out for anything a file may hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.problem import ConfigError, Position, Problem, Severity
from nfq_guard.resources import names
from nfq_guard.resources.base import API_VERSION
from nfq_guard.resources.crosscheck import Memory, crosscheck
from nfq_guard.resources.decode import Subject, decode
from nfq_guard.resources.fields import LONGEST_SHOWN, show
from nfq_guard.resources.groups import DEFAULT_ALLOW_PROFILE
from nfq_guard.resources.inventory import Inventory
from nfq_guard.resources.kinds import KINDS, Kind, unsupported
from nfq_guard.resources.paths import format_path, nodes
from nfq_guard.resources.remembered import Content, Found, Identity, Remembered
from nfq_guard.resources.scalars import PlainScalar
from nfq_guard.resources.source import MAX_PROBLEMS, Source
from nfq_guard.resources.tree import KeyFault, MappingNode, Node, ScalarNode, SequenceNode, read_documents
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.resources.base import Path, Resource
    from nfq_guard.resources.inventory import Located
    from nfq_guard.resources.remembered import Placed

_LIST = "List"
DEFAULT_NAMESPACE = "default"
_KUBERNETES_POLICY = "networking.k8s.io/"


class _Document(NamedTuple):
    """One resource as it stands in a file, with what a list around it says of its items."""

    file: str
    node: Node
    kind: str | None = None
    api_version: str | None = None


class LoadMemory:
    """What makes the next load cheaper: whoever loads again and again hands it on. One thread at a time."""

    def __init__(self, selectors: SelectorCache | None = None) -> None:
        """Know nothing yet but selectors, which others may have parsed."""
        self.files = Remembered(_read)
        self.checks = Memory(SelectorCache() if selectors is None else selectors)


def load(sources: Iterable[Source], memory: LoadMemory | None = None) -> tuple[Inventory, list[Problem]]:
    """Return everything valid in the sources, and every problem: errors and warnings, in file order.

    The inventory is complete, and its `warnings` are filled, if no problem is an error.
    What did not change since the last load with this memory is the same object again.
    """
    memory = LoadMemory() if memory is None else memory
    loader = _Loader()
    for placed in memory.files.place(sources):
        loader.add(placed)
    return loader.finish(memory.checks)


def load_or_raise(sources: Iterable[Source]) -> Inventory:
    """Return the inventory, or raise ConfigError with every error."""
    inventory, problems = load(sources)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors:
        raise ConfigError(errors)
    return inventory


class _Loader:
    """Puts together what files say."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._found: dict[str, list[Located[Resource]]] = {kind.place: [] for kind in KINDS.values()}
        self._first: dict[Identity, Located[Resource]] = {}

    def add(self, placed: Placed) -> None:
        """Take in a part of a file."""
        self._problems += placed.problems
        for found, located in placed.resources:
            first = self._first.setdefault(found.identity, located)
            if first is located:
                self._found[found.kind.place].append(located)
            else:
                self._problems.append(_declared_twice(located, first))

    def finish(self, checks: Memory) -> tuple[Inventory, list[Problem]]:
        """Return what was collected."""
        inventory = Inventory(**{place: tuple(items) for place, items in self._found.items()})  # type: ignore[arg-type]
        complete = all(problem.severity is not Severity.ERROR for problem in self._problems)
        found = crosscheck(inventory, complete=complete, memory=checks)
        problems = sorted([*self._problems, *found], key=_severity_first)
        dropped = len(problems) - MAX_PROBLEMS
        if dropped > 0:
            last = problems[MAX_PROBLEMS - 1].position
            message = f"and {dropped} more problems, not shown"
            problems[MAX_PROBLEMS:] = [Problem(last, "too-many-problems", message)]
        problems.sort()
        warnings = tuple(problem for problem in problems if problem.severity is Severity.WARNING)
        return replace(inventory, warnings=warnings), problems


def _declared_twice(located: Located[Resource], first: Located[Resource]) -> Problem:
    field = "metadata.name"
    where = f" in namespace {located.namespace}" if located.namespace else ""
    message = f"{located.kind} {located.name}{where} is already declared at {first.position(field)}"
    position = located.position(field)
    return Problem(position, "duplicate-resource", message, field, located.kind, located.name)


def _read(data: bytes) -> Content:
    """Return what a piece of a file says."""
    return _Reader().read(data)


class _Reader:
    """Collects the resources and problems of one piece."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._found: list[Found] = []
        self._faults: set[KeyFault] = set()
        """Those not told yet."""

    def read(self, data: bytes) -> Content:
        """Return what the piece says."""
        roots, problems, faults, values = read_documents(Source("", data))
        self._problems += problems
        self._faults = set(faults)
        for root in roots:
            for document in self._documents(_Document("", root)):
                self._resource(document)
        outside = Subject("", "", "", Node(0, 0))
        self._problems += [_key_problem(outside, (), fault) for fault in self._faults]
        # What is said of errors of syntax and of keys may name lines, which only the whole file has.
        alone = not problems and all(fault.severity is not Severity.ERROR for fault in faults)
        return Content(tuple(self._found), tuple(self._problems), values, alone)

    def _documents(self, document: _Document) -> Iterator[_Document]:
        """Yield the resources of a document: itself, the items of a list, or none if it is empty."""
        node = document.node
        if isinstance(node, ScalarNode) and node.value is None:
            return
        if isinstance(node, SequenceNode):
            for item in node.items:
                yield from self._documents(document._replace(node=item))
            return
        if not isinstance(node, MappingNode):
            self._tell(
                document,
                node,
                "wrong-type",
                f"found {_shown(node)}, expected a resource: a mapping with kind and metadata",
            )
            return
        kind = _text(node, "kind")
        if kind is None or not kind.endswith(_LIST) or "items" not in node.entries:
            yield document
            return
        yield from self._items(document, node, kind)

    def _items(self, document: _Document, node: MappingNode, kind: str) -> Iterator[_Document]:
        items = node.entries["items"].value
        for key in node.entries.keys() - {"apiVersion", "kind", "metadata", "items"}:
            entry = node.entries[key]
            position = Position(document.file, entry.line, entry.column)
            self._problems.append(
                Problem(
                    position,
                    "unknown-field",
                    "unknown field of a list; known here: apiVersion, items, kind, metadata",
                    key,
                    kind,
                )
            )
        if isinstance(items, ScalarNode) and items.value is None:
            return
        if not isinstance(items, SequenceNode):
            self._tell(document, items, "wrong-type", f"found {_shown(items)}, expected a list")
            return
        implied = kind.removesuffix(_LIST) or None
        version = _text(node, "apiVersion") if implied else None
        for item in items.items:
            yield from self._documents(_Document(document.file, item, implied, version))

    def _tell(self, document: _Document, node: Node, code: str, message: str) -> None:
        self._problems.append(Problem(Position(document.file, node.line, node.column), code, message))

    def _resource(self, document: _Document) -> None:
        node = document.node
        assert isinstance(node, MappingNode)  # noqa: S101 - _documents yields nothing else
        name = _name(node)
        kind_name = _text(node, "kind") or document.kind
        subject = Subject(document.file, (kind_name or "")[:LONGEST_SHOWN], name[: names.MAX_SUBDOMAIN], node)
        self._tell_faults(subject)
        if kind_name is None:
            at_kind = ("kind",)
            self._problems.append(subject.problem(at_kind, "missing-field", "kind is required", key=True))
            return
        version = _text(node, "apiVersion") or document.api_version
        if kind_name in KINDS and version != API_VERSION:
            self._problems.append(_bad_version(subject, version))
            if version is not None and not version.startswith("projectcalico.org/"):
                return
        kind = KINDS.get(kind_name)
        if kind is None:
            self._problems.append(subject.problem(("kind",), "unsupported-kind", unsupported(kind_name)))
            return
        value, problems = decode(kind.model, subject)
        problems += _identity(subject, kind, name)
        self._problems += problems
        if value is not None and not any(problem.severity is Severity.ERROR for problem in problems):
            self._keep(subject, kind, value)

    def _tell_faults(self, subject: Subject) -> None:
        """Tell what is wrong with the keys of a resource."""
        if not self._faults:
            return
        for path, node in nodes(subject.node):
            for fault in (node.faults or ()) if isinstance(node, MappingNode) else ():
                if fault in self._faults:
                    self._faults.remove(fault)
                    self._problems.append(_key_problem(subject, path, fault))

    def _keep(self, subject: Subject, kind: Kind, value: Resource) -> None:
        namespace = (value.metadata.namespace or DEFAULT_NAMESPACE) if kind.namespaced else None
        identity = Identity(subject.kind, namespace, value.metadata.name)
        self._found.append(Found(kind, identity, value, subject.node))


def _key_problem(subject: Subject, path: Path, fault: KeyFault) -> Problem:
    field = format_path((*path, fault.key) if fault.key else path)
    position = Position(subject.file, fault.line, fault.column)
    return Problem(position, fault.code, fault.message, field, subject.kind, subject.name, fault.severity)


def _severity_first(problem: Problem) -> tuple[bool, Problem]:
    return problem.severity is not Severity.ERROR, problem


def _bad_version(subject: Subject, version: str | None) -> Problem:
    if version is None:
        return subject.problem(
            ("apiVersion",), "missing-field", f"apiVersion is required: {API_VERSION}", key=True
        )
    message = f"found {show(version)}, expected {API_VERSION}"
    if version.startswith(_KUBERNETES_POLICY):
        message = (
            f"this is a {subject.kind} of Kubernetes ({show(version)}), which is about pods and not read here: "
            f"policy of this host is a GlobalNetworkPolicy of {API_VERSION}"
        )
    return subject.problem(("apiVersion",), "unsupported-version", message)


def _identity(subject: Subject, kind: Kind, name: str) -> Iterator[Problem]:
    """Yield what is wrong with a resource's name and namespace."""
    at_name = ("metadata", "name")
    wrong = kind.name_rule(name) if name else None
    if wrong is not None:
        yield subject.problem(at_name, "bad-name", f"found {show(name)}: {wrong}")
    if kind.place == "profiles" and name == DEFAULT_ALLOW_PROFILE:
        message = f"the profile {name} always exists (it allows everything both ways) and cannot be declared"
        yield subject.problem(at_name, "built-in", message)
    metadata = subject.node.get("metadata") if isinstance(subject.node, MappingNode) else None
    if metadata is None or not isinstance(metadata.value, MappingNode):
        return
    if _text(metadata.value, "name") == "":
        yield subject.problem(at_name, "missing-field", "name is required")
    if not kind.namespaced and _text(metadata.value, "namespace"):
        message = f"a {subject.kind} is not in a namespace; remove this field"
        yield subject.problem(("metadata", "namespace"), "conflict", message, key=True)


def _name(node: MappingNode) -> str:
    metadata = node.get("metadata")
    if metadata is None or not isinstance(metadata.value, MappingNode):
        return ""
    return _text(metadata.value, "name") or ""


def _text(node: MappingNode, key: str) -> str | None:
    """Return a key's value as text, None if it has none or is no scalar."""
    entry = node.get(key)
    value = entry.value.value if entry is not None and isinstance(entry.value, ScalarNode) else None
    return value.text if isinstance(value, PlainScalar) else value


def _shown(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return show(node.value)
    return "a list" if isinstance(node, SequenceNode) else "a mapping"
