"""`nfq-guard render`: the kernel table that would be loaded."""

from __future__ import annotations

import click

from nfq_guard.cli.options import compile_paths, facts_option
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.kernel.plan import QueueTarget, plan_for
from nfq_guard.kernel.render import render_table

_FIRST_GENERATION = 1
_SETTINGS = (
    "rules",
    "node",
    "fail_mode",
    "established_flows",
    "allow_neighbor_discovery",
    "queue",
    "queue_count",
    "packet_mark_mask",
    "connection_mark_mask",
)
"""Those that the table depends on."""


@click.command(
    "render",
    epilog="""\b
Examples:
  nfq-guard render --rules rules/
  nfq-guard render --rules rules/ --facts host.json | nft --check --file -

A kernel without nft's queue statement refuses `queue to` there: take --target xt.""",
)
@settings_options(*_SETTINGS)
@facts_option()
@click.option(
    "--target",
    type=click.Choice([str(each) for each in QueueTarget]),
    default=str(QueueTarget.NATIVE),
    show_default=True,
    help="Form of the rule that queues: `run` probes which one this kernel has.",
)
def command(config: str | None, facts: tuple[str, str] | None, target: str, **flags: object) -> None:
    """Print the kernel table that `run` would load, as nft reads it.

    Nothing is loaded, and no privilege is needed.
    """
    settings = resolve_settings(config, flags).settings
    plan = plan_for(compile_paths(settings.rules, facts, settings).ruleset, _FIRST_GENERATION)
    click.echo(render_table(plan, settings.kernel(), target=QueueTarget(target)), nl=False)
