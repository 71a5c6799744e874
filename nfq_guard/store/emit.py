"""Data to YAML and JSON text.

Owns how a value is written so that every YAML reader takes it for what it is: text that
looks like a number, a date or a boolean gets quotes. Must never look at existing text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.resources.scalars import resolve

if TYPE_CHECKING:
    from nfq_guard.store.values import Data

_WORDS = re.compile(r"[A-Za-z_/][^\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufeff\ufffe\uffff]*")
"""Begins like nothing that has a meaning in YAML."""
_ADDRESS = re.compile(
    r"[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?"
    r"|(?=[0-9a-f]+:[0-9a-f]*:)[0-9a-f:]+(?:[0-9a-f]|/[0-9]+)"
)
"""IPv4 and IPv6 addresses and networks: the digits that stand without quotes everywhere."""
_SEXAGESIMAL = re.compile(r"[0-9]+(?::[0-5]?[0-9])+")
_INDICATORS = re.compile(r": |:$| #|\s$")
_FLOW_INDICATORS = re.compile(r"[,\[\]{}:]")
_PRINTABLE = re.compile(
    r"[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\ud800-\udfff\u2028\u2029\ufeff\ufffe\uffff]")
_STEP = 2


class Style(NamedTuple):
    """How blocks are indented."""

    step: int = _STEP
    dash: int = 0
    """Columns by which the dash of a list stands to the right of its key."""


def scalar(value: Data, *, flow: bool = False) -> str:
    """Return a scalar on one line. `flow`: inside braces or brackets."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _stands_plain(value) and not (flow and _FLOW_INDICATORS.search(value)):
        return value
    if _PRINTABLE.fullmatch(value):
        return "'" + value.replace("'", "''") + "'"
    return quoted(value)


def quoted(text: str) -> str:
    """Return text in double quotes, good for JSON and for YAML."""
    escaped = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped)


def _stands_plain(text: str) -> bool:
    if _ADDRESS.fullmatch(text):
        return not _SEXAGESIMAL.fullmatch(text)
    if not _WORDS.fullmatch(text) or _INDICATORS.search(text):
        return False
    return isinstance(resolve(text), str)


def inline(value: Data) -> str | None:
    """Return a value that goes on one line in a block: a scalar or something empty; else None."""
    if isinstance(value, dict):
        return None if value else "{}"
    if isinstance(value, list):
        return None if value else "[]"
    return scalar(value)


def lines(value: Data, column: int, style: Style) -> list[str]:
    """Return a filled mapping or list as block lines that begin at a column (0-based)."""
    if isinstance(value, dict):
        return [line for name, each in value.items() for line in pair(name, each, column, style)]
    return [line for each in value for line in item(each, column, style)]


def pair(name: str, value: Data, column: int, style: Style) -> list[str]:
    """Return the lines of a key with its value."""
    head = " " * column + scalar(name) + ":"
    short = inline(value)
    if short is not None:
        return [f"{head} {short}"]
    inner = column + (style.dash if isinstance(value, list) else style.step)
    return [head, *lines(value, inner, style)]


def item(value: Data, column: int, style: Style) -> list[str]:
    """Return the lines of a list's item."""
    short = inline(value)
    if short is not None:
        return [" " * column + "- " + short]
    first, *rest = lines(value, column + _STEP, style)
    return [" " * column + "- " + first.lstrip(" "), *rest]


def flow(value: Data) -> str:
    """Return a value in braces and brackets on one line, YAML's way."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, flow=True)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value, flow=True)


def json_text(value: Data, indent: int | None = 2) -> str:
    """Return a value as JSON that YAML readers take as well."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def yaml_text(value: Data, style: Style = Style()) -> str:  # noqa: B008 - immutable
    """Return a value as a YAML document, its last line closed."""
    short = inline(value)
    return (short if short is not None else "\n".join(lines(value, 0, style))) + "\n"
