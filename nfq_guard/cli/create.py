"""`nfq-guard create`: create resources that do not exist yet."""

from __future__ import annotations

import click

from nfq_guard.cli.inputs import Given, input_options
from nfq_guard.cli.settings import settings_options
from nfq_guard.cli.storage import rules_of
from nfq_guard.cli.writes import write_given
from nfq_guard.store.operations import Verb


@click.command(
    "create",
    epilog="""\b
Examples:
  nfq-guard create -f policy.yaml
  nfq-guard create --rules rules/ -f -""",
)
@input_options(required=True)
@click.option("--skip-exists", is_flag=True, help="Leave out resources that exist already.")
@settings_options("rules")
def command(given: Given, config: str | None, *, skip_exists: bool, **flags: object) -> None:
    """Create resources that do not exist yet.

    Each gets a file of its own, with the comments it was written with. Nothing is written
    unless all rules are valid with the change.
    """
    write_given(rules_of(config, flags), Verb.CREATE, given, skip_exists=skip_exists)
