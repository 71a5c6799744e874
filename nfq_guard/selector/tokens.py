"""Selector text to tokens, one at a time.

Owns what a word means where it stands: the same `in` is a label name where an operand
is expected and an operator right after a label (Calico's rule). Must never look at more
than the previous token: grammar belongs to the parser.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from nfq_guard.selector import hints
from nfq_guard.selector.errors import SelectorError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LABEL = 512
"""Longest label name in bytes (names are ASCII); Calico's tokenizer has the same limit."""


class Kind(Enum):
    """What a token is."""

    LABEL = auto()
    STRING = auto()
    HAS = auto()
    ALL = auto()
    GLOBAL = auto()
    EQ = auto()
    NE = auto()
    IN = auto()
    NOT_IN = auto()
    CONTAINS = auto()
    STARTS_WITH = auto()
    ENDS_WITH = auto()
    NOT = auto()
    AND = auto()
    OR = auto()
    LPAREN = auto()
    RPAREN = auto()
    LBRACE = auto()
    RBRACE = auto()
    COMMA = auto()
    END = auto()


class Token(NamedTuple):
    """One token and where it stands."""

    kind: Kind
    value: str
    """Label name of LABEL and HAS, text between the quotes of STRING; else empty."""
    column: int
    """1-based character of its first character."""
    text: str
    """As written; empty for END."""


PUNCTUATION = {
    "==": Kind.EQ,
    "!=": Kind.NE,
    "&&": Kind.AND,
    "||": Kind.OR,
    "!": Kind.NOT,
    "(": Kind.LPAREN,
    ")": Kind.RPAREN,
    "{": Kind.LBRACE,
    "}": Kind.RBRACE,
    ",": Kind.COMMA,
}

OPERATOR_WORDS = {
    "in": Kind.IN,
    "notin": Kind.NOT_IN,
    "contains": Kind.CONTAINS,
    "startswith": Kind.STARTS_WITH,
    "endswith": Kind.ENDS_WITH,
}
"""Keyed without the blanks that may stand between two words."""

CALLS = {"all": Kind.ALL, "global": Kind.GLOBAL}

BLANKS = " \t"

_NAME = r"[a-zA-Z0-9_./-]+"
_COMMON = r"""
    (?P<string> "[^"]*" | '[^']*' )
  | (?P<mark> ==(?!=) | != | && | \|\| | [!(){},] )
"""
_OPERAND = re.compile(
    rf"""{_COMMON}
  | has\( [ \t]* (?P<has>{_NAME}) [ \t]* \)
  | (?P<call> all | global ) \( [ \t]* \)
  | (?P<opened> (?:has|all|global)\( )
  | (?P<name>{_NAME})
""",
    re.VERBOSE,
)
_AFTER_LABEL = re.compile(
    rf"""{_COMMON}
  | (?P<word> in | contains | not [ \t]* in | (?:starts|ends) [ \t]* with ) (?![a-zA-Z0-9_./-])
""",
    re.VERBOSE,
)
_WORD = re.compile(_NAME)
_SURROGATE = re.compile("[\ud800-\udfff]")


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a selector, last an END.

    Lazy, so that the parser's complaint about a token comes before the tokenizer's about
    a later one. Raises SelectorError on reaching text that is no token.
    """
    _refuse_surrogates(text)
    at = _skip_blanks(text, 0)
    label: str | None = None
    while at < len(text):
        match = (_OPERAND if label is None else _AFTER_LABEL).match(text, at)
        if match is None:
            _refuse(text, at, label)
        token = _token(match)
        yield token
        label = token.value if token.kind is Kind.LABEL else None
        at = _skip_blanks(text, match.end())
    yield Token(Kind.END, "", len(text) + 1, "")


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _token(match: re.Match[str]) -> Token:
    """Return the token of a match, named by the one group that took part in it."""
    group, whole, column = match.lastgroup or "", match.group(), match.start() + 1
    if group == "opened":
        message, at = hints.unclosed_call(match.string, match.end(), whole)
        raise SelectorError(message, at + 1, match.string)
    piece = match.group(group)
    if group in {"name", "has"} and len(piece) > MAX_LABEL:
        raise SelectorError(hints.label_too_long(piece, MAX_LABEL), match.start(group) + 1, match.string)
    kind, value = _classify(group, piece)
    return Token(kind, value, column, whole)


def _classify(group: str, piece: str) -> tuple[Kind, str]:
    if group == "mark":
        return PUNCTUATION[piece], ""
    if group == "string":
        return Kind.STRING, piece[1:-1]
    if group == "has":
        return Kind.HAS, piece
    if group == "call":
        return CALLS[piece], ""
    if group == "word":
        return OPERATOR_WORDS[re.sub(r"[ \t]", "", piece)], ""
    return Kind.LABEL, piece


def _refuse(text: str, at: int, label: str | None) -> NoReturn:
    word = _WORD.match(text, at)
    if label is not None and word is not None:
        raise SelectorError(hints.unknown_operator(label, word.group()), at + 1, text)
    raise SelectorError(hints.stray(text[at : at + hints.LONGEST_STRAY]), at + 1, text)


def _refuse_surrogates(text: str) -> None:
    """Refuse what is no Unicode text (JSON can spell half a character): it has no bytes to hash."""
    if not text.isascii() and (found := _SURROGATE.search(text)):
        raise SelectorError(hints.half_character(found.group()), found.start() + 1, text)
