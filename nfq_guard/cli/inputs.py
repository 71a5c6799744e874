"""Resources that a command is given with `-f`.

Owns reading them, from files, folders and standard input, and filling in the namespace
of `-n`. What they may hold, loading decides.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from nfq_guard.adapters.files import read_sources
from nfq_guard.cli.reports import RefusedError, listed
from nfq_guard.model.problem import Problem, Severity
from nfq_guard.resources import load
from nfq_guard.resources.fields import LONGEST_SHOWN
from nfq_guard.resources.kinds import KINDS
from nfq_guard.resources.paths import nodes
from nfq_guard.resources.source import MAX_FILE_BYTES, Source
from nfq_guard.resources.tree import MappingNode, Node, ScalarNode, read_documents
from nfq_guard.store import edit
from nfq_guard.store.edit import CannotEditError
from nfq_guard.store.operations import Wanted
from nfq_guard.store.refs import Ref, ref_of
from nfq_guard.store.spans import read_spans
from nfq_guard.store.texts import TextFile
from nfq_guard.store.values import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nfq_guard.store.items import Item

Wrapped = TypeVar("Wrapped", bound="Callable[..., Any]")

STDIN = "-"
_STDIN_NAME = "<stdin>"
_UNREADABLE = frozenset(
    {
        *("bad-alias", "bad-key", "bad-tag", "duplicate-key", "not-text", "too-deep", "too-large"),
        *("too-many-values", "unknown-field", "unreadable", "unsupported-kind", "unsupported-version"),
        *("wrong-type", "yaml-syntax"),
    }
)
"""Codes of what calicoctl cannot decode, and reports as a bad file rather than a bad resource."""


@dataclass(frozen=True, slots=True)
class Given:
    """The `-f` of a command and what goes with it."""

    filename: str
    """Empty: there was no -f."""
    recursive: bool
    skip_empty: bool
    namespace: str


def input_options(*, required: bool) -> Callable[[Wrapped], Wrapped]:
    """Add `-f`, `-R`, `--skip-empty` and `-n`; the command takes all of them as one `given`."""
    options = (
        click.option(
            "-f",
            "--filename",
            default="",
            required=required,
            metavar="FILE|DIR|-",
            help="File or folder with resources; '-' reads standard input.",
        ),
        click.option("-R", "--recursive", is_flag=True, help="Read the folders in the folder of -f as well."),
        click.option("--skip-empty", is_flag=True, help="It is no error if files hold no resource."),
        namespace_option(),
        click.option("--allow-version-mismatch", is_flag=True, hidden=True, expose_value=False),
    )

    def decorate(wrapped: Wrapped) -> Wrapped:
        @functools.wraps(wrapped)
        def gathered(
            *, filename: str, recursive: bool, skip_empty: bool, namespace: str, **others: object
        ) -> object:
            return wrapped(given=Given(filename, recursive, skip_empty, namespace), **others)

        made: Callable[..., Any] = gathered
        for option in reversed(options):
            made = option(made)
        return cast("Wrapped", made)

    return decorate


def namespace_option() -> Callable[[Wrapped], Wrapped]:
    """Add `-n NAMESPACE`; the command takes it as namespace."""
    return click.option(
        "-n",
        "--namespace",
        default="",
        metavar="NAME",
        help="Namespace of resources that are in one and do not name it.",
    )


def read_wanted(given: Given, *, check: bool = True) -> tuple[list[Wanted], list[Problem]]:
    """Return the resources given, and (with `check`) what is wrong with them.

    RefusedError where a file cannot be read or decoded, or where there is none at all
    although there should be. With `skip_empty` there may be none.
    """
    sources = _sources(given)
    _, found = load(sources)
    problems = [problem for problem in found if problem.severity is Severity.ERROR]
    bad = [problem for problem in problems if _is_undecodable(problem)]
    if bad and (check or any(problem.code == "yaml-syntax" for problem in bad)):
        raise RefusedError(f"failed to execute command: {_said(bad, sources)}")
    by_file = {source.name: list(_wanted(source, given)) for source in sources}
    wanted = [each for items in by_file.values() for each in items]
    if not given.skip_empty:
        _refuse_empty(given, by_file, problems)
    fine = {(each.ref.kind, each.ref.name) for each in wanted if each.always_exists()}
    return wanted, [p for p in problems if not (p.code == "built-in" and (p.kind, p.name) in fine)]


def _refuse_empty(given: Given, by_file: Mapping[str, Sequence[Wanted]], problems: Sequence[Problem]) -> None:
    """Refuse a file without resources, also one of a folder, and a folder without files."""
    blamed = {problem.position.file for problem in problems}
    empty = next((name for name, items in by_file.items() if not items and name not in blamed), None)
    if empty is not None:
        raise RefusedError(f"no resources specified in file {STDIN if empty == _STDIN_NAME else empty}")
    if not by_file:
        raise RefusedError(f"no resources specified in directory {given.filename}")


def _is_undecodable(problem: Problem) -> bool:
    return problem.code in _UNREADABLE or (
        problem.code == "missing-field" and problem.field in {"kind", "apiVersion"}
    )


def _said(problems: Sequence[Problem], sources: Sequence[Source]) -> str:
    texts = [
        f"unknown resource type ({problem.kind}) and/or version ({_version_of(problem, sources)}): {problem}"
        if problem.code in {"unsupported-kind", "unsupported-version"}
        else str(problem)
        for problem in problems
    ]
    return texts[0] if len(texts) == 1 else listed(texts)


def _version_of(problem: Problem, sources: Iterable[Source]) -> str:
    """Return the apiVersion of the resource whose kind or version a problem is about."""
    roots = (root for source in sources if source.name == problem.position.file for root in _roots(source))
    for node in (node for root in roots for _, node in nodes(root) if isinstance(node, MappingNode)):
        blamed, version = node.get(problem.field), node.get("apiVersion")
        if blamed is None or (blamed.value.line, blamed.value.column) != problem.position[1:]:
            continue
        if version is not None and isinstance(version.value, ScalarNode):
            return version.value.raw[:LONGEST_SHOWN]
    return ""


def _roots(source: Source) -> Iterable[Node]:
    return read_documents(source).roots


def _sources(given: Given) -> list[Source]:
    if given.filename == STDIN:
        return [Source(_STDIN_NAME, sys.stdin.buffer.read(MAX_FILE_BYTES + 1))]
    sources, unreadable = read_sources([given.filename], recursive=given.recursive)
    bad = [problem for problem in unreadable if problem.code != "no-files"]
    if bad:
        raise RefusedError(f"failed to execute command: {_said(bad, ())}")
    return sources


def _wanted(source: Source, given: Given) -> Iterator[Wanted]:
    try:
        file = TextFile(source)
    except CannotEditError:
        return
    for number, item in file.items():
        ref = _placed(item, given.namespace)
        data = _in_namespace(item.data, given.namespace) if KINDS[ref.kind].namespaced else item.data
        yield Wanted(ref, data, _as_written(file.pieces[number], item, data), source.name)


def _placed(item: Item, namespace: str) -> Ref:
    """Return a resource's reference with the namespace of the command line."""
    own = item.data["metadata"].get("namespace")
    own = own if isinstance(own, str) else ""
    if not KINDS[item.ref.kind].namespaced:
        if namespace:
            raise RefusedError(f"{item.ref.kind} is not namespaced")
        return item.ref
    if own and namespace and own != namespace:
        message = f"resource namespace does not match client namespace. {own} != {namespace}"
        raise RefusedError(message)
    return ref_of(item.ref.kind, item.ref.name, own or namespace)


def _in_namespace(data: dict[str, Any], namespace: str) -> dict[str, Any]:
    metadata = data["metadata"]
    if not namespace or metadata.get("namespace"):
        return data
    return {**data, "metadata": {**metadata, "namespace": namespace}}


def _as_written(piece: str, item: Item, data: dict[str, Any]) -> str | None:
    """Return a document's own text, comments and all, if it is block YAML with one resource."""
    if item.steps:
        return None
    document = read_spans(piece)[0]
    if document.root.flow:
        return None
    head, text = piece[: document.start], piece[document.start :]
    text = head + text.removeprefix("---").lstrip(" \r\n") if document.explicit else piece
    text = text.rstrip() + "\n"
    wanted = item.without_implied(data)
    try:
        text = text if same(item.raw, wanted) else edit.replace_part(text, (), wanted)
        return text if same(edit.read_data(text), wanted) else None
    except CannotEditError:
        return None
