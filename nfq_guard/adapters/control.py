"""The control socket: JSON lines over a Unix socket that only its owner may open.

Owns framing, limits and the socket file. Must never know what a command does: a
handler turns a request into an answer.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    Answer = dict[str, Any]
    Handler = Callable[[Answer], Answer]

_LONGEST_REQUEST = 65536
_MOST_CLIENTS = 32
_RECEIVE = 65536


class ControlInUseError(Exception):
    """The path is not ours to take: a live process listens there, or it is no socket."""


class ControlServer:
    """Listens and answers within the controller's own loop: no thread, no lock."""

    def __init__(self, path: str, handle: Handler, selector: selectors.BaseSelector) -> None:
        """Create the socket, mode 0600, replacing one that a dead process left.

        ControlInUseError if that is alive, or if something else than a socket has the path;
        OSError where it cannot be made.
        """
        self._path, self._handle, self._selector = path, handle, selector
        self._clients: dict[socket.socket, _Client] = {}
        folder = os.path.dirname(path)  # noqa: PTH120 - text in, text out
        if folder:
            os.makedirs(folder, mode=0o755, exist_ok=True)  # noqa: PTH103 - as above
        _remove_stale(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)
        try:
            self._socket.bind(path)
        finally:
            os.umask(mask)
        self._identity = _identity(path)
        self._socket.listen(_MOST_CLIENTS)
        selector.register(self._socket, 1, self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._socket.accept()
            client.setblocking(False)
            if len(self._clients) >= _MOST_CLIENTS:
                client.close()
                return
            self._clients[client] = _Client(client)
            self._selector.register(client, 1, lambda: self._serve(client))

    def _serve(self, sock: socket.socket) -> None:
        client = self._clients[sock]
        try:
            alive = client.exchange(self._handle)
        except OSError:
            alive = False
        if alive:
            self._selector.modify(sock, client.interest, lambda: self._serve(sock))
            return
        self._selector.unregister(sock)
        del self._clients[sock]
        sock.close()

    def close(self) -> None:
        """Hang up and remove the socket file, if it is still ours."""
        for sock in self._clients:
            self._selector.unregister(sock)
            sock.close()
        self._clients.clear()
        self._selector.unregister(self._socket)
        self._socket.close()
        with contextlib.suppress(OSError):
            if _identity(self._path) == self._identity:
                os.unlink(self._path)  # noqa: PTH108 - text in, text out


class _Client:
    """One connection: bytes of a request line so far, and of answers not yet taken."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._asked = bytearray()
        self._answers = bytearray()

    @property
    def interest(self) -> int:
        """Return 1 (read) or 2 (write): no request is read while an answer waits."""
        return 2 if self._answers else 1

    def exchange(self, handle: Handler) -> bool:
        """Do what the socket is ready for; return whether to go on."""
        if not self._answers:
            data = self._socket.recv(_RECEIVE)
            if not data:
                return False
            self._asked += data
            if not self._take(handle):
                return False
        if self._answers:
            with contextlib.suppress(BlockingIOError):
                del self._answers[: self._socket.send(self._answers)]
        return True

    def _take(self, handle: Handler) -> bool:
        *lines, rest = bytes(self._asked).split(b"\n")
        self._asked = bytearray(rest)
        for line in lines:
            if line.strip():
                self._answers += _answer(line, handle)
        return len(rest) <= _LONGEST_REQUEST


def _answer(line: bytes, handle: Handler) -> bytes:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        answer: Answer = {"error": f"not a JSON object: {error}"}
    else:
        answer = handle(request) if isinstance(request, dict) else {"error": "expected a JSON object"}
    return json.dumps(answer, default=str).encode() + b"\n"


def _identity(path: str) -> tuple[bool, int, int]:
    """Return what tells a file from all others of the machine, and whether it is a socket."""
    found = os.lstat(path)
    return stat.S_ISSOCK(found.st_mode), found.st_dev, found.st_ino


def _remove_stale(path: str) -> None:
    try:
        is_socket, *_ = _identity(path)
    except FileNotFoundError:
        return
    # Asked first: an ordinary file refuses a connection just as a dead process's socket does.
    if not is_socket:
        raise ControlInUseError(
            f"{path}: there is something that is not a socket, which is left alone; "
            "give --control another path, or remove what is there"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
        else:
            raise ControlInUseError(
                f"{path}: another nfq-guard answers there; give this one its own --control"
            )
    os.unlink(path)  # noqa: PTH108 - text in, text out


def _timeval(seconds: float) -> bytes:
    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))


def ask(path: str, request: dict[str, Any], timeout: float = 30.0) -> dict[str, Any]:
    """Send one request and return its answer; OSError if nobody answers in time (seconds)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        # A socket with a Python timeout is refused at once where many wait to be accepted.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout))
        sock.connect(path)
        sock.settimeout(timeout)
        sock.sendall(json.dumps(request).encode() + b"\n")
        with sock.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise ConnectionResetError(errno.ECONNRESET, "the daemon hung up without an answer")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ConnectionError(errno.EPROTO, "the daemon's answer is not an object")
    return answer
