"""`nfq-guard get`: show resources of the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nfq_guard.adapters.storefiles import RuleStore
from nfq_guard.cli.inputs import Given, input_options, read_wanted
from nfq_guard.cli.reports import RefusedError
from nfq_guard.cli.settings import settings_options
from nfq_guard.cli.shown import exported, printer
from nfq_guard.cli.storage import named_kind, named_refs, rules_of
from nfq_guard.resources.kinds import KINDS
from nfq_guard.store.builtin import BUILT_IN
from nfq_guard.store.draft import Draft
from nfq_guard.store.operations import current, meant, missing_error
from nfq_guard.store.refs import DEFAULT_NAMESPACE, Ref

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command(
    "get",
    epilog="""\b
Examples:
  nfq-guard get hep
  nfq-guard get gnp -o wide
  nfq-guard get felixconfig default -o yaml > felix.yaml
  nfq-guard get hep -o custom-columns=NAME,INTERFACE""",
)
@click.argument("kind", required=False)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@input_options(required=False)
@click.option("-A", "-a", "--all-namespaces", is_flag=True, help="Resources of every namespace.")
@click.option(
    "-o",
    "--output",
    default="ps",
    show_default=True,
    metavar="FORMAT",
    help="ps, wide, yaml, json or custom-columns=NAME,...",
)
@click.option("--export", is_flag=True, help="Leave out what belongs to one cluster; with NAME only.")
@settings_options("rules")
def command(
    kind: str | None,
    names: tuple[str, ...],
    given: Given,
    output: str,
    config: str | None,
    *,
    all_namespaces: bool,
    export: bool,
    **flags: object,
) -> None:
    """Show resources: all of a kind, some by name, or those that files name.

    As the files declare them, without defaults filled in; what YAML and JSON show can be
    applied again. Resources that always exist are shown as well.
    """
    if (kind is None) == (not given.filename):
        raise click.UsageError("give either KIND [NAME...] or -f")
    if given.namespace and all_namespaces:
        raise RefusedError("cannot use both --namespace and --all-namespaces flags at the same time")
    show = printer(output, namespace=bool(given.namespace) or all_namespaces)
    asked = _asked(kind, names, given, all_namespaces=all_namespaces)
    draft, unreadable = _read(rules_of(config, flags))
    every = named_kind(kind) if kind is not None and asked is None else None
    scope = None if all_namespaces else given.namespace or DEFAULT_NAMESPACE
    refs = [meant(draft, ref) for ref in asked or ()] if every is None else _of_kind(draft, every, scope)
    found = [(ref, current(draft, ref)) for ref in refs]
    resources = [exported(data) if export and names else data for _, data in found if data is not None]
    missing = [missing_error(ref) for ref, data in found if data is None]
    if resources or not missing:
        click.echo(show(every, resources), nl=False)
    if missing or unreadable:
        raise RefusedError("\n".join([*missing, *unreadable]))


def _asked(kind: str | None, names: Sequence[str], given: Given, *, all_namespaces: bool) -> list[Ref] | None:
    """Return the resources that are asked for one by one, None for all of the kind."""
    if kind is None:
        return [each.ref for each in read_wanted(given, check=False)[0]]
    if all_namespaces and not KINDS[named_kind(kind)].namespaced:
        raise RefusedError(f"{named_kind(kind)} is not namespaced")
    if names and all_namespaces:
        raise RefusedError("cannot use --all-namespaces flag for getting a single resource")
    # Without names, one is made up: it is only about whether the kind and the namespace go together.
    refs = named_refs(kind, names or ("any",), given.namespace)
    return refs if names else None


def _read(paths: Sequence[str]) -> tuple[Draft, list[str]]:
    """Return the rules, and what to say about files that cannot be shown. Takes no lock: nothing changes."""
    sources, problems = RuleStore(paths).read()
    draft = Draft(sources, ())
    unread = [f"{name}: not shown, cannot be read; see nfq-guard check" for name in draft.unreadable()]
    return draft, [*map(str, problems), *unread]


def _of_kind(draft: Draft, kind: str, scope: str | None) -> list[Ref]:
    """Return all resources of a kind, of one namespace or of every."""
    refs = sorted({*draft.refs(), *BUILT_IN}, key=lambda ref: (ref.namespace or "", ref.name))
    return [
        ref for ref in refs if ref.kind == kind and (None in {scope, ref.namespace} or ref.namespace == scope)
    ]
