"""Word that rule files may have changed (inotify).

Owns which folders are watched so that every way of changing a file is heard: writing
in place, replacing by rename as editors do, and swapping a folder or a symbolic link
anywhere on the way to it; and which rule files are being written still. Must never read a
rule file: whoever is woken reads the sources whole and compares, so a spurious wake-up
costs a read and a lost one cannot be.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from nfq_guard.adapters.files import is_rule_file
from nfq_guard.adapters.writers import may_be_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_CLOSE_WRITE = 0x8
_ATTRIB = 0x4
_MOVED_FROM, _MOVED_TO = 0x40, 0x80
_CREATE, _DELETE = 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_MODIFY = 0x2
_ONLYDIR = 0x01000000
_OVERFLOW = 0x4000
_IGNORED = 0x8000
_ISDIR = 0x40000000
_CONTENT = (
    _CLOSE_WRITE | _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
)
_EVENT = struct.Struct("iIII")
_READ = 65536
_YOUNG_SECONDS = 1.0
"""A file that was changed so recently, in a folder that we hear of from now on, may be half written."""
_MOST_FOLDERS = 4096
"""Folders below the rules that are watched; a tree of more is not a rules folder."""
_MOST_LINKS = 40
"""Symbolic links followed on the way to a path: the kernel's own limit (path_resolution(7))."""

_libc = ctypes.CDLL(None, use_errno=True)

_File = tuple[int, str]
"""Watch descriptor of the folder, and the name in it."""


class Activity(Enum):
    """What somebody is doing to rule files, as far as heard."""

    WRITING = auto()
    """A file is not complete: read now, it may be half of what is meant."""
    SEVERAL = auto()
    """More than one changed, or one came, so that more may follow."""
    DONE = auto()
    """One file is complete, or none was touched."""
    UNKNOWN = auto()
    """Something happened that was not heard: events were lost, or a folder came with files just written."""


class _Writes:
    """Which rule files are incomplete, and which changed."""

    def __init__(self, unfinished: Iterable[_File] = (), *, is_unknown: bool = False) -> None:
        self._begun: set[_File] = set()
        """Files that came and of which nothing was heard since; links stay so."""
        self.unfinished: set[_File] = set(unfinished)
        """Written, and not closed since."""
        self.written: set[_File] = set()
        """Written in place, closed or not."""
        self._changed: set[_File] = set()
        self._is_unknown = is_unknown

    def note(self, file: _File, mask: int) -> None:
        """Take in an event about a file."""
        if mask & _ATTRIB:
            return
        self._changed.add(file)
        self._begun.discard(file)
        if mask & _CREATE:
            self._begun.add(file)
        elif mask & _MODIFY:
            self.unfinished.add(file)
        else:
            self.unfinished.discard(file)
        if mask & (_MODIFY | _CLOSE_WRITE):
            self.written.add(file)

    def forget(self, descriptor: int) -> None:
        """Expect no word of files of a folder any more."""
        self.unfinished = {file for file in self.unfinished if file[0] != descriptor}

    @property
    def activity(self) -> Activity:
        """Return what it comes to."""
        if self.unfinished:
            return Activity.WRITING
        if self._is_unknown:
            return Activity.UNKNOWN
        return Activity.SEVERAL if self._begun or len(self._changed) > 1 else Activity.DONE


