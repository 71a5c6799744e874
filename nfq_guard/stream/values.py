"""Values that fields are compared with: from what somebody wrote, and as canonical text.

Owns what may stand for a value of each kind of field. Must never look at an event.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.addresses import Net, format_address, parse_net
from nfq_guard.model.printable import printable
from nfq_guard.stream.fields import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nfq_guard.stream.fields import Field


class Span(NamedTuple):
    """Numbers from first to last; an exact number is a span of one."""

    first: int
    last: int


Value = str | Span | Net

SHOWN = 40
"""Longer pieces of what somebody wrote are cut in messages."""
_RANGE = re.compile(r"(\d{1,20})(?:-|:|\.\.)(\d{1,20})", re.ASCII)
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_BARE = re.compile(r"[A-Za-z0-9_.:/@+%-]+")
_BARE_PATTERN = re.compile(r"[A-Za-z0-9_.:/@+%*?-]+")
_ESCAPED = re.compile(r'(["\\])')


def shown(piece: str) -> str:
    """Return a piece of what somebody wrote, fit for a message: one line, printable, short."""
    if not piece:
        return "the end"
    cut = piece if len(piece) <= SHOWN else piece[: SHOWN - 1] + "…"
    return f"`{printable(cut)}`"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` where something is near, else nothing."""
    near = get_close_matches(word.lower(), list(known), 3)
    if not near:
        return ""
    # `dprot` is as near to proto as to dport; few mistake the first letter.
    return f"; did you mean {next((each for each in near if each[0] == word[0].lower()), near[0])}?"


def read_value(field: Field, text: str) -> Value:
    """Return the value that a text means to a field; ValueError says what was expected."""
    if field.kind is Kind.NUMBER:
        return _span(field, text)
    if field.kind is Kind.ADDRESS:
        return _net(text)
    if field.kind is Kind.NAME:
        return _name(field, text)
    word = field.words.get(text.lower())
    if word is None:
        expected = ", ".join(dict.fromkeys(field.words.values()))
        raise ValueError(
            f"found {shown(text)}, expected for {field.name} one of {expected}{nearest(text, field.words)}"
        )
    return word


def read_pattern(field: Field, text: str) -> str:
    """Return the pattern that a text means to a field, in its letter case."""
    if not text:
        raise ValueError("found no pattern between the quotes, expected one as in `eth*`")
    return text.lower() if field.kind is Kind.WORD or field.short else text


def _span(field: Field, text: str) -> Span:
    number = field.names.get(text.lower())
    if number is not None:
        return Span(number, number)
    if match := _RANGE.fullmatch(text):
        first, last = int(match[1]), int(match[2])
    elif match := _NUMBER.fullmatch(text):
        first = last = int(text)
    else:
        words = ", ".join(list(field.names)[:6])
        what = f"{words} or a number 0-{field.last}" if words else f"a number 0-{field.last}, or a range"
        raise ValueError(f"found {shown(text)}, expected for {field.name} {what}{nearest(text, field.names)}")
    if first > last:
        raise ValueError(f"found {shown(text)}, expected a range from the lower to the higher number")
    if last > field.last:
        raise ValueError(f"found {shown(text)}, expected for {field.name} a number 0-{field.last}")
    return Span(first, last)


def _net(text: str) -> Net:
    try:
        return parse_net(text, bare=True, host_bits=True)
    except ValueError:
        raise ValueError(
            f"found {shown(text)}, expected an IPv4 or IPv6 address or network, as in 10.0.0.0/8"
        ) from None


def _name(field: Field, text: str) -> str:
    if not text:
        raise ValueError(f"found no name between the quotes, expected one for {field.name}")
    if not field.short:
        return text
    return field.short.get(text.lower(), text.lower())


def written(field: Field, value: Value, *, pattern: bool = False) -> str:
    """Return the text of a value, which reads back as the same."""
    if isinstance(value, Span):
        return _number(field, value)
    if isinstance(value, Net):
        exact = value.first == value.last
        return format_address(value.family, value.first) if exact else str(value)
    if (_BARE_PATTERN if pattern else _BARE).fullmatch(value):
        return value
    return '"' + _ESCAPED.sub(r"\\\1", value) + '"'


def _number(field: Field, span: Span) -> str:
    if span.first != span.last:
        return f"{span.first}-{span.last}"
    words = (word for word, number in field.names.items() if number == span.first)
    return next(words, str(span.first))
