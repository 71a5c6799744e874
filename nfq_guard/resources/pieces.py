"""A file cut where its documents begin, so that each can be read by itself.

Owns where a file may be cut: only where reading the pieces one by one gives the same
values at the same places as reading it whole. Must never look into a document.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = b"\n---"
_BEHIND_MARK = b" \r\n"
"""`---` at the start of a line, with one of these or nothing behind it, begins a document wherever it
stands, in a block scalar and in quotes as well (YAML 1.2, 9.1.2 c-forbidden)."""

_OTHER_BREAKS = (b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
"""What YAML 1.1 counts as line breaks besides line feed and carriage return, in UTF-8."""


class Piece(NamedTuple):
    """A part of a file: documents that are whole."""

    data: bytes
    above: int
    """Lines of the file above it."""


def cut(data: bytes) -> Iterator[Piece]:
    """Yield a file's pieces in order; together they are the file."""
    starts = list(_starts(data)) if _can_be_cut(data) else []
    above = 0
    for start, end in zip([0, *starts], [*starts, len(data)], strict=True):
        piece = data[start:end]
        yield Piece(piece, above)
        above += piece.count(b"\n")


def _starts(data: bytes) -> Iterator[int]:
    at = data.find(_MARK)
    while at >= 0:
        behind = at + len(_MARK)
        if data[behind : behind + 1] in _BEHIND_MARK:
            yield at + 1
        at = data.find(_MARK, behind)


def _can_be_cut(data: bytes) -> bool:
    # A directive (`%YAML 1.1`) is about the document that the next `---` begins.
    if data.startswith(b"%") or b"\n%" in data:
        return False
    # Line feeds are what is counted.
    return data.count(b"\r") == data.count(b"\r\n") and not any(other in data for other in _OTHER_BREAKS)
