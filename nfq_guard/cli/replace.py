"""`nfq-guard replace`: change resources that exist to what the files say."""

from __future__ import annotations

import click

from nfq_guard.cli.inputs import Given, input_options
from nfq_guard.cli.settings import settings_options
from nfq_guard.cli.storage import rules_of
from nfq_guard.cli.writes import write_given
from nfq_guard.store.operations import Verb


@click.command(
    "replace",
    epilog="""\b
Examples:
  nfq-guard replace -f policy.yaml
  nfq-guard replace --rules rules/ -f -""",
)
@input_options(required=True)
@settings_options("rules")
def command(given: Given, config: str | None, **flags: object) -> None:
    """Change resources that exist to what the files say.

    Each is edited in the file it is in; comments and order stay. Nothing is written unless
    all rules are valid with the change.
    """
    write_given(rules_of(config, flags), Verb.REPLACE, given)
