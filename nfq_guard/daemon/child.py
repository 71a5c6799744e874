"""A process that answers a line with a line.

Owns its pipes and how long and how much it may answer. Whatever it does, whoever asks
gets an answer or an error in time. One thread asks; another may kill it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_ANSWER = 8 << 20
"""Bytes. Under 10,000 policies an explanation has some millions."""
_LONGEST_COMPLAINT = 4096
_READ = 1 << 16
_END_SECONDS = 2.0


class ChildError(Exception):
    """It has not answered; says why."""


class LineProcess:
    """Started at once. To be closed, however it ends."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; OSError where that cannot be."""
        # A session of its own: the terminal's interrupt is for the controller alone.
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            list(command),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=dict(environment),
        )
        self._complaint = b""
        """The end of what it wrote to standard error."""
        self._selector = selectors.DefaultSelector()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None  # noqa: S101 - pipes, as asked for
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def ask(self, line: bytes, seconds: float) -> bytes:
        """Send a line, shorter than a pipe is long, and return the one that answers it."""
        deadline = time.monotonic() + seconds
        assert self._process.stdin is not None  # noqa: S101 - a pipe, as asked for
        try:
            self._process.stdin.write(line + b"\n")
        except OSError:
            raise ChildError(self._ended()) from None
        pieces: list[bytes] = []
        size = 0
        while not pieces or not pieces[-1].endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise ChildError(f"no answer within {seconds:.0f} s")
            piece = self._read(left)
            if piece:
                pieces.append(piece)
                size += len(piece)
            if size > LONGEST_ANSWER:
                raise ChildError(
                    f"the answer is longer than {LONGEST_ANSWER >> 20} MiB: ask nfq-guard explain"
                )
        return b"".join(pieces).rstrip(b"\n")

    def _read(self, seconds: float) -> bytes:
        """Return what has come within a time, maybe nothing; ChildError at its end."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe, as asked for
        for key, _ in self._selector.select(seconds):
            data = os.read(key.fd, _READ)
            if key.fileobj is not self._process.stdout:
                self._complain(data)
                if not data:
                    self._selector.unregister(key.fileobj)
            elif data:
                return data
            else:
                raise ChildError(self._ended())
        return b""

    def _complain(self, data: bytes) -> None:
        self._complaint = (self._complaint + data)[-_LONGEST_COMPLAINT:]

    def _ended(self) -> str:
        """Return what it said at its end."""
        assert self._process.stderr is not None  # noqa: S101 - a pipe, as asked for
        with contextlib.suppress(OSError):
            while data := os.read(self._process.stderr.fileno(), _READ):
                self._complain(data)
        return self._complaint.decode("utf-8", "replace").strip() or "it ended without a word"

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """End it, reap it, and give its pipes back."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
