"""Whether rule files are whole: nothing that an interrupted writer leaves behind comes into force.

Owns what counts as left behind. Must never read a file itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.model.problem import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nfq_guard.resources.source import Source

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def emptied(before: Callable[[], Iterable[Source]], now: Iterable[Source]) -> tuple[Problem, ...]:
    """Return a problem for each file that had content and has none any more, not even a comment.

    `before` is asked for the files of then only if one is empty now. An interrupted copy or a full disk leaves that behind; who means it can say so.
    """
    empty = [source.name for source in now if _is_empty(source.data)]
    if not empty:
        return ()
    had_content = {source.name for source in before() if not _is_empty(source.data)}
    message = (
        "the file is empty and had content: an interrupted copy or a full disk leaves that behind; "
        "write it anew, or, if it is meant to say nothing, delete it or leave a comment in it"
    )
    return tuple(Problem(Position(name), "emptied-file", message) for name in empty if name in had_content)


def _is_empty(data: bytes) -> bool:
    data = data.removeprefix(_BYTE_ORDER_MARK)
    return not data or data.isspace()
