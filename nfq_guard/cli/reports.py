"""What the resource commands say, in calicoctl's words.

Owns those sentences and which of them end a command with exit code 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nfq_guard.cli.main import Exit
from nfq_guard.store.operations import Verb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nfq_guard.model.problem import Problem
    from nfq_guard.store.operations import Outcome


class RefusedError(click.ClickException):
    """The answer is no. Its text is all that is said, as calicoctl says it."""

    exit_code = Exit.NO

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Print the text on standard error."""
        click.echo(self.message, err=True)


def listed(problems: Iterable[Problem | str]) -> str:
    """Return errors in brackets, from the second on each on its own line."""
    return "[" + "\n".join(map(str, problems)) + "]"


def report(verb: Verb, outcome: Outcome) -> None:
    """Print what a command has done; RefusedError where something went wrong."""
    if not outcome.errors:
        click.echo(f"Successfully {verb.value} {outcome.handled} {_what(outcome)}resource(s)")
        return
    # `replace` stops at its first error, so that there is only one, and calicoctl shows it bare.
    errors = outcome.errors[0] if verb is Verb.REPLACE else listed(outcome.errors)
    if not outcome.handled:
        raise RefusedError(f"{_failed(verb, outcome)}: {errors}")
    done = f"{verb.value} the first {outcome.handled} out of {outcome.total}"
    click.echo(f"Partial success: {done} {_what(outcome)}resources:")
    raise RefusedError(f"hit error: {errors}")


def report_deleted(outcome: Outcome) -> None:
    """Print what `delete` has done; RefusedError where something went wrong."""
    if outcome.handled:
        click.echo(f"Successfully deleted {outcome.handled} {_what(outcome)}resource(s)")
    for note in outcome.notes:
        click.echo(note, err=True)
    if outcome.errors:
        what = _what(outcome)
        raise RefusedError("\n".join(f"Failed to delete {what}resource: {error}" for error in outcome.errors))


def refused(verb: str, outcome: Outcome, why: str) -> RefusedError:
    """Return the error of a change that was refused as a whole."""
    return RefusedError(f"{_failed(verb, outcome)}: {why}")


def _failed(verb: Verb | str, outcome: Outcome) -> str:
    word = verb.word if isinstance(verb, Verb) else verb
    if outcome.total == 1:
        return f"failed to {word} '{outcome.single_kind}' resource"
    return f"failed to {word} any {_what(outcome)}resources"


def _what(outcome: Outcome) -> str:
    return f"'{outcome.single_kind}' " if outcome.single_kind else ""
