"""Replacements in a text, collected first and made all at once.

Owns characters and lines. Must never know YAML.
"""

from __future__ import annotations

from typing import NamedTuple


class Replacement(NamedTuple):
    """New text for the characters `start` up to but not including `end`."""

    start: int
    end: int
    text: str


class Changes:
    """What is to change in a text. Places are always those of the text as it was."""

    def __init__(self, text: str) -> None:
        """Begin without a change."""
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self._made: list[Replacement] = []

    def replace(self, start: int, end: int, text: str) -> None:
        """Put text in place of what stands there."""
        assert start <= end  # noqa: S101 - a bug in the caller
        self._made.append(Replacement(start, end, text))

    def insert_lines(self, after: int, lines: list[str]) -> None:
        """Put lines below the line that a character stands in, behind those put there before."""
        end = self.line_end(after)
        if end == len(self.text):
            # The last line is not closed, and stays so.
            self.replace(end, end, "".join(self.newline + line for line in lines))
        else:
            self.replace(end + 1, end + 1, "".join(line + self.newline for line in lines))

    def remove_lines(self, first: int, last: int) -> None:
        """Take out the lines from the one that `first` stands in to the one that `last` stands in."""
        self.replace(self.line_start(first), min(self.line_end(last) + 1, len(self.text)), "")

    def mark(self) -> int:
        """Return a point to come back to."""
        return len(self._made)

    def undo_to(self, mark: int) -> None:
        """Forget what was collected after a point."""
        del self._made[mark:]

    def line_start(self, place: int) -> int:
        """Return where the line of a character begins."""
        return self.text.rfind("\n", 0, place) + 1

    def line_end(self, place: int) -> int:
        """Return where the line feed of a character's line is, or the end of the text."""
        found = self.text.find("\n", place)
        return len(self.text) if found < 0 else found

    def alone_on_line(self, place: int) -> bool:
        """Return whether only blanks stand before a character on its line."""
        return not self.text[self.line_start(place) : place].strip()

    def heading(self, place: int, column: int) -> int:
        """Return where the comment lines begin that stand directly above a character's line, else that line.

        One that is indented deeper than `column` is about what stands above it; one that
        begins the text is about all of it.
        """
        first = self.line_start(place)
        while first > 0:
            above = self.line_start(first - 1)
            indent = _comment_indent(self.text[above:first])
            if indent is None or indent > column or above == 0:
                break
            first = above
        return first

    def tail(self, place: int, column: int) -> int:
        """Return the last line of a part that ends at a character: comments below it, indented deeper, are its own."""
        last = self.line_end(place)
        while last < len(self.text):
            below = self.line_end(last + 1)
            indent = _comment_indent(self.text[last + 1 : below])
            if indent is None or indent <= column:
                break
            last = below
        return last

    def result(self) -> str:
        """Return the text with all changes; ValueError where two of them overlap."""
        parts: list[str] = []
        reached = 0
        # What is put before a character comes ahead of what takes the character's place.
        for start, end, text in sorted(self._made, key=lambda made: (made.start, made.end)):
            if start < reached:
                raise ValueError("changes overlap")
            parts += [self.text[reached:start], text]
            reached = end
        return "".join([*parts, self.text[reached:]])


def _comment_indent(line: str) -> int | None:
    """Return how deep a line is indented that holds a comment and nothing else."""
    comment = line.lstrip(" ")
    return len(line) - len(comment) if comment.startswith("#") else None
