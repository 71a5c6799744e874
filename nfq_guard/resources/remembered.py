"""What files said the last time, so that only what changed is read and decoded again.

Owns the pieces' contents and the resources' places. Holds what the files of the last load
said and nothing else. Must never give anything but what reading everything anew would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.problem import Position, Problem
from nfq_guard.resources.inventory import Located
from nfq_guard.resources.pieces import Piece, cut
from nfq_guard.resources.source import MAX_FILE_BYTES, MAX_NODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nfq_guard.resources.base import Resource
    from nfq_guard.resources.kinds import Kind
    from nfq_guard.resources.source import Source
    from nfq_guard.resources.tree import Node


class Identity(NamedTuple):
    """What no two resources may have in common."""

    kind: str
    namespace: str | None
    """Set for kinds that live in a namespace, None for all others."""
    name: str


class Found(NamedTuple):
    """A valid resource, wherever it stands."""

    kind: Kind
    identity: Identity
    value: Resource
    node: Node


class Content(NamedTuple):
    """What a piece says. Lines are counted from where it begins, and no file is named."""

    found: tuple[Found, ...]
    problems: tuple[Problem, ...]
    values: int
    stands_alone: bool
    """False: read with the rest of its file, it may be said to be wrong in other words."""


class Placed(NamedTuple):
    """A content at its place."""

    resources: tuple[tuple[Found, Located[Resource]], ...]
    problems: tuple[Problem, ...]


class _File(NamedTuple):
    data: bytes
    contents: Mapping[Piece, Content]
    places: Mapping[Piece, Placed]
    """Of its pieces; while it must be read whole, those from before."""
    placed: tuple[Placed, ...]


class Remembered:
    """The files of the last load."""

    def __init__(self, read: Callable[[bytes], Content]) -> None:
        """Know no file yet. `read` says what a piece holds, a function of its bytes alone."""
        self._read = read
        self._files: dict[str, _File] = {}
        self._contents: dict[bytes, Content] = {}

    def place(self, sources: Iterable[Source]) -> list[Placed]:
        """Return what files say. What says the same at the same place is the same object as last time."""
        files: dict[str, _File] = {}
        placed: list[Placed] = []
        for source in sources:
            # What two files of one name say is declared twice, and must not look like one.
            file = self._files.get(source.name) if source.name not in files else None
            if file is None or file.data != source.data:
                file = self._place(source, file)
            files[source.name] = file
            placed += file.placed
        self._files = files
        self._contents = {
            piece.data: content for file in files.values() for piece, content in file.contents.items()
        }
        return placed

    def _place(self, source: Source, before: _File | None) -> _File:
        pieces = cut(source.data) if len(source.data) <= MAX_FILE_BYTES else (Piece(source.data, 0),)
        contents = {piece: self._content(piece) for piece in pieces}
        places = {} if before is None else before.places
        if len(contents) > 1 and not _stand_alone(contents.values()):
            whole = _at(source.name, Piece(source.data, 0), self._read(source.data))
            return _File(source.data, contents, places, (whole,))
        places = {
            piece: places.get(piece) or _at(source.name, piece, content)
            for piece, content in contents.items()
        }
        return _File(source.data, contents, places, tuple(places.values()))

    def _content(self, piece: Piece) -> Content:
        found = self._contents.get(piece.data)
        if found is None:
            found = self._contents[piece.data] = self._read(piece.data)
        return found


def _stand_alone(contents: Iterable[Content]) -> bool:
    values = 0
    for content in contents:
        values += content.values
        if not content.stands_alone or values > MAX_NODES:
            return False
    return True


def _at(file: str, piece: Piece, content: Content) -> Placed:
    return Placed(
        tuple((found, _located(file, piece.above, found)) for found in content.found),
        tuple(_moved(problem, file, piece.above) for problem in content.problems),
    )


def _located(file: str, above: int, found: Found) -> Located[Resource]:
    node = found.node
    origin = Position(file, above + node.line, node.column)
    return Located(found.value, found.identity.kind, origin, node, found.identity.namespace, above)


def _moved(problem: Problem, file: str, above: int) -> Problem:
    _, line, column = problem.position
    return problem._replace(position=Position(file, line + above if line else 0, column))
