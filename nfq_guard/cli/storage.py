"""The steps that all commands which change the rules share.

Owns their order: lock, read, change the draft, check the whole, write. Nothing is
written unless everything is valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nfq_guard.adapters.storefiles import ConflictError, RuleStore
from nfq_guard.cli.main import CommandFailedError
from nfq_guard.cli.reports import RefusedError, listed
from nfq_guard.cli.settings import resolve_settings
from nfq_guard.model.problem import Problem, Severity
from nfq_guard.resources.kinds import KINDS
from nfq_guard.resources.load import LoadMemory, load
from nfq_guard.store.draft import Draft, StoreError
from nfq_guard.store.refs import Ref, kind_of, ref_of
from nfq_guard.store.values import same

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence


_THERE_BEFORE = (
    "this was wrong in the rules before, and nothing is wrong with the change itself: mend the rules first "
    "(nfq-guard check shows the lines); nothing was changed"
)
_AS_CHANGED = "as it would be with the change; nothing was changed"


class InvalidRulesError(Exception):
    """With the change, the rules as a whole would not be valid. Its text is for people."""

    def __init__(self, problems: Sequence[Problem], note: str = "") -> None:
        """Keep every problem. `note`: what people should know of all of them."""
        super().__init__(listed(problems) + ("\n" + note if note else ""))
        self.problems = tuple(problems)


def rules_of(config: str | None, flags: dict[str, object]) -> tuple[str, ...]:
    """Return the paths of the rules in force."""
    return resolve_settings(config, flags).settings.rules


def change_rules(paths: Sequence[str], act: Callable[[Draft], None], about: Collection[Ref]) -> None:
    """Let `act` change the rules, and write them if they are valid as a whole.

    InvalidRulesError, with nothing written, if not. Warnings about the resources that the
    command is about, and those that the change brings to any, go to standard error.
    """
    try:
        with RuleStore(paths) as store:
            sources, unreadable = store.read()
            draft = Draft(sources, store.roots())
            act(draft)
            changes = draft.changes()
            if not changes:
                return
            memory = LoadMemory()
            before = {_essence(problem) for problem in (*unreadable, *load(sources, memory)[1])}
            found = [*unreadable, *load(draft.sources(), memory)[1]]
            _refuse_errors(found, before, {change.name for change in changes})
            _refuse_loss(draft)
            warnings = _worth_telling(found, before, about)
            store.write(changes)
    except ConflictError as error:
        raise RefusedError(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        raise CommandFailedError(f"{where}{error.strerror or error}; nothing was changed") from error
    for warning in warnings:
        click.echo(str(warning), err=True)


def _essence(problem: Problem) -> tuple[str, ...]:
    """Return what stays of a problem when lines move."""
    return (problem.position.file, problem.code, problem.kind, problem.name, problem.field, problem.message)


def _refuse_errors(found: Sequence[Problem], before: Collection[tuple[str, ...]], changed: set[str]) -> None:
    """Raise InvalidRulesError if there is any error at all, and say whether the change is to blame."""
    errors = [problem for problem in found if problem.severity is Severity.ERROR]
    if not errors:
        return
    new = [problem for problem in errors if _essence(problem) not in before]
    if not new:
        raise InvalidRulesError(errors, _THERE_BEFORE)
    edited = sorted({problem.position.file for problem in new} & changed)
    raise InvalidRulesError(errors, f"lines are those of {', '.join(edited)} {_AS_CHANGED}" if edited else "")


def _refuse_loss(draft: Draft) -> None:
    """Raise StoreError if the files do not say what the draft means."""
    again = Draft(draft.sources(), ())
    if again.refs() != draft.refs() or not all(
        same(_data(again, ref), _data(draft, ref)) for ref in draft.refs()
    ):
        raise StoreError("the files cannot hold this change; nothing was changed")


def _worth_telling(
    found: Iterable[Problem], before: Collection[tuple[str, ...]], about: Collection[Ref]
) -> list[Problem]:
    """Return the warnings about some resources, and those about others that are new."""
    named = {(ref.kind, ref.name) for ref in about}
    return [
        warning
        for warning in found
        if (warning.kind, warning.name) in named or _essence(warning) not in before
    ]


def _data(draft: Draft, ref: Ref) -> object:
    item = draft.get(ref)
    return None if item is None else item.data


def named_kind(word: str) -> str:
    """Return the kind that a word names; RefusedError if there is none."""
    kind = kind_of(word)
    if kind is None:
        raise RefusedError(f"resource type '{word}' is not supported")
    return kind


def named_refs(word: str, names: Sequence[str], namespace: str) -> list[Ref]:
    """Return the resources that the command line names."""
    kind = named_kind(word)
    if namespace and not KINDS[kind].namespaced:
        raise RefusedError(f"{kind} is not namespaced")
    if not names or not all(names):
        raise RefusedError("resource name may not be empty")
    return [ref_of(kind, name, namespace) for name in names]
