"""The rule files with changes that are not written yet.

Owns which file a resource is in or goes to, and what the changed files hold. Must never
judge a resource: loading the draft's sources does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.resources.source import Source
from nfq_guard.store import edit
from nfq_guard.store.edit import CannotEditError
from nfq_guard.store.emit import yaml_text
from nfq_guard.store.texts import TextFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nfq_guard.model.problem import Position
    from nfq_guard.store.items import Item
    from nfq_guard.store.refs import Ref
    from nfq_guard.store.values import Data, Steps

_UNSAFE = re.compile(r"[^a-z0-9.-]+")
_LONGEST_STEM = 200
"""Characters; most file systems take names of 255 bytes."""


class StoreError(Exception):
    """A change that the files do not allow. Its text is for people."""


class Root(NamedTuple):
    """One of the paths that hold the rules."""

    path: str
    taken: frozenset[str] | None
    """Names of everything in the folder; None if the path is a file."""

    def is_folder(self) -> bool:
        """Return whether new files can go there."""
        return self.taken is not None


class FileChange(NamedTuple):
    """A file to be written."""

    name: str
    before: bytes | None
    """None: it must not exist."""
    after: bytes
    remove: bool = False
    """Nothing is left in it: it may go altogether."""


class _Place(NamedTuple):
    file: TextFile
    piece: int
    item: Item


class Draft:
    """The store's files as they will be."""

    def __init__(self, sources: Sequence[Source], roots: Sequence[Root]) -> None:
        """Begin with the files as they are."""
        self._before = {source.name: source.data for source in sources}
        self._roots = tuple(roots)
        self._files: dict[str, TextFile] = {}
        self._places: dict[Ref, _Place] = {}
        self._further: dict[Ref, list[_Place]] = {}
        """Of resources that are declared more than once: all places but the first."""
        self._emptied: set[str] = set()
        self._waiting: dict[tuple[str, int], dict[Steps, tuple[Ref, Data]]] = {}
        """Changes not made in the text yet, by file and document: one reading of a list for all of its items."""
        for source in sources:
            # What cannot be read stays as it is; that it is wrong, loading tells.
            try:
                file = self._files[source.name] = TextFile(source)
            except CannotEditError:
                continue
            self._index(file, file.items())

    def _index(self, file: TextFile, items: Iterable[tuple[int, Item]]) -> None:
        for piece, item in items:
            place = _Place(file, piece, item)
            if self._places.setdefault(item.ref, place) is not place:
                self._further.setdefault(item.ref, []).append(place)

    def refs(self) -> list[Ref]:
        """Return every resource in the files, by kind, namespace and name."""
        return sorted(self._places, key=lambda ref: (ref.kind, ref.namespace or "", ref.name))

    def files(self) -> list[str]:
        """Return the names of the files as they are."""
        return list(self._before)

    def unreadable(self) -> list[str]:
        """Return the names of files that cannot be read, and so cannot be changed."""
        return [name for name in self._before if name not in self._files]

    def get(self, ref: Ref) -> Item | None:
        """Return a resource, None if no file has it."""
        place = self._places.get(ref)
        return place.item if place is not None else None

    def put(self, ref: Ref, data: dict[str, Data], text: str | None = None) -> None:
        """Change a resource or add one. `text`: how a new one is to be written; StoreError if it has no place."""
        place = self._places.get(ref)
        if place is None:
            self._add(ref, data, text)
            return
        self._only(ref, "")
        wanted = place.item.without_implied(data)
        self._waiting.setdefault((place.file.name, place.piece), {})[place.item.steps] = (ref, wanted)
        self._places[ref] = place._replace(item=replace(place.item, raw=wanted))

    def remove(self, ref: Ref, file: str = "") -> None:
        """Take a resource out; KeyError if there is none. `file`: out of which, if several declare it."""
        place = self._only(ref, file)
        waiting = self._waiting.setdefault((place.file.name, place.piece), {})
        if place.item.steps:
            waiting[place.item.steps] = (ref, None)
            self._take_off(ref, place)
            return
        waiting.clear()
        self._forget(place.file, place.piece)
        place.file.drop(place.piece)

    def settle(self) -> None:
        """Make the changes in the text: all of a document at once. StoreError for one that cannot be made."""
        for (name, piece), edits in self._waiting.items():
            file = self._files[name]
            if edits:
                text = _edited(file, piece, edits)
                self._forget(file, piece)
                file.put(piece, text)
                self._index(file, ((piece, item) for item in file.items_of(piece)))
            if not file.items():
                self._emptied.add(name)
        self._waiting.clear()

    def _forget(self, file: TextFile, piece: int) -> None:
        """Take the resources of a document out of the index; its text is about to change."""
        for item in file.items_of(piece):
            for place in self._all(item.ref):
                if place.file is file and place.piece == piece:
                    self._take_off(item.ref, place)

    def _all(self, ref: Ref) -> list[_Place]:
        """Return every place that declares a resource."""
        first = self._places.get(ref)
        return [] if first is None else [first, *self._further.get(ref, ())]

    def _take_off(self, ref: Ref, place: _Place) -> None:
        """Take a place out of the index; the next one that declares the resource moves up."""
        first, *further = (each for each in (*self._all(ref), None) if each is not place)
        self._further.pop(ref, None)
        if first is None:
            del self._places[ref]
            return
        self._places[ref] = first
        self._further[ref] = [each for each in further if each is not None]

    def _only(self, ref: Ref, file: str) -> _Place:
        """Return the place of a resource, or the one in a file; StoreError if that leaves several."""
        places = self._all(ref)
        if len(places) <= 1:
            return self._places[ref]
        here = [place for place in places if place.file.name == file]
        if len(here) == 1:
            return here[0]
        raise StoreError(_ambiguous(ref, places))

    def positions(self, ref: Ref) -> list[Position]:
        """Return where a resource is declared: once, if the rules are valid."""
        return [place.item.position for place in self._all(ref)]

    def _add(self, ref: Ref, data: dict[str, Data], text: str | None) -> None:
        written = yaml_text(data) if text is None else text
        written = written if written.endswith("\n") else written + "\n"
        folder = next((root for root in self._roots if root.is_folder()), None)
        if folder is not None:
            name = self._free_name(folder, ref)
            file = self._files[name] = TextFile(Source(name, written.encode()))
        else:
            file = self._file_of_root()
            self._append(file, data, written)
        self._emptied.discard(file.name)
        self._index(file, file.items())

    def _append(self, file: TextFile, data: dict[str, Data], text: str) -> None:
        self.settle()
        if not file.name.endswith(".json"):
            file.append(text)
            return
        message = f"{file.name}: a JSON file takes a further resource only if it holds a list"
        if len(file.pieces) != 1:
            raise StoreError(message)
        try:
            whole = edit.read_data(file.pieces[0])
            if isinstance(whole, dict) and isinstance(whole.get("items"), list):
                file.put(0, edit.append_item(file.pieces[0], ("items",), data))
            elif isinstance(whole, list):
                file.put(0, edit.append_item(file.pieces[0], (), data))
            else:
                raise StoreError(message)
        except CannotEditError:
            raise StoreError(message) from None

    def _file_of_root(self) -> TextFile:
        for root in self._roots:
            if root.path in self._files:
                return self._files[root.path]
        raise StoreError("there is no readable rule file or folder to put a new resource in")

    def _free_name(self, folder: Root, ref: Ref) -> str:
        """Return the path of a file that does not exist, in a folder."""
        stem, number = file_stem(ref), 1
        while True:
            name = f"{stem}.yaml" if number == 1 else f"{stem}-{number}.yaml"
            path = f"{folder.path.rstrip('/')}/{name}"
            if name not in (folder.taken or ()) and path not in self._files:
                return path
            number += 1

    def sources(self) -> list[Source]:
        """Return what the files will hold."""
        self.settle()
        names = [*self._before, *(name for name in self._files if name not in self._before)]
        removed = self._removed()
        return [Source(name, self._after(name)) for name in names if name not in removed]

    def changes(self) -> list[FileChange]:
        """Return the files that are to be written."""
        self.settle()
        removed = self._removed()
        changes = [
            FileChange(name, self._before.get(name), self._after(name), name in removed)
            for name in self._files
        ]
        return [change for change in changes if change.before != change.after or change.remove]

    def _after(self, name: str) -> bytes:
        file = self._files.get(name)
        return self._before[name] if file is None else file.join()

    def _removed(self) -> set[str]:
        """Return the files that go: nothing is left in them, and the folder keeps at least one other."""
        named = {root.path for root in self._roots if not root.is_folder()}
        removed = {name for name in self._emptied if name not in named}
        if removed and removed >= self._before.keys() | self._files.keys():
            removed.remove(min(removed))
        return removed


