"""What outlives the controller: the last good policy's files and the workers left behind.

Owns the state folder, and trusts it: what is read from it is enforced, and processes
that it names are ended. So it must be ours alone. Every write is whole or not at all (temporary file, fsync,
rename), and a full disk costs the snapshot, never the guard. Must never touch the
operator's own rule files.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

_SNAPSHOT = "last-good.json"
_WORKERS = "workers.json"
_LOCK = "lock"
_VERSION = 1
_NO_DETOUR = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Neither through a link nor into a pipe that nobody reads."""


_OTHERS = 0o022
"""Whoever else may write in the folder."""


class StateInUseError(Exception):
    """Another controller uses the folder, or somebody else than us may write in it."""


class WorkerRecord(NamedTuple):
    """A worker process, told apart from later ones with its pid by its start time."""

    pid: int
    started: int
    """Field 22 of /proc/PID/stat: clock ticks since boot."""
    queue: int


class StateFolder:
    """The state folder, locked for as long as this object lives."""

    def __init__(self, path: str) -> None:
        """Make and lock the folder; OSError if it cannot be made.

        StateInUseError if another controller has it, or if it is not ours alone.
        """
        self.path = path
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103 - text in, text out
        _insist_on_ours(path)
        self._lock = _open_lock(self._at(_LOCK))
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            message = f"{path}: in use by another nfq-guard (pid {holder}); give this one its own --state"
            raise StateInUseError(message) from None
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Unlock the folder."""
        os.close(self._lock)

    def save_snapshot(self, sources: Sequence[Source]) -> None:
        """Keep the files of a policy that is in force. OSError if they cannot be written."""
        files = [{"name": source.name, "data": base64.b64encode(source.data).decode()} for source in sources]
        self._write(_SNAPSHOT, {"version": _VERSION, "files": files})

    def load_snapshot(self) -> tuple[Source, ...] | None:
        """Return the files of the last good policy, None where there is none to be read."""
        document = self._read(_SNAPSHOT)
        if document is None:
            return None
        try:
            return tuple(
                Source(str(entry["name"]), base64.b64decode(entry["data"], validate=True))
                for entry in document["files"]
            )
        except (KeyError, TypeError, ValueError):
            return None

    def save_workers(self, records: Sequence[WorkerRecord], mask: int) -> None:
        """Record the workers of now, and the bits of connection marks that are written under them.

        OSError if it cannot be written.
        """
        workers = [record._asdict() for record in records]
        document = {"version": _VERSION, "boot": boot_id(), "connection_mark_mask": mask, "workers": workers}
        self._write(_WORKERS, document)

    def load_workers(self) -> tuple[WorkerRecord, ...]:
        """Return the workers recorded since the machine was started, dead or alive."""
        document = self._recorded()
        try:
            return tuple(
                WorkerRecord(int(entry["pid"]), int(entry["started"]), int(entry["queue"]))
                for entry in document["workers"]
            )
        except (KeyError, TypeError, ValueError):
            return ()

    def load_mask(self) -> int:
        """Return the bits of connection marks that were recorded last; 0: none since the machine was started."""
        mask = self._recorded().get("connection_mark_mask")
        return mask if isinstance(mask, int) else 0

    def _recorded(self) -> dict[str, Any]:
        document = self._read(_WORKERS) or {}
        # Pids and ticks since boot mean nothing after the next one.
        return document if document.get("boot") == boot_id() else {}

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name)  # noqa: PTH118 - text in, text out

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            with os.fdopen(os.open(self._at(name), os.O_RDONLY | _NO_DETOUR), "rb") as stream:
                # Left from a time when others could write in the folder?
                if os.fstat(stream.fileno()).st_uid != os.geteuid():
                    return None
                document = json.load(stream)
        except (OSError, ValueError, RecursionError):
            return None
        fits = isinstance(document, dict) and document.get("version") == _VERSION
        return document if fits else None

    def _write(self, name: str, document: dict[str, Any]) -> None:
        temporary = self._at(f".{name}.new")
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)  # noqa: PTH108 - as above
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_DETOUR, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                # In one go: `dump` writes value by value, which takes ten times as long.
                stream.write(json.dumps(document))
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(temporary, self._at(name))  # noqa: PTH104 - as above
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - as above
            raise


def _insist_on_ours(path: str) -> None:
    """Refuse a folder that somebody else owns or may write in, with the command that mends it."""
    found = os.stat(path)  # noqa: PTH116 - text in, text out
    mine, mode = os.geteuid(), stat.S_IMODE(found.st_mode)
    if found.st_uid != mine:
        what, how = f"belongs to uid {found.st_uid}, not to {mine}", f"chown -R {mine} {path}"
    elif mode & _OTHERS:
        what, how = f"may be written by others (mode {mode:04o})", f"chmod 0700 {path}"
    else:
        return
    raise StateInUseError(
        f"{path}: {what}, and what it holds is enforced; look at what is in it, then {how}, "
        "or give --state another folder"
    )


def _open_lock(path: str) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | _NO_DETOUR, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    else:
        if stat.S_ISREG(os.fstat(lock).st_mode):
            return lock
        os.close(lock)
    raise StateInUseError(f"{path}: a link or something else that is no ordinary file; remove it")


def boot_id() -> str:
    """Return what tells this run of the machine from all others; empty where the kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as stream:  # noqa: PTH123 - text in, text out
            return stream.read().decode().strip()
    except OSError:
        return ""
