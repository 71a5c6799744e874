"""One resource changed where it is: what `patch` and `label` share.

Owns the refusal to let a change turn a resource into another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nfq_guard.cli.storage import change_rules
from nfq_guard.store.draft import StoreError
from nfq_guard.store.operations import current, meant, missing_error
from nfq_guard.store.refs import ref_of
from nfq_guard.store.values import same, without_nulls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nfq_guard.store.draft import Draft
    from nfq_guard.store.refs import Ref


def modify(paths: Sequence[str], named: Ref, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change one resource's data; StoreError or InvalidRulesError where it cannot be."""
    about: list[Ref] = []

    def act(draft: Draft) -> None:
        ref = meant(draft, named)
        about.append(ref)
        old = current(draft, ref)
        if old is None:
            raise StoreError(missing_error(ref))
        new = without_nulls(change(old))
        if (
            not isinstance(new, dict)
            or _identity(new) != ref
            or new.get("apiVersion") != old.get("apiVersion")
        ):
            raise StoreError(f"{ref} cannot change its apiVersion, kind, name or namespace")
        if not same(old, new):
            draft.put(ref, new)

    change_rules(paths, act, about)


def _identity(data: dict[str, Any]) -> Ref | None:
    kind, metadata = data.get("kind"), data.get("metadata")
    if not isinstance(kind, str) or not isinstance(metadata, dict):
        return None
    try:
        return ref_of(kind, str(metadata.get("name")), metadata.get("namespace"))
    except KeyError:
        return None
