"""`nfq-guard patch`: change fields of one resource."""

from __future__ import annotations

import click

from nfq_guard.cli.inputs import namespace_option
from nfq_guard.cli.modify import modify
from nfq_guard.cli.reports import RefusedError, listed
from nfq_guard.cli.settings import settings_options
from nfq_guard.cli.storage import InvalidRulesError, named_refs, rules_of
from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents
from nfq_guard.store.draft import StoreError
from nfq_guard.store.patches import PATCHES, PatchError
from nfq_guard.store.values import Data, data_of

_LIST_OF_OPERATIONS = "json"
"""The one form of a patch that is no object; it says so itself."""


@click.command(
    "patch",
    epilog="""\b
Examples:
  nfq-guard patch hep eth0 -p '{"spec": {"interfaceName": "eth1"}}'
  nfq-guard patch gnp allow-ssh -t json \\
    -p '[{"op": "replace", "path": "/spec/order", "value": 5}]'""",
)
@click.argument("kind")
@click.argument("name")
@click.option("-p", "--patch", required=True, metavar="PATCH", help="What to change, as JSON or YAML.")
@click.option(
    "-t",
    "--type",
    "form",
    type=click.Choice(list(PATCHES)),
    default="strategic",
    show_default=True,
    help="How the patch is to be read.",
)
@namespace_option()
@settings_options("rules")
def command(
    kind: str, name: str, patch: str, form: str, namespace: str, config: str | None, **flags: object
) -> None:
    """Change fields of a resource; all other fields stay.

    Comments stay, too, but for those about what goes: above and inside a list item or a
    field that is removed, and inside a part that has to be written anew.
    """
    (ref,) = named_refs(kind, [name], namespace)
    wanted = _read(patch, form)
    try:
        modify(rules_of(config, flags), ref, lambda old: PATCHES[form](old, wanted))
    except (InvalidRulesError, PatchError, StoreError) as error:
        raise RefusedError(f"hit error: {error}") from error
    click.echo(f"Successfully patched 1 '{ref.kind}' resource")


def _read(text: str, form: str) -> Data:
    """Return a patch's data; its nulls say what is to go."""
    documents = read_documents(Source("--patch", text.encode("utf-8", "surrogateescape")))
    problems = [*map(str, documents.problems), *(fault.message for fault in documents.faults)]
    if problems or len(documents.roots) != 1:
        raise RefusedError(f"hit error: {listed(problems or ['the patch is empty'])}")
    data = data_of(documents.roots[0], nulls=True)
    if form != _LIST_OF_OPERATIONS and not isinstance(data, dict):
        raise RefusedError(f"hit error: a {form} patch is an object with the fields to change")
    return data
