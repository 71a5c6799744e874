"""Rules as people wrote them, cut out of the files in force.

Owns where a rule's text ends. It is for eyes alone: what a rule means, its chain knows.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nfq_guard.resources.source import Source

MOST_LINES = 24
LONGEST_LINE = 200
"""A longer one is a whole document on one line: the place says more."""


class RuleTexts:
    """The files in force, as far as somebody asks for a rule of them. Made for one answer."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Split nothing yet."""
        self._data = {source.name: source.data for source in sources}
        self._lines: dict[str, list[str]] = {}

    def text(self, file: str, line: int) -> str:
        """Return the rule that begins in a line, from 1; empty where it is not to be had."""
        if file not in self._lines:
            data = self._data.get(file, b"")
            self._lines[file] = data.decode("utf-8", "replace").splitlines()
        return excerpt(self._lines[file], line)


def excerpt(lines: Sequence[str], line: int) -> str:
    """Return the item that begins in a line: that and what is indented deeper, without its indentation."""
    if not 0 < line <= len(lines):
        return ""
    first = lines[line - 1]
    taken = [first]
    for following in lines[line : line + MOST_LINES]:
        if following.strip() and _indent(following) <= _indent(first):
            break
        taken.append(following)
    if any(len(each) > LONGEST_LINE for each in taken):
        return ""
    more = "\n…" if len(taken) > MOST_LINES else ""
    while not taken[-1].strip() or taken[-1].lstrip().startswith("#"):
        taken.pop()
        if not taken:
            return ""
    return textwrap.dedent("\n".join(taken[:MOST_LINES])) + more


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
