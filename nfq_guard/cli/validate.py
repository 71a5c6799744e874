"""`nfq-guard validate`: are these resources valid? Without looking at the rules in force."""

from __future__ import annotations

import click

from nfq_guard.cli.inputs import Given, input_options, read_wanted
from nfq_guard.cli.reports import report
from nfq_guard.store.operations import Outcome, Verb, outcome_of


@click.command(
    "validate",
    epilog="""\b
Examples:
  nfq-guard validate -f policy.yaml
  nfq-guard validate -R -f manifests/""",
)
@input_options(required=True)
def command(given: Given) -> None:
    """Check resources without writing them, and in calicoctl's words.

    `check` shows the same problems with the lines they are about.
    """
    wanted, problems = read_wanted(given)
    outcome = outcome_of([each.ref for each in wanted])
    if not wanted and not problems:
        click.echo("No resources specified")
        return
    bad = {(problem.kind, problem.name) for problem in problems}
    outcome.handled = sum((each.ref.kind, each.ref.name) not in bad for each in wanted)
    outcome.errors = [str(problem) for problem in problems]
    report(Verb.VALIDATE, _counted(outcome))


def _counted(outcome: Outcome) -> Outcome:
    """Return the outcome; a resource so bad that it has no name counts as well."""
    outcome.total = max(outcome.total, outcome.handled + bool(outcome.errors))
    return outcome
