"""`nfq-guard selector`: does a selector match labels, and what is its canonical text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from nfq_guard.cli.lines import read_lines, write_line, write_text
from nfq_guard.cli.main import Exit
from nfq_guard.cli.options import Format, format_option
from nfq_guard.selector import SelectorCache, SelectorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Answer = dict[str, object]

_REMEMBERED = 1024
_KEYS = {"selector", "labels"}


@click.command(
    "selector",
    epilog="""\b
Examples:
  nfq-guard selector "role == 'web' && has(zone)" --labels role=web,zone=a
  echo '{"selector": "has(a)", "labels": {"a": ""}}' | nfq-guard selector -""",
)
@click.argument("expression", required=False, metavar="[EXPRESSION | -]")
@click.option(
    "--labels", metavar="K=V,...", help="Labels that EXPRESSION is asked about, separated by commas."
)
@format_option(Format.JSON)
@click.pass_context
def command(ctx: click.Context, expression: str | None, labels: str | None, output: Format) -> None:
    """Evaluate selectors.

    With EXPRESSION: that one, against --labels. Without, or with '-': JSON lines
    {"selector": ..., "labels": {...}} from standard input. Each answer is
    {"matches": ..., "canonical": ...} or {"error": ..., "column": ...}; the exit code
    is 1 if any selector was invalid.
    """
    if expression is None or expression == "-":
        if labels is not None:
            raise click.UsageError("--labels goes with an EXPRESSION; JSON lines carry their own")
        answers = _batch(SelectorCache(_REMEMBERED))
    else:
        answers = iter([evaluate(SelectorCache(_REMEMBERED), expression, parse_labels(labels or ""))])
    good = True
    for answer in answers:
        good = good and "error" not in answer
        if output is Format.JSON:
            write_line(answer)
        else:
            write_text(_sentence(answer))
    ctx.exit(Exit.GOOD if good else Exit.NO)


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels of `k=v,k2=v2`; a usage error for anything else."""
    found: dict[str, str] = {}
    for part in text.split(","):
        if not part:
            continue
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--labels must be k=v,..., found {part!r}")
        if key in found:
            raise click.UsageError(f"--labels names {key!r} twice")
        found[key] = value
    return found


def _batch(cache: SelectorCache) -> Iterator[Answer]:
    for line in read_lines(sys.stdin.buffer):
        error = line.error or _wrong(line.document)
        if error:
            yield {"error": error, "line": line.number}
            continue
        assert isinstance(line.document, dict)  # noqa: S101 - _wrong saw to it
        yield evaluate(cache, line.document["selector"], line.document.get("labels") or {})


def _wrong(document: object) -> str:
    """Return what keeps a document from being a question, or an empty string."""
    if not isinstance(document, dict) or not isinstance(document.get("selector"), str):
        return "expected an object with 'selector', a text, and 'labels', an object of texts"
    unknown = sorted(document.keys() - _KEYS)
    if unknown:
        return f"unknown key {unknown[0]!r}; there are 'selector' and 'labels'"
    labels = document.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        return "'labels' must be an object of texts"
    return ""


def evaluate(cache: SelectorCache, expression: str, labels: Mapping[str, str]) -> Answer:
    """Return the answer to one question."""
    try:
        selector = cache.get(expression)
    except SelectorError as error:
        return {"error": error.message, "column": error.column}
    return {"matches": selector.matches(labels), "canonical": selector.canonical}


def _sentence(answer: Answer) -> str:
    if "column" in answer:
        return f"column {answer['column']}: error: {answer['error']}"
    if "error" in answer:
        return f"line {answer['line']}: error: {answer['error']}"
    return f"{'matches' if answer['matches'] else 'does not match'}: {answer['canonical']}"
