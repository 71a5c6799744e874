"""What outlives the controller: the last good policy's files and the workers left behind.

Owns the state folder. Every write is whole or not at all (temporary file, fsync,
rename), and a full disk costs the snapshot, never the guard. Must never touch the
operator's own rule files.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

_SNAPSHOT = "last-good.json"
_WORKERS = "workers.json"
_LOCK = "lock"
_VERSION = 1


class StateInUseError(Exception):
    """Another controller uses the folder."""


class WorkerRecord(NamedTuple):
    """A worker process, told apart from later ones with its pid by its start time."""

    pid: int
    started: int
    """Field 22 of /proc/PID/stat: clock ticks since boot."""
    queue: int


class StateFolder:
    """The state folder, locked for as long as this object lives."""

    def __init__(self, path: str) -> None:
        """Make and lock the folder. StateInUseError if it is taken, OSError if it cannot be made."""
        self.path = path
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103 - text in, text out
        self._lock = os.open(self._at(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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

    def save_workers(self, records: Sequence[WorkerRecord]) -> None:
        """Record the workers of now. OSError if it cannot be written."""
        self._write(_WORKERS, {"version": _VERSION, "workers": [record._asdict() for record in records]})

    def load_workers(self) -> tuple[WorkerRecord, ...]:
        """Return the recorded workers, dead or alive."""
        document = self._read(_WORKERS) or {}
        try:
            return tuple(
                WorkerRecord(int(entry["pid"]), int(entry["started"]), int(entry["queue"]))
                for entry in document["workers"]
            )
        except (KeyError, TypeError, ValueError):
            return ()

    def _at(self, name: str) -> str:
        return os.path.join(self.path, name)  # noqa: PTH118 - text in, text out

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            with open(self._at(name), "rb") as stream:  # noqa: PTH123 - as above
                document = json.load(stream)
        except (OSError, ValueError, RecursionError):
            return None
        fits = isinstance(document, dict) and document.get("version") == _VERSION
        return document if fits else None

    def _write(self, name: str, document: dict[str, Any]) -> None:
        temporary = self._at(f".{name}.new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                json.dump(document, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(temporary, self._at(name))  # noqa: PTH104 - as above
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - as above
            raise
