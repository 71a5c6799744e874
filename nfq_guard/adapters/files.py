"""Rule files to bytes.

Owns which files of a folder are read, and the bounds on reading them. Must never look
into a file, and never write one.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from nfq_guard.model.problem import Position, Problem, Severity
from nfq_guard.resources.source import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIXES = (".yaml", ".yml", ".json")
"""What calicoctl reads from a folder."""

_MEANT = (".bak", ".disabled", ".old", ".orig")
"""Who gives a rule file such an ending does not want it read."""

_BACKUP_MARKS = ("#", "~")
"""Editors leave `#name#` and `name~` beside a file."""

_CHUNK = 1 << 20


def read_sources(
    paths: Iterable[str | os.PathLike[str]], *, recursive: bool = True
) -> tuple[list[Source], list[Problem]]:
    """Return the files that paths name, and a problem for each that cannot be read.

    A file is read whatever its name. Of a folder, and of folders in it, the files that
    end in .yaml, .yml or .json, in the order of their names; hidden ones and editors'
    backups are left out. Symbolic links are followed. Names are those of the paths:
    relative ones stay relative. Not `recursive`: folders in folders are left out.
    """
    reader = _Reader(recursive=recursive)
    for path in paths:
        reader.add(Path(path))
    return reader.sources, reader.problems


class _Reader:
    """Collects sources, within the bounds of all together."""

    def __init__(self, *, recursive: bool) -> None:
        self._recursive = recursive
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self._seen: set[Path] = set()
        self._bytes = 0
        self._full = False

    def add(self, path: Path) -> None:
        """Read a file, or the files of a folder."""
        if not path.is_dir():
            self._read(path)
            return
        problems = self._errors()
        files = list(self._listed(path, ()))
        for file in files:
            self._read(file)
        if not files and problems == self._errors():
            self._tell(path, "no-files", f"the folder has no file that ends in {', '.join(SUFFIXES)}")

    def _errors(self) -> int:
        return sum(problem.severity is Severity.ERROR for problem in self.problems)

    def _tell(self, path: Path, code: str, message: str, severity: Severity = Severity.ERROR) -> None:
        self.problems.append(Problem(Position(str(path)), code, message, severity=severity))

    def _listed(self, folder: Path, inside: tuple[tuple[int, int], ...]) -> Iterator[Path]:
        """Yield the rule files under a folder, sorted. `inside`: the folders around it."""
        try:
            status = folder.stat()
            entries = sorted(folder.iterdir(), key=os.fsencode)
        except OSError as error:
            self._tell(folder, "unreadable", _reason(error))
            return
        identity = (status.st_dev, status.st_ino)
        if identity in inside:
            self._tell(folder, "unreadable", "the folder contains itself by a symbolic link")
            return
        for entry in entries:
            if entry.name.startswith((".", *_BACKUP_MARKS)) or entry.name.endswith(_BACKUP_MARKS):
                continue
            if entry.is_dir():
                if self._recursive:
                    yield from self._listed(entry, (*inside, identity))
            elif entry.name.endswith(SUFFIXES):
                yield entry
            elif _looks_like_rules(entry.name):
                message = f"is not read: of a folder, only files that end in {', '.join(SUFFIXES)} are"
                self._tell(entry, "skipped-file", message, Severity.WARNING)

    def _read(self, path: Path) -> None:
        if self._full or path in self._seen:
            return
        self._seen.add(path)
        try:
            data = _bounded(path)
        except OSError as error:
            self._tell(path, "unreadable", _reason(error))
            return
        self._bytes += len(data)
        if len(self.sources) >= MAX_FILES or self._bytes > MAX_TOTAL_BYTES:
            self._full = True
            message = f"too much to read: at most {MAX_FILES} files with {MAX_TOTAL_BYTES} bytes together"
            self._tell(path, "too-large", message)
            return
        self.sources.append(Source(str(path), data))


def _looks_like_rules(name: str) -> bool:
    """Return whether a name has one of the endings, but in capitals or with another behind it."""
    if name.endswith(_MEANT):
        return False
    return any(f".{ending}" in SUFFIXES for ending in name.lower().split(".")[1:])


def _bounded(path: Path) -> bytes:
    """Return a regular file's bytes, at most one more than is allowed: enough to be refused."""
    # Non-blocking, so that a named pipe cannot hold the caller up; no effect on regular files.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = bytearray()
        while len(data) <= MAX_FILE_BYTES:
            chunk = file.read(min(_CHUNK, MAX_FILE_BYTES + 1 - len(data)))
            if not chunk:
                break
            data += chunk
        return bytes(data)


def _reason(error: OSError) -> str:
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
