"""`nfq-guard run`: guard this network namespace."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.model.problem import ConfigError, Position, Problem

if TYPE_CHECKING:
    from nfq_guard.daemon.settings import Settings


@click.command(
    "run",
    epilog="""\b
Examples:
  nfq-guard run --rules rules/
  nfq-guard run --rules rules/ --node worker-1 --fail-mode open
  nfq-guard run --config /etc/nfq-guard/config.toml

Every flag is also a key of the TOML file (fail_mode) and a variable (NFQ_GUARD_FAIL_MODE).
Flags win over variables, variables over the file. SIGHUP reads the rules again; they are
read on every change anyhow. SIGTERM stops cleanly and leaves no table behind.""",
)
@settings_options()
@click.pass_context
def command(ctx: click.Context, /, config: str | None, **flags: object) -> None:
    """Guard this network namespace, in the foreground.

    Logs to standard error. Exits 0 after a clean stop, 1 if the rules are invalid, 3 if
    the kernel, an address or a socket could not be had.
    """
    # What is made from here until the guard serves is there to stay: no need to look through it meanwhile.
    gc.disable()
    try:
        from nfq_guard.daemon.controller import run  # noqa: PLC0415 - `run --help` must not load the daemon

        settings = resolve_settings(config, flags).settings
        _insist_on_rules(settings)
        code = run(settings)
    finally:
        gc.enable()
    ctx.exit(code)


def _insist_on_rules(settings: Settings) -> None:
    """Refuse rules that are not there before anything is made; ConfigError names all of them.

    With a state folder there may be a last good policy: then the daemon decides.
    """
    if Path(settings.state).exists():
        return
    missing = [path for path in settings.rules if not Path(path).exists()]
    if missing:
        message = "there is no such file or folder with rules"
        raise ConfigError(Problem(Position(path), "unreadable", message) for path in missing)
