"""Changed rule files to the disk, whole or not at all.

Owns the lock that keeps two commands apart, and the order of writing: everything is on
the disk under hidden names before the first file changes, and each file changes by one
rename. A kill at any point leaves every file as it was or as it should be. Must never
look into a file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from nfq_guard.adapters.files import read_sources
from nfq_guard.store.draft import Root

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from nfq_guard.model.problem import Problem
    from nfq_guard.resources.source import Source
    from nfq_guard.store.draft import FileChange

_SUFFIX = ".nfq-guard-new"
"""Of files not renamed yet. They begin with a dot, so that nothing takes them for rules."""

_PATIENCE = 10.0
"""Seconds to wait for another command that changes the same rules."""
_PAUSE = 0.05

_STALE = 600.0
"""Seconds after which a file that waits for its rename belongs to nobody any more."""


class ConflictError(Exception):
    """The files are not what they were when they were read, or somebody else is at them."""


class _Staged(NamedTuple):
    """A file that is written and waits for its rename."""

    target: Path
    temporary: Path
    change: FileChange


class RuleStore:
    """The rule files under some paths. Use as a context manager: only one at a time has the lock."""

    def __init__(self, paths: Sequence[str], patience: float = _PATIENCE) -> None:
        """Name the paths; nothing is opened yet."""
        self._paths = tuple(paths)
        self._patience = patience
        self._locks: list[int] = []

    def __enter__(self) -> Self:
        """Take the lock; ConflictError if another command keeps it."""
        deadline = time.monotonic() + self._patience
        try:
            for folder in sorted({_folder(path) for path in self._paths}):
                self._locks.append(_lock(folder, deadline))
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self._release()

    def _release(self) -> None:
        while self._locks:
            os.close(self._locks.pop())

    def read(self) -> tuple[list[Source], list[Problem]]:
        """Return the files, and a problem for each that cannot be read. An empty folder is no problem here."""
        sources, problems = read_sources(self._paths)
        return sources, [problem for problem in problems if problem.code != "no-files"]

    def roots(self) -> list[Root]:
        """Return what the paths are."""
        return [_root(path) for path in self._paths]

    def write(self, changes: Iterable[FileChange]) -> None:
        """Write all changes; OSError or ConflictError, with nothing changed, if one cannot be written.

        Only a failure between two renames leaves the earlier ones done; the error names them.
        """
        staged: list[_Staged] = []
        targets = [(Path(os.path.realpath(change.name)), change) for change in changes]
        folders = {target.parent for target, _ in targets}
        try:
            for folder in folders:
                _sweep(folder)
            staged += (_stage(target, change) for target, change in targets)
            _swap(staged)
        finally:
            for each in staged:
                each.temporary.unlink(missing_ok=True)
        for folder in folders:
            _sync_folder(folder)


def _root(path: str) -> Root:
    name = str(Path(path))  # as it begins the names of the files that are read
    try:
        return Root(name, frozenset(entry.name for entry in Path(path).iterdir()))
    except OSError:
        return Root(name, None)


def _folder(path: str) -> str:
    """Return the real folder that stands for a path: itself, or the one its file is in."""
    real = os.path.realpath(path)
    return real if os.path.isdir(real) else os.path.dirname(real)  # noqa: PTH112, PTH120 - text, to be sorted


def _lock(folder: str, deadline: float) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise ConflictError(f"update conflict: another command is changing {folder}") from None
            time.sleep(_PAUSE)
        except OSError as error:
            # Some network file systems have no locks. What was read is compared before the rename all the same.
            if error.errno not in {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}:
                os.close(descriptor)
                raise
            return descriptor
        else:
            return descriptor


def _sweep(folder: Path) -> None:
    """Remove what a command that was killed left, unless it may still be at work under another lock."""
    for entry in folder.iterdir():
        if entry.name.startswith(".") and entry.name.endswith(_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > _STALE:
                    entry.unlink()


def _stage(target: Path, change: FileChange) -> _Staged:
    """Write a change beside its target, to the disk."""
    _check(target, change)
    temporary = target.parent / f".{secrets.token_hex(8)}{_SUFFIX}"
    old = target.stat() if change.before is not None else None
    mode = 0o666 if old is None else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(change.after)
            file.flush()
            if old is not None:
                _dress(descriptor, target, old)
            os.fsync(descriptor)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return _Staged(target, temporary, change)


def _dress(descriptor: int, target: Path, old: os.stat_result) -> None:
    """Give a file the owner, mode and attributes of the one it stands in for."""
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    with contextlib.suppress(OSError):  # labels and lists that this file system or this user cannot set
        for name in os.listxattr(target):
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(target, name))


def _check(target: Path, change: FileChange) -> None:
    """Raise ConflictError unless a file is as it was read."""
    try:
        found: bytes | None = target.read_bytes()
    except FileNotFoundError:
        found = None
    if found == change.before:
        return
    what = "has appeared" if change.before is None else "has changed" if found is not None else "is gone"
    raise ConflictError(f"update conflict: {change.name} {what} since it was read; nothing was changed")


def _swap(staged: Sequence[_Staged]) -> None:
    done: list[str] = []
    for each in staged:
        try:
            _check(each.target, each.change)
            _put(each)
        except (OSError, ConflictError) as error:
            if not done:
                raise
            raise ConflictError(f"{error}; already written: {', '.join(done)}") from error
        done.append(each.change.name)


def _put(staged: _Staged) -> None:
    target, temporary, change = staged
    if change.before is None:
        # A link, unlike a rename, never replaces what somebody else has made meanwhile.
        os.link(temporary, target)
    elif change.remove and not Path(change.name).is_symlink():
        target.unlink()
    else:
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
