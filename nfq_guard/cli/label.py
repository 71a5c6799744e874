"""`nfq-guard label`: set or remove a label of one resource."""

from __future__ import annotations

from typing import Any

import click

from nfq_guard.cli.inputs import namespace_option
from nfq_guard.cli.modify import modify
from nfq_guard.cli.reports import RefusedError
from nfq_guard.cli.settings import settings_options
from nfq_guard.cli.storage import InvalidRulesError, named_refs, rules_of
from nfq_guard.store.draft import StoreError


@click.command(
    "label",
    epilog="""\b
Examples:
  nfq-guard label hep eth0 role=web
  nfq-guard label hep eth0 role=db --overwrite
  nfq-guard label hep eth0 role --remove""",
)
@click.argument("kind")
@click.argument("name")
@click.argument("label", metavar="KEY=VALUE|KEY")
@click.option("--overwrite", is_flag=True, help="Change the value of a label that is there.")
@click.option("--remove", is_flag=True, help="Remove the label KEY.")
@namespace_option()
@settings_options("rules")
def command(
    kind: str,
    name: str,
    label: str,
    namespace: str,
    config: str | None,
    *,
    overwrite: bool,
    remove: bool,
    **flags: object,
) -> None:
    """Set a label of a resource, or remove one. Selectors of policies ask for labels."""
    if overwrite and remove:
        raise click.UsageError("--overwrite and --remove cannot be used together")
    (ref,) = named_refs(kind, [name], namespace)
    key, value = (label, None) if remove else _parse(label)
    done = ""

    def change(old: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        labels = dict(old["metadata"].get("labels") or {})
        done = _set(labels, key, value, f"{kind} {name}", overwrite=overwrite)
        metadata = {**old["metadata"], "labels": labels}
        if not labels:
            del metadata["labels"]
        return {**old, "metadata": metadata}

    try:
        modify(rules_of(config, flags), ref, change)
    except InvalidRulesError as error:
        raise RefusedError(f"failed to update {kind} {name}, label not changed: {error}") from error
    except StoreError as error:
        raise RefusedError(f"failed to get {kind} {name}, error {error}") from error
    click.echo(f"Successfully {done} {kind} {name}")


def _parse(label: str) -> tuple[str, str]:
    key, equals, value = label.partition("=")
    if not equals or not key or "=" in value:
        raise RefusedError(f"invalid label {label}")
    return key, value


def _set(labels: dict[str, Any], key: str, value: str | None, whose: str, *, overwrite: bool) -> str:
    """Change the labels and return what was done; RefusedError where it may not be."""
    if value is None:
        if key not in labels:
            raise RefusedError(f"cannot remove label of {whose}, key {key} does not exist")
        del labels[key]
        return f"removed label {key} from"
    there = key in labels
    if there and labels[key] != value and not overwrite:
        message = f"failed to update label of {whose}, key {key} is already present."
        raise RefusedError(f"{message} please use '--overwrite' to set a new value.")
    labels[key] = value
    return f"{'updated' if there else 'set'} label {key} on"
