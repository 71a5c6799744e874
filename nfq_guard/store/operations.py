"""What each command does to the draft, resource by resource, and what came of it.

Owns calicoctl's rules: what is an error when a resource exists or does not, which
commands go on after an error. Must never print, and never write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.resources.kinds import KINDS
from nfq_guard.resources.policies import DEFAULT_TIER
from nfq_guard.store.builtin import BUILT_IN
from nfq_guard.store.draft import StoreError
from nfq_guard.store.values import same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nfq_guard.store.draft import Draft
    from nfq_guard.store.refs import Ref


class Verb(Enum):
    """A command, with its past tense for messages."""

    APPLY = "applied"
    CREATE = "created"
    REPLACE = "replaced"
    VALIDATE = "validated"

    @property
    def word(self) -> str:
        """Return the command's name."""
        return self.name.lower()


class Wanted(NamedTuple):
    """A resource as it is wanted."""

    ref: Ref
    data: dict[str, Any]
    text: str | None = None
    """How it was written, comments and all, if that can be taken over into a file of its own."""
    file: str = ""
    """Where it was read."""

    def always_exists(self) -> bool:
        """Return whether it is just what exists without any file."""
        return self.ref in BUILT_IN and same(BUILT_IN[self.ref], self.data)


@dataclass
class Outcome:
    """What came of a command."""

    total: int
    single_kind: str
    """The kind of all resources; empty if they are of several."""
    handled: int = 0
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What people should know of what was done."""


def outcome_of(refs: Sequence[Ref]) -> Outcome:
    """Return the outcome of a command before it has done anything."""
    kinds = {ref.kind for ref in refs}
    return Outcome(len(refs), next(iter(kinds)) if len(kinds) == 1 else "")


def exists_error(draft: Draft, ref: Ref) -> str:
    """Return what to say about a resource that should not exist."""
    item = draft.get(ref)
    where = f"declared at {item.position}" if item is not None else "it always exists"
    return f"resource already exists: {ref} with error: {where}"


def missing_error(ref: Ref) -> str:
    """Return what to say about a resource that should exist."""
    return f"resource does not exist: {ref} with error: not in the rules"


def write_all(draft: Draft, verb: Verb, resources: Sequence[Wanted], *, skip_exists: bool = False) -> Outcome:
    """Apply, create or replace resources in their order. `replace` stops at the first error."""
    outcome = outcome_of([wanted.ref for wanted in resources])
    for wanted in resources:
        error = _write(draft, verb, wanted, skip_exists=skip_exists)
        if error is None:
            outcome.handled += 1
            continue
        outcome.errors.append(error)
        if verb is Verb.REPLACE:
            break
    return outcome


def _write(draft: Draft, verb: Verb, wanted: Wanted, *, skip_exists: bool) -> str | None:
    item = draft.get(wanted.ref)
    if verb is Verb.CREATE and item is not None:
        return None if skip_exists else exists_error(draft, wanted.ref)
    if verb is Verb.REPLACE and item is None and wanted.ref not in BUILT_IN:
        return missing_error(wanted.ref)
    if item is None and wanted.always_exists():
        return None
    if item is not None and same(item.data, wanted.data):
        return None
    try:
        draft.put(wanted.ref, wanted.data, wanted.text)
    except StoreError as error:
        return str(error)
    return None


def delete_all(draft: Draft, named: Sequence[tuple[Ref, str]], *, skip_missing: bool = False) -> Outcome:
    """Delete resources, each with the rule file that it was named by, or none. An error of one keeps no other."""
    outcome = outcome_of([ref for ref, _ in named])
    for ref, file in named:
        error = _delete(draft, ref, file, skip_missing=skip_missing)
        if error is None:
            outcome.handled += 1
            outcome.notes += _left(draft, ref)
        else:
            outcome.errors.append(error)
    return outcome


def _left(draft: Draft, ref: Ref) -> list[str]:
    """Return what to say about what is there though it was deleted."""
    if left := draft.positions(ref):
        return [f"{ref} is still declared at {' and at '.join(map(str, left))}"]
    if ref in BUILT_IN:
        return [f"{ref} {_BACK.get(ref.kind, 'always exists: it is as it is without any file')}"]
    return []


_BACK = {
    "FelixConfiguration": "always exists: all its settings are at their defaults again, failsafe ports included"
}


def _delete(draft: Draft, ref: Ref, file: str, *, skip_missing: bool) -> str | None:
    if draft.get(ref) is None:
        if ref in BUILT_IN:
            what = f"Cannot delete {ref.name} {ref.kind.lower()}"
            return f"operation delete is not supported on {ref}: {what}: it always exists"
        return None if skip_missing else missing_error(ref)
    if ref.kind == "Tier" and ref not in BUILT_IN and (policy := _policy_in(draft, ref.name)):
        return (
            f"operation delete is not supported on {ref}: Cannot delete a non-empty tier ({policy} is in it)"
        )
    try:
        draft.remove(ref, file)
    except StoreError as error:
        return str(error)
    return None


def _policy_in(draft: Draft, tier: str) -> Ref | None:
    """Return a policy of a tier, None if it has none."""
    for ref in draft.refs():
        item = draft.get(ref) if "tier" in _spec_fields(ref.kind) else None
        spec = item.data.get("spec") if item is not None else None
        if isinstance(spec, dict) and spec.get("tier") == tier:
            return ref
    return None


def _spec_fields(kind: str) -> set[str]:
    annotation = KINDS[kind].model.model_fields["spec"].annotation
    return set(getattr(annotation, "model_fields", ()))


def meant(draft: Draft, ref: Ref) -> Ref:
    """Return the resource that a name on the command line means.

    A policy may be named with its tier in front or, in the default tier, without it,
    whichever of both its file says. In Calico, too, both were names of one policy.
    """
    if draft.get(ref) is not None or "tier" not in _spec_fields(ref.kind):
        return ref
    tier, dot, rest = ref.name.partition(".")
    tier, name = (tier, rest) if dot else (DEFAULT_TIER, f"{DEFAULT_TIER}.{ref.name}")
    other = ref._replace(name=name)
    item = draft.get(other)
    spec = (item.data.get("spec") or {}) if item is not None else None
    if isinstance(spec, dict) and (spec.get("tier") or DEFAULT_TIER) == tier:
        return other
    return ref


def current(draft: Draft, ref: Ref) -> dict[str, Any] | None:
    """Return a resource as it is: from a file, or what always exists; None if there is none."""
    item = draft.get(ref)
    return item.data if item is not None else BUILT_IN.get(ref)
