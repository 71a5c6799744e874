"""`nfq-guard check`: everything that is wrong with some files, as a compiler says it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import click

from nfq_guard.adapters.files import read_sources
from nfq_guard.cli.main import Exit
from nfq_guard.cli.options import EXISTING, Format, format_option
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.model.printable import printable
from nfq_guard.model.problem import Severity
from nfq_guard.resources import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nfq_guard.model.problem import Problem
    from nfq_guard.resources import Source

_WIDEST_EXCERPT = 160
"""Characters shown of a line; a minified file may be one line."""
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


@click.command(
    "check",
    epilog="""\b
Examples:
  nfq-guard check
  nfq-guard check rules/
  nfq-guard check --format json policy.yaml endpoints/ | jq '.[].message'""",
)
@click.argument("paths", nargs=-1, type=EXISTING, metavar="[PATH...]")
@settings_options("rules")
@format_option(Format.TEXT)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    output: Format,
    config: str | None,
    **flags: object,
) -> None:
    """Check resources and report every problem.

    Those of PATH, or without any PATH the rules in force: of --rules, or of the settings.
    The exit code is 1 if there is any error; warnings alone leave it 0.
    """
    if paths and flags["rules"]:
        raise click.UsageError("give either PATH... or --rules")
    sources, unreadable = read_sources(paths or resolve_settings(config, flags).settings.rules)
    inventory, found = load(sources)
    problems = sorted({*unreadable, *found, *inventory.warnings})
    if output is Format.JSON:
        click.echo(json.dumps([problem_object(problem) for problem in problems], indent=2))
    else:
        _print_text(problems, sources)
    errors = any(problem.severity is Severity.ERROR for problem in problems)
    ctx.exit(Exit.NO if errors else Exit.GOOD)


def problem_object(problem: Problem) -> dict[str, object]:
    """Return a problem as the JSON object that `check` prints."""
    return {
        "file": problem.position.file,
        "line": problem.position.line,
        "column": problem.position.column,
        "kind": problem.kind,
        "name": problem.name,
        "field": problem.field,
        "code": problem.code,
        "message": problem.message,
        "severity": problem.severity,
    }


def _print_text(problems: Sequence[Problem], sources: Sequence[Source]) -> None:
    excerpts = Excerpts({source.name: source.data for source in sources})
    for problem in problems:
        click.echo(_headline(problem))
        for line in excerpts.around(problem):
            click.echo(line)
    click.echo(_summary(problems, len(sources)))


def _headline(problem: Problem) -> str:
    severity = click.style(f"{problem.severity}:", fg=_COLOURS[problem.severity], bold=True)
    whose = f"{problem.kind}({problem.name}) " if problem.kind else ""
    where = f"{problem.field}: " if problem.field else ""
    what = printable(f"{whose}{where}{problem.message} [{problem.code}]")
    return f"{printable(str(problem.position))}: {severity} {what}"


def _summary(problems: Iterable[Problem], files: int) -> str:
    counts = Counter(problem.severity for problem in problems)
    said = [_plural(counts[severity], severity) for severity in Severity if counts[severity]]
    return f"{', '.join(said) or 'no problem'} in {_plural(files, 'file')}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class _Window(NamedTuple):
    """What is shown of a line, and where its caret stands (0-based)."""

    text: str
    caret: int


class Excerpts:
    """Finds the lines that problems point at. Files are split once, when first asked."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Show lines of these files, by name."""
        self._files = files
        self._lines: dict[str, list[str]] = {}

    def around(self, problem: Problem) -> Iterator[str]:
        """Yield the line of a problem and a caret below it; nothing where there is no line."""
        file, line, column = problem.position
        lines = self._lines_of(file)
        if not 0 < line <= len(lines):
            return
        window = _window(lines[line - 1], max(column, 1))
        gutter = f"{line:>5} | "
        yield gutter + window.text
        yield " " * (len(gutter) - 2) + "| " + " " * window.caret + "^"

    def _lines_of(self, file: str) -> list[str]:
        if file not in self._lines:
            text = self._files.get(file, b"").decode("utf-8", "replace")
            self._lines[file] = text.removeprefix("\ufeff").split("\n")
        return self._lines[file]


def _window(line: str, column: int) -> _Window:
    """Return a printable part of a line around a column (1-based)."""
    start = max(0, column - 1 - _WIDEST_EXCERPT // 2) if len(line) > _WIDEST_EXCERPT else 0
    shown = line[start : start + _WIDEST_EXCERPT]
    # One column a character: tabs would move the caret, control characters the terminal.
    text = "".join(letter if letter.isprintable() else " " for letter in shown)
    return _Window(text.rstrip(), min(column - 1 - start, len(shown)))
