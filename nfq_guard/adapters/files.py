"""Rule files to bytes.

Owns which files of a folder are read, the bounds on reading them, and which need not be
read again. Must never look into a file, and never write one.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.problem import Position, Problem, Severity
from nfq_guard.resources.source import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SUFFIXES = (".yaml", ".yml", ".json")
"""What calicoctl reads from a folder."""

_MEANT = (".bak", ".disabled", ".old", ".orig")
"""Who gives a rule file such an ending does not want it read."""

_BACKUP_MARKS = ("#", "~")
"""Editors leave `#name#` and `name~` beside a file."""
_NOT_MEANT = (".", *_BACKUP_MARKS)

_CHUNK = 1 << 20

_TICK_NS = 2_000_000_000
"""Two writes closer together may leave the same times of change: no file system's clock is
coarser (FAT's, for comparison: most have the kernel's tick of a few milliseconds)."""


class _Stamp(NamedTuple):
    """What changes with a file's content, and with what stands under its name."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Stamp:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Return whether a write from now on is sure to give another stamp."""
        return max(self.modified_ns, self.changed_ns) < now_ns - _TICK_NS


class _Kept(NamedTuple):
    stamp: _Stamp
    source: Source


class FileMemory:
    """What was read the last time: a file that is as it was then is not read again."""

    def __init__(self) -> None:
        """Know no file yet."""
        self.kept: dict[str, _Kept] = {}
        """By the path as it is given; only files whose stamp can be trusted."""


def read_sources(
    paths: Iterable[str | os.PathLike[str]], *, recursive: bool = True, memory: FileMemory | None = None
) -> tuple[list[Source], list[Problem]]:
    """Return the files that paths name, and a problem for each that cannot be read.

    A file is read whatever its name. Of a folder, and of folders in it, the files that
    end in .yaml, .yml or .json, in the order of their names; hidden ones and editors'
    backups are left out. Symbolic links are followed. Names are those of the paths:
    relative ones stay relative. Not `recursive`: folders in folders are left out.
    With a `memory`, a file that did not change since the last time is the same object again.
    """
    reader = _Reader({} if memory is None else memory.kept, recursive=recursive)
    for path in paths:
        reader.add(Path(path))
    if memory is not None:
        memory.kept = reader.kept
    return reader.sources, reader.problems


class _Reader:
    """Collects sources, within the bounds of all together."""

    def __init__(self, before: Mapping[str, _Kept], *, recursive: bool) -> None:
        self._recursive = recursive
        self._before = before
        self.kept: dict[str, _Kept] = {}
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self._seen: set[str] = set()
        self._bytes = 0
        self._full = False

    def add(self, path: Path) -> None:
        """Read a file, or the files of a folder."""
        # What pathlib makes of a path is how files in it are called: without `./` and double slashes.
        name = str(path)
        if not path.is_dir():
            self._read(name)
            return
        problems = self._errors()
        files = list(self._listed(name, ()))
        for file in files:
            self._read(file)
        if not files and problems == self._errors():
            self._tell(name, "no-files", f"the folder has no file that ends in {', '.join(SUFFIXES)}")

    def _errors(self) -> int:
        return sum(problem.severity is Severity.ERROR for problem in self.problems)

    def _tell(self, path: str, code: str, message: str, severity: Severity = Severity.ERROR) -> None:
        self.problems.append(Problem(Position(path), code, message, severity=severity))

    def _listed(self, folder: str, inside: tuple[tuple[int, int], ...]) -> Iterator[str]:
        """Yield the rule files under a folder, sorted. `inside`: the folders around it."""
        try:
            status = os.stat(folder)  # noqa: PTH116 - text in, text out: thousands of files at every change
            with os.scandir(folder) as found:
                entries = sorted(found, key=_bytes_of_name)
        except OSError as error:
            self._tell(folder, "unreadable", _reason(error))
            return
        identity = (status.st_dev, status.st_ino)
        if identity in inside:
            self._tell(folder, "unreadable", "the folder contains itself by a symbolic link")
            return
        within = "" if folder == "." else os.path.join(folder, "")  # noqa: PTH118 - as above
        for entry in entries:
            name = entry.name
            if _is_left_behind(name):
                continue
            path = within + name
            if _is_folder(entry):
                if self._recursive:
                    yield from self._listed(path, (*inside, identity))
            elif name.endswith(SUFFIXES):
                yield path
            elif _looks_like_rules(name):
                message = f"is not read: of a folder, only files that end in {', '.join(SUFFIXES)} are"
                self._tell(path, "skipped-file", message, Severity.WARNING)

    def _read(self, path: str) -> None:
        if self._full or path in self._seen:
            return
        self._seen.add(path)
        try:
            source = self._source(path)
        except OSError as error:
            self._tell(path, "unreadable", _reason(error))
            return
        self._bytes += len(source.data)
        if len(self.sources) >= MAX_FILES or self._bytes > MAX_TOTAL_BYTES:
            self._full = True
            message = f"too much to read: at most {MAX_FILES} files with {MAX_TOTAL_BYTES} bytes together"
            self._tell(path, "too-large", message)
            return
        self.sources.append(source)

    def _source(self, path: str) -> Source:
        kept = self._before.get(path)
        if kept is not None and kept.stamp == _Stamp.of(os.stat(path)):  # noqa: PTH116 - as above
            self.kept[path] = kept
            return kept.source
        now_ns = time.time_ns()
        data, stamp = _bounded(path)
        source = Source(path, data)
        if stamp is not None and stamp.is_settled(now_ns):
            self.kept[path] = _Kept(stamp, source)
        return source


def _bytes_of_name(entry: os.DirEntry[str]) -> bytes:
    return os.fsencode(entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; what cannot be asked is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_rule_file(name: str) -> bool:
    """Return whether a file of this name is read where it stands in a folder."""
    return name.endswith(SUFFIXES) and not _is_left_behind(name)


def _is_left_behind(name: str) -> bool:
    """Return whether a name is hidden, or an editor's for its own copy."""
    return name.startswith(_NOT_MEANT) or name.endswith(_BACKUP_MARKS)


def _looks_like_rules(name: str) -> bool:
    """Return whether a name has one of the endings, but in capitals or with another behind it."""
    if name.endswith(_MEANT):
        return False
    return any(f".{ending}" in SUFFIXES for ending in name.lower().split(".")[1:])


def _bounded(path: str) -> tuple[bytes, _Stamp | None]:
    """Return a regular file's bytes, at most one more than is allowed: enough to be refused.

    And its stamp, None if it changed while it was read.
    """
    # Non-blocking, so that a named pipe cannot hold the caller up; no effect on regular files.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        data = bytearray()
        while len(data) <= MAX_FILE_BYTES:
            chunk = file.read(min(_CHUNK, MAX_FILE_BYTES + 1 - len(data)))
            if not chunk:
                break
            data += chunk
        before, after = _Stamp.of(status), _Stamp.of(os.fstat(descriptor))
        return bytes(data), after if before == after else None


def _reason(error: OSError) -> str:
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
