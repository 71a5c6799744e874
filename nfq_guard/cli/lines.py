"""JSON lines in, JSON lines out, in bounded memory.

Owns the reading of one document a line, however long the input, and the form of the
answer to a line that cannot be used.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

from nfq_guard.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 1 << 20
"""Bytes. A flow has a few hundred, a selector with its labels a few thousand."""


class Line(NamedTuple):
    """One line: its number from 1, and its document or what is wrong with it."""

    number: int
    document: object
    error: str = ""


def read_lines(stream: BinaryIO) -> Iterator[Line]:
    """Yield each line that is not blank; bad ones carry their error."""
    number = 0
    while data := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(data) > LONGEST_LINE:
            _skip_rest(stream, data)
            yield Line(number, None, f"the line is longer than {LONGEST_LINE} bytes")
        elif data.strip():
            yield _decoded(number, data)


def _decoded(number: int, data: bytes) -> Line:
    try:
        text = data.decode("utf-8-sig" if number == 1 else "utf-8")
        return Line(
            number, json.loads(text.rstrip("\r\n"), object_pairs_hook=_unique, parse_constant=_no_constant)
        )
    except json.JSONDecodeError as error:
        return Line(number, None, f"not JSON: {error.msg} at column {error.colno}")
    except UnicodeDecodeError as error:
        return Line(number, None, f"not UTF-8: byte {error.start + 1} of the line")
    except RecursionError:
        return Line(number, None, "not usable: nested too deeply")
    except ValueError as error:
        return Line(number, None, str(error))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"duplicate key {twice!r}")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"not JSON: {text}")


def _skip_rest(stream: BinaryIO, data: bytes) -> None:
    while data and not data.endswith(b"\n"):
        data = stream.readline(LONGEST_LINE)


def write_line(document: object) -> None:
    """Print one JSON document and flush: a program that asks line by line waits for it."""
    write_text(json.dumps(document, ensure_ascii=False))


def write_text(text: str) -> None:
    """Print one line and flush."""
    # What comes from files may command a terminal, and a label's value may hold a lone
    # surrogate, which JSON can spell and UTF-8 cannot.
    sys.stdout.buffer.write(printable(text).encode() + b"\n")
    sys.stdout.buffer.flush()
