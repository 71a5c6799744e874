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
    if outcome.errors and outcome.total == outcome.handled:
        # What is wrong is about a resource without a name, which is not among those that were counted.
        kind = problems[0].kind
        same_kind = not outcome.total or outcome.single_kind == kind
        outcome = Outcome(outcome.total + 1, kind if same_kind else "", outcome.handled, outcome.errors)
    report(Verb.VALIDATE, outcome)
