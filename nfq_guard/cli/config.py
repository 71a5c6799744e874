"""`nfq-guard config`: the settings in force and where each came from."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nfq_guard.cli.options import Format, format_option
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.daemon.settings import describe
from nfq_guard.model.printable import printable


@click.command(
    "config",
    epilog="""\b
Examples:
  nfq-guard config
  nfq-guard config --config ./config.toml --format json
  NFQ_GUARD_FAIL_MODE=open nfq-guard config""",
)
@format_option(Format.TEXT)
@settings_options()
def command(output: Format, config: str | None, **flags: object) -> None:
    """Print the settings in force, and what gave each.

    A flag, an environment variable, the file, or the default.

    Takes the same flags as `run`, and shows what `run` would use.
    """
    rows = list(describe(resolve_settings(config, flags)))
    if output is Format.JSON:
        click.echo(
            json.dumps({key: {"value": value, "origin": origin} for key, value, origin in rows}, indent=2)
        )
        return
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for key, value, origin in rows:
        table.add_row(key, *(escape(printable(text)) for text in (_text(value), origin)))
    Console(soft_wrap=True).print(table)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
