"""The control socket: JSON lines over a Unix socket that only its owner may open.

Owns framing, limits and the socket file. Must never know what a command does: a
handler turns a request into an answer, and may pass descriptors along with it
(SCM_RIGHTS, with the answer's first byte).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable
    from types import TracebackType

    Answer = dict[str, Any]
    Handler = Callable[[Answer], "Answer | Passing"]

_LONGEST_REQUEST = 65536
_MOST_CLIENTS = 32
_RECEIVE = 65536
_MOST_DESCRIPTORS = 64
"""With one answer: a ring for each of the most queues there can be. The kernel takes 253."""


class Passing(NamedTuple):
    """An answer with descriptors, which stay the handler's."""

    answer: Answer
    descriptors: tuple[int, ...]


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
    """One connection: bytes of requests not yet looked at, and of an answer not yet taken."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._asked = bytearray()
        self._lines: deque[bytes] = deque()
        self._answer = bytearray()
        self._descriptors: tuple[int, ...] = ()
        """That go with the answer's first byte."""

    @property
    def interest(self) -> int:
        """Return 1 (read) or 2 (write): no request is read while an answer waits."""
        return 2 if self._answer else 1

    def exchange(self, handle: Handler) -> bool:
        """Do what the socket is ready for; return whether to go on."""
        if not self._answer:
            data = self._socket.recv(_RECEIVE)
            if not data:
                return False
            self._asked += data
            *lines, rest = bytes(self._asked).split(b"\n")
            self._asked = bytearray(rest)
            self._lines.extend(line for line in lines if line.strip())
        # One at a time: an answer that nobody takes is the last that is made.
        while self._sent() and self._lines:
            answer = _answered(self._lines.popleft(), handle)
            self._answer, self._descriptors = bytearray(answer.text), answer.descriptors
        return len(self._asked) <= _LONGEST_REQUEST

    def _sent(self) -> bool:
        """Send of the answer what the socket takes; return whether that was all."""
        try:
            while self._answer:
                # Nothing is passed along with bytes that the socket does not take.
                if self._descriptors:
                    sent = socket.send_fds(self._socket, [self._answer], self._descriptors)
                    self._descriptors = ()
                else:
                    sent = self._socket.send(self._answer)
                del self._answer[:sent]
        except BlockingIOError:
            return False
        return True


class _Answered(NamedTuple):
    text: bytes
    descriptors: tuple[int, ...]


def _answered(line: bytes, handle: Handler) -> _Answered:
    answer: Answer | Passing
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        answer = {"error": f"not a JSON object: {error}"}
    else:
        answer = handle(request) if isinstance(request, dict) else {"error": "expected a JSON object"}
    document, descriptors = answer if isinstance(answer, Passing) else (answer, ())
    return _Answered(json.dumps(document, default=str).encode() + b"\n", descriptors)


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


class Conversation:
    """A connection for several requests, one after the other. Use as a context manager, or close it."""

    def __init__(self, path: str, timeout: float = 30.0) -> None:
        """Connect; OSError if nobody answers in time (seconds), here and later."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._rest = b""
        try:
            # A socket with a Python timeout is refused at once where many wait to be accepted.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout))
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._socket.settimeout(timeout)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Send a request; return its answer, and the descriptors that came with it, which are the caller's.

        After an OSError there is nothing more to be said: what comes next may be this request's answer.
        """
        descriptors: list[int] = []
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            return _document(self._line(descriptors)), descriptors
        except (OSError, ValueError):
            for descriptor in descriptors:
                os.close(descriptor)
            raise

    def _line(self, descriptors: list[int]) -> bytes:
        """Return the next line, with what was passed along added to the descriptors."""
        pieces = [self._rest]
        while b"\n" not in pieces[-1]:
            data, passed, _, _ = socket.recv_fds(self._socket, _RECEIVE, _MOST_DESCRIPTORS)
            descriptors += passed
            for descriptor in passed:
                # Not MSG_CMSG_CLOEXEC: CPython's recv_fds drops its flags.
                os.set_inheritable(descriptor, False)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the daemon hung up without an answer")
            pieces.append(data)
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        return line

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _document(line: bytes) -> dict[str, Any]:
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ConnectionError(errno.EPROTO, "the daemon's answer is not an object")
    return answer


def ask(path: str, request: dict[str, Any], timeout: float = 30.0) -> dict[str, Any]:
    """Send one request and return its answer; OSError if nobody answers in time (seconds)."""
    with Conversation(path, timeout) as conversation:
        answer, descriptors = conversation.ask(request)
    for descriptor in descriptors:
        os.close(descriptor)
    return answer
