"""The group of commands, and what exit codes mean.

Owns the list of commands and the one place where an exception becomes a message and
an exit code. Commands are imported when they are asked for: `decide` must not pay for
what only `run` needs.
"""

from __future__ import annotations

import importlib
import os
import sys
from difflib import get_close_matches
from enum import IntEnum

import click

from nfq_guard import __version__
from nfq_guard.model.printable import printable
from nfq_guard.model.problem import ConfigError


class Exit(IntEnum):
    """Exit codes of every command."""

    GOOD = 0
    NO = 1
    """The answer is no: invalid input, an expectation denied, differences found."""
    USAGE = 2
    """Wrong usage (click's own code for it)."""
    FAILED = 3
    """Could not do it: no such daemon, no permission, the kernel refuses."""


class CommandFailedError(click.ClickException):
    """The command is right and so is its input, but it could not be done."""

    exit_code = Exit.FAILED


COMMANDS = (
    *("run", "check", "decide", "explain", "selector", "render", "status", "watch", "top"),
    *("get", "apply", "create", "replace", "delete", "patch", "label", "validate"),
    *("config", "completion", "version"),
)
"""In the order of `--help`; each is `command` of the module of its name."""


class _Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"nfq_guard.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a bug in the module of that name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], COMMANDS, 1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  nfq-guard check rules/
  nfq-guard run --rules rules/
  nfq-guard status

\b
Exit codes: 0 good; 1 the answer is no (invalid, differences found);
2 wrong usage; 3 could not do it.""",
)
@click.version_option(__version__, prog_name="nfq-guard", message="%(prog)s %(version)s")
def cli() -> None:
    """Guard a host with Calico v3 policy from files."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    try:
        cli.main(arguments, prog_name="nfq-guard")
    except ConfigError as error:
        for problem in error.problems:
            click.echo(printable(str(problem)), err=True)
        sys.exit(Exit.NO)
    except BrokenPipeError:
        # The reader has what it wanted (`| head`). Python would complain again while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.NO)
    except OSError as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(Exit.FAILED)