def _ambiguous(ref: Ref, places: Sequence[_Place]) -> str:
    """Return what to say where one resource cannot be told from another."""
    where = " and at ".join(str(place.item.position) for place in places)
    # What deletes by file takes everything in it, so that only a file of its own is named.
    alone = [place.file.name for place in places if len(place.file.items()) == 1]
    advice = f"nfq-guard delete -f {alone[-1]} deletes the one there" if alone else "edit the files by hand"
    return f"{ref} is declared {len(places)} times, at {where}; only one can stay: {advice}"


def _edited(file: TextFile, piece: int, edits: Mapping[Steps, tuple[Ref, Data]]) -> str:
    """Return a document's text with some changes; StoreError names the first that cannot be made."""
    text = file.pieces[piece]
    try:
        return edit.change_parts(text, {steps: new for steps, (_, new) in edits.items()})
    except CannotEditError:
        ref = next(iter(edits.values()))[0] if len(edits) == 1 else _hindrance(text, edits)
        message = f"{file.name}: {ref} cannot be changed without changing more of the file; edit it by hand"
        raise StoreError(message) from None


def _hindrance(text: str, edits: Mapping[Steps, tuple[Ref, Data]]) -> Ref:
    """Return the first change that cannot be made even alone, else simply the first."""
    for steps, (ref, new) in edits.items():
        try:
            edit.change_parts(text, {steps: new})
        except CannotEditError:
            return ref
    return next(iter(edits.values()))[0]


def file_stem(ref: Ref) -> str:
    """Return the name, without ending, of a new file for a resource: plain letters, never a path."""
    stem = "-".join(part for part in (ref.kind, ref.namespace, ref.name) if part).lower()
    safe = _UNSAFE.sub("-", stem).strip(".-")
    if len(safe) <= _LONGEST_STEM:
        return safe
    return safe[:_LONGEST_STEM] + "-" + hashlib.sha256(stem.encode()).hexdigest()[:8]
