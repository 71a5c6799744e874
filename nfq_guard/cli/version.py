"""`nfq-guard version`."""

from __future__ import annotations

import json
import platform

import click

from nfq_guard import __version__
from nfq_guard.cli.options import Format, format_option


@click.command("version", epilog="\b\nExample:\n  nfq-guard version --format json")
@format_option(Format.TEXT)
def command(output: Format) -> None:
    """Print the version of nfq-guard, Python and the kernel."""
    facts = {
        "version": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }
    if output is Format.JSON:
        click.echo(json.dumps(facts))
        return
    click.echo(f"nfq-guard {__version__} (Python {facts['python']}, kernel {facts['kernel']})")