class FileWatch:
    """A file descriptor that turns readable when something near the paths changes.

    An alternative, watchfiles, needs a thread that wakes twenty times a second and
    cannot be polled together with sockets.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Watch from now on. OSError where the kernel has no inotify instance left."""
        self._paths = tuple(os.path.abspath(path) for path in paths)  # noqa: PTH100 - must not resolve links
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._wanted: dict[int, frozenset[str] | None] = {}
        """Watch descriptor -> names that matter in that folder; None: every name."""
        self._folders: dict[str, frozenset[str] | None] = {}
        self._called: dict[int, str] = {}
        """Watch descriptor -> folder."""
        self.unwatched: tuple[str, ...] = ()
        """Folders that could not be watched (limit reached, no permission)."""
        self._writes = _Writes()
        self.rearm()

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._fd

    def rearm(self) -> bool:
        """Watch what the paths lead through now; return whether that has changed.

        Call it after every `drain` that returned True, before the files are read:
        a change after that is a new event, a change before it is read.
        """
        folders = _folders(self._paths)
        wanted: dict[int, frozenset[str] | None] = {}
        called: dict[int, str] = {}
        missed: list[str] = []
        for folder, names in folders.items():
            descriptor = _libc.inotify_add_watch(self._fd, os.fsencode(folder), _CONTENT | _ONLYDIR)
            if descriptor >= 0:
                wanted[descriptor] = _union(wanted.get(descriptor, frozenset()), names)
                called.setdefault(descriptor, folder)
            elif ctypes.get_errno() not in {errno.ENOENT, errno.ENOTDIR}:
                missed.append(folder)
        for descriptor in self._wanted.keys() - wanted.keys():
            _libc.inotify_rm_watch(self._fd, descriptor)
        came = wanted.keys() - self._wanted.keys() if self._wanted else ()
        self._writes = _Writes(
            (file for file in self._writes.unfinished if _concerns(wanted, *file)),
            is_unknown=any(wanted[new] is None and _holds_young(called[new]) for new in came),
        )
        self._called = called
        changed = (wanted, folders) != (self._wanted, self._folders)
        self._wanted, self._folders, self.unwatched = wanted, folders, tuple(missed)
        return changed

    def drain(self) -> bool:
        """Read away pending events; return whether one of them matters."""
        matters = False
        while True:
            try:
                data = os.read(self._fd, _READ)
            except BlockingIOError:
                return matters
            for event in _events(data):
                matters = self._matters(*event) or matters

    def _matters(self, descriptor: int, mask: int, name: str) -> bool:
        if mask & _OVERFLOW:
            # That a file was closed may be among what is lost.
            self._writes = _Writes(is_unknown=True)
            return True
        if mask & (_IGNORED | _DELETE_SELF):
            self._writes.forget(descriptor)
        if mask & _IGNORED or not _concerns(self._wanted, descriptor, name):
            return False
        if name and not mask & _ISDIR and (self._wanted[descriptor] is not None or is_rule_file(name)):
            # Who makes a file by opening it has yet to write and to close it; a link is complete.
            begins = mask & _CREATE and _is_empty_file(self._path(descriptor, name))
            self._writes.note((descriptor, name), _MODIFY if begins else mask)
        return True

    def _path(self, descriptor: int, name: str) -> str:
        return os.path.join(self._called[descriptor], name)  # noqa: PTH118 - text in, text out

    @property
    def activity(self) -> Activity:
        """Return what has been heard of rule files since `rearm`."""
        return self._writes.activity

    def find_unfinished(self) -> tuple[str, ...]:
        """Return the files that somebody has been writing and did not close.

        The kernel is asked about those of which no close was heard, for truncate(2) has none; those that
        nobody writes are forgotten.
        """
        unfinished = self._writes.unfinished
        unfinished -= {file for file in unfinished if not may_be_written(self._path(*file))}
        return tuple(sorted(self._path(*file) for file in unfinished))

    @property
    def written(self) -> tuple[str, ...]:
        """Return the files that were written in place since `mark`, as far as heard."""
        return tuple(sorted(self._path(*file) for file in self._writes.written))

    def mark(self) -> None:
        """Count as `written` what is written from now on."""
        self._writes.written.clear()

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(data):
        descriptor, mask, _, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield descriptor, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length


def _folders(paths: Sequence[str]) -> dict[str, frozenset[str] | None]:
    found: dict[str, frozenset[str] | None] = {}
    for path in paths:
        links: list[str] = [path]
        for folder in _tree(path, links):
            found[folder] = None
        for link in links:
            for folder, name in _way_to(link):
                found[folder] = _union(found.get(folder, frozenset()), frozenset({name}))
    return found


def _concerns(wanted: Mapping[int, frozenset[str] | None], descriptor: int, name: str) -> bool:
    """Return whether an event is about a path; without a name it is about the folder."""
    if descriptor not in wanted:
        return False
    names = wanted[descriptor]
    return names is None or not name or name in names


def _holds_young(folder: str) -> bool:
    """Return whether a rule file of a folder was changed just now."""
    since = time.time() - _YOUNG_SECONDS
    try:
        with os.scandir(folder) as entries:
            return any(
                entry.stat().st_mtime > since
                for entry in entries
                if is_rule_file(entry.name) and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return True


def _is_empty_file(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == 0


def _union(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other


def _way_to(path: str) -> Iterator[tuple[str, str]]:
    """Yield (folder, name in it) for every step to a path, through symbolic links too.

    A renamed folder or a switched link anywhere on the way changes what the path
    means, and only the folder that holds the name hears of it.
    """
    pending, links = [path], 0
    while pending:
        here = "/"
        parts = [part for part in pending.pop().split("/") if part]
        for at, name in enumerate(parts):
            if name == "..":
                here = os.path.dirname(here)  # noqa: PTH120 - lexical on a resolved prefix
                continue
            yield here, name
            step = os.path.join(here, name)  # noqa: PTH118 - text in, text out
            target = _link(step)
            if target is not None and links < _MOST_LINKS:
                links += 1
                pending.append(os.path.join(here, target, *parts[at + 1 :]))  # noqa: PTH118 - as above
                break
            here = step


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - text in, text out
    except OSError:
        return None


def _tree(path: str, links: list[str]) -> Iterator[str]:
    """Yield the folder and all below it, following links to folders; each once.

    Links met on the way are added to `links`: what they lead through counts too.
    """
    seen: set[tuple[int, int]] = set()
    pending = [path]
    while pending and len(seen) < _MOST_FOLDERS:
        folder = pending.pop()
        try:
            found = os.stat(folder)  # noqa: PTH116 - text in, text out
            if not stat.S_ISDIR(found.st_mode) or (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    links += [entry.path] if entry.is_symlink() else []
                    pending += [entry.path] if entry.is_dir() else []
        except OSError:
            continue
        yield folder


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
