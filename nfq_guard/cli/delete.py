"""`nfq-guard delete`: take resources out of the rules."""

from __future__ import annotations

import os

import click

from nfq_guard.cli.inputs import Given, input_options, read_wanted
from nfq_guard.cli.reports import listed, refused, report_deleted
from nfq_guard.cli.settings import settings_options
from nfq_guard.cli.storage import InvalidRulesError, change_rules, named_refs, rules_of
from nfq_guard.store.draft import Draft, StoreError
from nfq_guard.store.operations import delete_all, meant, outcome_of


@click.command(
    "delete",
    epilog="""\b
Examples:
  nfq-guard delete gnp allow-ssh
  nfq-guard delete --skip-not-exists -f policy.yaml""",
)
@click.argument("kind", required=False)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@input_options(required=False)
@click.option("-s", "--skip-not-exists", is_flag=True, help="Leave out resources that do not exist.")
@settings_options("rules")
def command(
    kind: str | None,
    names: tuple[str, ...],
    given: Given,
    config: str | None,
    *,
    skip_not_exists: bool,
    **flags: object,
) -> None:
    """Delete resources by kind and name, or those that files name.

    A file in which no resource is left goes as well. Of a resource that several rule
    files declare, -f with one of them deletes the one there.
    """
    if (kind is None) == (not given.filename):
        raise click.UsageError("give either KIND NAME... or -f")
    if given.filename:
        wanted, _ = read_wanted(given, check=False)
        named = [(each.ref, os.path.realpath(each.file)) for each in wanted]
    else:
        named = [(ref, "") for ref in named_refs(kind or "", names, given.namespace)]
    outcome = outcome_of([ref for ref, _ in named])
    if not named:
        click.echo("No resources specified")
        return

    def act(draft: Draft) -> None:
        nonlocal outcome
        files = {os.path.realpath(name): name for name in draft.files()}
        at_home = [(ref if path else meant(draft, ref), files.get(path, "")) for ref, path in named]
        outcome = delete_all(draft, at_home, skip_missing=skip_not_exists)

    try:
        change_rules(rules_of(config, flags), act, ())
    except InvalidRulesError as error:
        raise refused("delete", outcome, str(error)) from error
    except StoreError as error:
        raise refused("delete", outcome, listed([str(error)])) from error
    report_deleted(outcome)
