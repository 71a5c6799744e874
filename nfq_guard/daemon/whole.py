"""Rule files, read only when they are whole: nothing that a writer has not finished comes into force.

Owns when a file counts as finished, and what counts as left behind by a writer who was
interrupted. Must never decide what follows: the controller has the time, the keeper the policy.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from nfq_guard.model.problem import ConfigError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nfq_guard.adapters.watch import Activity, FileWatch
    from nfq_guard.resources.source import Source

    Seen = tuple[tuple[Source, ...], tuple[Problem, ...]]

_ATTEMPTS = 3
"""At reading files that somebody writes meanwhile, each time to the end."""
_LOOK_AGAIN_SECONDS = 0.05
"""Where nobody tells us of writers, and somebody waits for the answer."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UnfinishedError(ConfigError):
    """Somebody writes rule files: what is there now is not what is meant. A problem for each that is known."""


class Read(Protocol):
    """Reads the files as they are."""

    def __call__(self, *, anew: bool) -> Seen:
        """Return them, and what could not be read."""


class WholeFiles:
    """Reads rule files while nobody writes them."""

    def __init__(self, read: Read, watch: FileWatch | None, changed: Callable[[Activity], None]) -> None:
        """`changed` is told of events that are heard while reading. No `watch`: files are polled."""
        self._read = read
        self._watch = watch
        self._changed = changed
        self._polled: Seen | None = None

    def read(self, *, anew: bool = False) -> Seen:
        """Return the files, and what could not be read; UnfinishedError while somebody writes them."""
        if self._watch is None:
            return self._read_twice(anew=anew)
        writing: tuple[str, ...] = ()
        for _ in range(_ATTEMPTS):
            self._hear(self._watch)
            writing = self._watch.find_unfinished()
            if writing:
                break
            self._watch.mark()
            seen = self._read(anew=anew)
            self._hear(self._watch)
            writing = self._watch.written
            if not writing:
                return seen
        raise UnfinishedError(Problem(Position(name), "unfinished-file", _UNFINISHED) for name in writing)

    def _hear(self, watch: FileWatch) -> None:
        if watch.drain():
            self._changed(watch.activity)

    def _read_twice(self, *, anew: bool) -> Seen:
        """Return the files if they are as they were the last time; `anew`: as a moment ago."""
        before, self._polled = self._polled, self._read(anew=anew)
        if anew:
            before = self._polled
            time.sleep(_LOOK_AGAIN_SECONDS)
            self._polled = self._read(anew=True)
        if self._polled != before:
            raise UnfinishedError(())
        return self._polled


_UNFINISHED = (
    "the file is being written: nothing is read before whoever has it open closes it; "
    "write a file beside and rename it, and nobody has to wait"
)


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
