"""A file's text in pieces: one for each of its documents.

Owns where one document ends and the next begins, so that an edit of one cannot reach
another. Must never change a piece by itself.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents
from nfq_guard.store.edit import CannotEditError
from nfq_guard.store.items import items_of
from nfq_guard.store.spans import read_spans

if TYPE_CHECKING:
    from nfq_guard.store.items import Item


class TextFile:
    """A file's documents; those that are changed are put back whole with `join`."""

    def __init__(self, source: Source) -> None:
        """Take a file apart; CannotEditError if it cannot be read."""
        documents = read_documents(source)
        if documents.problems:
            raise CannotEditError
        self.name = source.name
        self._mark = codecs.BOM_UTF8 if source.data.startswith(codecs.BOM_UTF8) else b""
        text = source.data[len(self._mark) :].decode()
        starts = [document.start for document in read_spans(text)]
        ends = [*starts[1:], len(text)]
        self.pieces = [text[start:end] for start, end in zip([0, *starts[1:]], ends, strict=True)] or [text]
        self._items: dict[int, list[Item]] = {
            number: list(items_of(root, source.name)) for number, root in enumerate(documents.roots)
        }

    def items(self) -> list[tuple[int, Item]]:
        """Return every resource with the number of its piece."""
        return [(number, item) for number, items in self._items.items() for item in items]

    def items_of(self, number: int) -> list[Item]:
        """Return the resources of one piece."""
        return self._items.get(number, [])

    def put(self, number: int, text: str) -> None:
        """Put a document in place of another."""
        self.pieces[number] = text
        roots = read_documents(Source(self.name, text.encode())).roots
        self._items[number] = [item for root in roots for item in items_of(root, self.name)]

    def drop(self, number: int) -> None:
        """Take a document out. What heads the file, set off by a blank line or `---`, stays."""
        piece = self.pieces[number]
        self.pieces[number] = _head(piece) if number == 0 else ""
        self._items[number] = []

    def append(self, text: str) -> None:
        """Put a document behind all others, on lines of its own."""
        newline = "\r\n" if "\r\n" in self.join().decode() else "\n"
        last = "".join(self.pieces)
        closed = newline if last and not last.endswith("\n") else ""
        mark = f"---{newline}" if last.strip() else ""
        self.pieces.append("")
        self.put(len(self.pieces) - 1, text)
        self.pieces[-1] = closed + mark + text.replace("\r\n", "\n").replace("\n", newline)

    def join(self) -> bytes:
        """Return the file's bytes."""
        return self._mark + "".join(self.pieces).encode()


def _head(piece: str) -> str:
    """Return what stands above a file's first document and is not about it alone."""
    documents = read_spans(piece)
    start = documents[0].start if documents else len(piece)
    if documents and documents[0].explicit:
        return piece[:start]
    above = piece[: piece.rfind("\n", 0, start) + 1]
    blank = max(above.rfind("\n\n"), above.rfind("\n\r\n"))
    return above[: above.index("\n", blank + 1) + 1] if blank >= 0 else ""
