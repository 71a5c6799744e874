"""The one error a selector's text can cause, and how found text is shown in it.

Must never be raised for anything but the text an operator wrote.
"""

from __future__ import annotations

SHOWN_LENGTH = 40
"""Longer pieces of the operator's text are cut in messages: a message is one line."""

CONTROL_NAMES = {"\n": "a line break", "\r": "a carriage return", "\0": "a NUL character"}


class SelectorError(ValueError):
    """A selector cannot be read: what was found, what was expected, and where.

    `message` says it without the place; `column` is the 1-based character at which
    reading stopped (one past the last for a selector that ends too early); `text` is
    the whole selector.
    """

    def __init__(self, message: str, column: int, text: str) -> None:
        """Keep the three parts; all are needed to rebuild a pickled error."""
        super().__init__(message, column, text)
        self.message = message
        self.column = column
        self.text = text

    def __str__(self) -> str:
        """Return the message with its column."""
        return f"column {self.column}: {self.message}"


def show(piece: str) -> str:
    """Return a piece of the operator's text fit for a message: one line, printable, short."""
    if piece in CONTROL_NAMES:
        return CONTROL_NAMES[piece]
    if len(piece) > SHOWN_LENGTH:
        piece = piece[: SHOWN_LENGTH - 1] + "…"
    printable = "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in piece)
    return f"`{printable}`"


def quoted(value: str) -> str:
    """Return a value as a selector's string literal; ValueError if it holds both kinds of quotes."""
    if '"' not in value:
        return f'"{value}"'
    if "'" not in value:
        return f"'{value}'"
    raise ValueError(f"no string literal can hold both kinds of quotes: {value!r}")
