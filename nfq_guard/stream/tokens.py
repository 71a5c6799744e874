"""Filter text to tokens, and the one error that a filter's text can cause.

Owns what holds a word together. What a word means depends on where it stands, and is
the parser's business.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.stream.values import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LENGTH = 4096
"""Characters of a filter."""


class FilterError(ValueError):
    """A filter cannot be read: what was found, what was expected, and where.

    `message` says it without the place; `column` is the 1-based character at which
    reading stopped (one past the last for a filter that ends too early); `text` is the
    whole filter.
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


class Sort(Enum):
    """What a token is."""

    WORD = auto()
    STRING = auto()
    MARK = auto()
    END = auto()


class Token(NamedTuple):
    """One token and where it stands."""

    sort: Sort
    value: str
    """A word or a mark as written; a string's text without quotes and backslashes."""
    column: int
    """1-based character of its first character."""
    text: str
    """As written; empty for END."""

    def says(self, *words: str) -> bool:
        """Return whether it is one of these words or marks, words in any letter case."""
        return self.sort in {Sort.WORD, Sort.MARK} and self.value.lower() in words


_TOKEN = re.compile(
    r"""
    (?P<blank> \s+ )
  | (?P<string> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
  | (?P<mark> == | != | <= | >= | !~ | && | \|\| | [=<>!~(){},] )
  | (?P<word> [^\s"'=<>!~(){},&|]+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SORTS = {"string": Sort.STRING, "mark": Sort.MARK, "word": Sort.WORD}


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a filter, last an END.

    Lazy, so that the parser's complaint about a token comes before ours about a later one.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(
            f"found {len(text)} characters, expected at most {MAX_LENGTH}", MAX_LENGTH + 1, text
        )
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FilterError(_stray(text[at:]), at + 1, text)
        sort = _SORTS.get(match.lastgroup or "")
        if sort is not None:
            piece = match.group()
            value = _ESCAPE.sub(r"\1", piece[1:-1]) if sort is Sort.STRING else piece
            yield Token(sort, value, at + 1, piece)
        at = match.end()
    yield Token(Sort.END, "", len(text) + 1, "")


def _stray(rest: str) -> str:
    if rest[0] in "\"'":
        return f"found a {rest[0]} that no second {rest[0]} closes"
    return f"found a single {shown(rest[0])}, expected `{rest[0] * 2}`"
