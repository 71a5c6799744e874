"""`nfq-guard config`: the settings in force and where each came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nfq_guard.cli.options import Format, format_option
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.daemon.settings import describe
from nfq_guard.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.daemon.settings import Resolved


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
    rows = list(_rows(resolve_settings(config, flags)))
    if output is Format.JSON:
        click.echo(
            json.dumps({key: {"value": value, "origin": origin} for key, value, origin in rows}, indent=2)
        )
        return
    cells = [("setting", "value", "from")]
    cells += [(key, printable(_text(value)), printable(origin)) for key, value, origin in rows]
    # One very long value does not push all places out of sight; it is never cut either.
    widths = [min(max(len(row[column]) for row in cells), _WIDEST) for column in (0, 1)]
    for key, value, origin in cells:
        click.echo(f"{key:<{widths[0]}}  {value:<{widths[1]}}  {origin}")


_WIDEST = 40


def _rows(resolved: Resolved) -> Iterator[tuple[str, object, str]]:
    """Yield key, value and origin; the node as `run` would name it."""
    from nfq_guard.adapters.host import node_name  # noqa: PLC0415 - pyroute2 is slow to import

    for key, value, origin in describe(resolved):
        if key == "node" and not value:
            yield key, node_name(), f"{origin}, the host name"
        else:
            yield key, value, origin


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
