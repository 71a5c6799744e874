"""`nfq-guard apply`: create resources, or change them to what the files say."""

from __future__ import annotations

import click

from nfq_guard.cli.inputs import Given, input_options
from nfq_guard.cli.settings import settings_options
from nfq_guard.cli.storage import rules_of
from nfq_guard.cli.writes import write_given
from nfq_guard.store.operations import Verb


@click.command(
    "apply",
    epilog="""\b
Examples:
  nfq-guard apply -f policy.yaml
  nfq-guard apply --rules rules/ -f -""",
)
@input_options(required=True)
@settings_options("rules")
def command(given: Given, config: str | None, **flags: object) -> None:
    """Create resources, or change them to what the files say.

    Resources that exist are edited in the file they are in; its order stays, and so do
    its comments, but for those about what goes. New ones get a file of their own. Nothing is written unless all rules are valid with
    the change.
    """
    write_given(rules_of(config, flags), Verb.APPLY, given)
