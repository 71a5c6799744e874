"""Resources as text: tables, YAML, JSON.

Owns the formats of `get`. What they show can be applied again, tables excepted.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from nfq_guard.cli.reports import RefusedError
from nfq_guard.resources.base import API_VERSION
from nfq_guard.resources.kinds import KINDS
from nfq_guard.store.emit import json_text, yaml_text
from nfq_guard.store.tables import UnknownColumnError, headings, table

if TYPE_CHECKING:
    from collections.abc import Callable

    Resource = dict[str, Any]

_COLUMNS = "custom-columns"
_OF_A_CLUSTER = (
    *("namespace", "uid", "resourceVersion", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)
"""Fields of metadata that `--export` leaves out."""


def exported(resource: Resource) -> Resource:
    """Return a resource without what belongs to one cluster."""
    metadata = {key: value for key, value in resource["metadata"].items() if key not in _OF_A_CLUSTER}
    return {**resource, "metadata": metadata}


def printer(output: str, *, namespace: bool) -> Callable[[str | None, list[Resource]], str]:
    """Return what turns resources into text; its first argument is their kind if all of it were asked for."""
    if output in {"yaml", "yml"}:
        return lambda kind, resources: yaml_text(_whole(kind, resources))
    if output == "json":
        return lambda kind, resources: json_text(_whole(kind, resources)) + "\n"
    form, equals, value = output.partition("=")
    if output in {"ps", "wide"}:
        columns: list[str] = []
    elif form == _COLUMNS:
        if not value:
            raise RefusedError("need to specify at least one column")
        columns = value.split(",")
    elif form in {"go-template", "go-template-file"} and equals:
        raise RefusedError("go-template is not supported; use -o json or -o custom-columns=...")
    else:
        raise RefusedError(f"unrecognized output format '{output}'")

    def tables(kind: str | None, resources: list[Resource]) -> str:
        groups = [(name, list(some)) for name, some in groupby(resources, key=lambda each: str(each["kind"]))]
        groups = groups or ([(kind, [])] if kind is not None else [])
        return "\n".join(
            _table(name, some, columns, wide=output == "wide", namespace=namespace and KINDS[name].namespaced)
            for name, some in groups
        )

    return tables


def _table(kind: str, resources: list[Resource], columns: list[str], *, wide: bool, namespace: bool) -> str:
    try:
        names = headings(kind, columns, wide=wide, namespace=namespace)
    except UnknownColumnError as error:
        raise RefusedError(str(error)) from error
    return table(kind, resources, names)


def _whole(kind: str | None, resources: list[Resource]) -> object:
    """Return a list of a kind if all of it was asked for, else the one resource, else a plain list."""
    if kind is not None:
        return {"apiVersion": API_VERSION, "kind": f"{kind}List", "items": resources}
    return resources[0] if len(resources) == 1 else resources
