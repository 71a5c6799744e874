"""`nfq-guard top`: what a running guard does, on the whole screen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from nfq_guard.cli.control import unreachable
from nfq_guard.cli.follow import RefusedError
from nfq_guard.cli.main import CommandFailedError
from nfq_guard.cli.options import facts_option, rules_option
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.cli.watch import completed_filter, given_filter
from nfq_guard.model.printable import printable

if TYPE_CHECKING:
    from nfq_guard.cli.screen.feed import Feed

_DENIALS = ("deny",)
"""What is shown where nothing is asked for: it costs the guard next to nothing."""


@click.command(
    "top",
    epilog="""\b
Examples:
  nfq-guard top
  nfq-guard top 'deny and in and not dport 22'
  nfq-guard top 'allow or deny'

Keys and figures: docs/top.md.""",
)
@click.argument(
    "words",
    nargs=-1,
    metavar="[FILTER...]",
    shell_complete=lambda _ctx, _parameter, begun: completed_filter(begun),
)
@rules_option()
@facts_option()
@settings_options("control", "node", "allow_neighbor_discovery")
def command(
    words: tuple[str, ...],
    *,
    rules: tuple[str, ...],
    facts: tuple[str, str] | None,
    config: str | None,
    **flags: object,
) -> None:
    """Show on the whole screen what a running guard does.

    Its health, verdicts a second, packets by policy and rule, what is denied most, and
    the latest verdicts that FILTER means (denials, if there is none), as for `watch`.
    Enter says why the chosen one came about, by the guard's own rule files,
    or those of --rules, as they are now.

    Keys: / filter, s sort, g by policy, p pause, z zoom, Enter why, q quit.
    """
    from nfq_guard.cli.explaining import Explaining  # noqa: PLC0415 - `--help` must not pay for it
    from nfq_guard.cli.screen.app import Top  # noqa: PLC0415 - likewise, and nobody else needs Textual
    from nfq_guard.cli.screen.feed import Feed  # noqa: PLC0415 - likewise
    from nfq_guard.cli.sources import Asked, source_of  # noqa: PLC0415 - likewise

    wanted = given_filter(" ".join(words or _DENIALS))
    # Textual draws on standard error.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise click.UsageError(
            "top wants a terminal to draw on; for a pipe or a file there is `nfq-guard watch`"
        )
    resolved = resolve_settings(config, flags)
    control = resolved.settings.control
    feed = Feed(control, wanted)
    try:
        _connect(feed, control, f"{control} (--control, from {resolved.origins['control']})")
        feed.start()
        source = source_of(Asked(rules, facts, flags, resolved.settings), feed.sources)
        Top(feed, Explaining(source)).run()
        if feed.fault is not None:
            raise feed.fault
    finally:
        feed.close()


def _connect(feed: Feed, control: str, place: str) -> None:
    try:
        feed.connect()
    except RefusedError as error:
        raise CommandFailedError(printable(f"{control}: {error}")) from error
    except OSError as error:
        raise CommandFailedError(printable(unreachable(place, error))) from error
