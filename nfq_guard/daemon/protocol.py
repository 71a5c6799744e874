"""What controller and worker say to each other.

Owns the messages and their framing: one datagram each on a SOCK_SEQPACKET pair, with a
ruleset beside it in a memory file, so that a worker never waits for the rest of a
message between two packets. Pickle is safe here: both ends are this program, joined
by a socket pair that no one else can open.
"""

from __future__ import annotations

import os
import pickle
import socket
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.kernel.plan import KernelSettings

_LONGEST = 131072


class WorkerSetup(NamedTuple):
    """First message to a worker: what stays the same for its life."""

    queue: int
    length: int
    """Packets that may wait."""
    kernel: KernelSettings
    flow_table_size: int


class Install(NamedTuple):
    """Decide by this from now on; answered by Installed. The ruleset is in the memory file."""

    generation: int
    slots: tuple[int, ...]
    """Shared counter slot of each of the ruleset's counter keys; -1: not counted."""


class Bind(NamedTuple):
    """Take the queue; answered by Bound or Refused."""


class Installed(NamedTuple):
    """The worker decides by this generation."""

    generation: int


class Bound(NamedTuple):
    """The worker holds its queue."""


class Refused(NamedTuple):
    """The worker cannot do what it was told."""

    why: str


class Note(NamedTuple):
    """Something to log. Dropped by the worker where the controller does not listen."""

    level: int
    message: str
    fields: dict[str, object]


class _Payload(NamedTuple):
    """An Install with its ruleset; the slots grow with the policy, so they travel in the file."""

    ruleset: Ruleset
    install: Install


ToWorker = WorkerSetup | Install | Bind
FromWorker = Installed | Bound | Refused | Note
Message = ToWorker | FromWorker


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the controller's end (non-blocking) and the worker's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
    return ours, theirs


def send(sock: socket.socket, message: Message) -> None:
    """Send a small message. BlockingIOError if the other end does not read, OSError if gone."""
    sock.send(pickle.dumps(message, pickle.HIGHEST_PROTOCOL), socket.MSG_NOSIGNAL)


def store(ruleset: Ruleset, install: Install) -> int:
    """Return a descriptor of a memory file with a ruleset, to be sent to any number of workers."""
    descriptor = os.memfd_create("nfq-guard-ruleset", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        pickle.dump(_Payload(ruleset, install), stream, pickle.HIGHEST_PROTOCOL)
    return descriptor


def send_file(sock: socket.socket, descriptor: int) -> None:
    """Send what `store` returned; the receiver gets an Install and the ruleset."""
    socket.send_fds(sock, [b"\0"], [descriptor], socket.MSG_NOSIGNAL)


class Received(NamedTuple):
    """A message, with its ruleset if it is an Install."""

    message: Message
    ruleset: Ruleset | None = None


def receive(sock: socket.socket) -> Received | None:
    """Return the next message, None if the other end has gone; BlockingIOError if there is none."""
    data, descriptors, _, _ = socket.recv_fds(sock, _LONGEST, 1)
    if descriptors:
        # The sender's descriptor shares its file offset with ours: read by position.
        with os.fdopen(descriptors[0], "rb") as stream:
            content = os.pread(stream.fileno(), os.fstat(stream.fileno()).st_size, 0)
        payload: _Payload = pickle.loads(content)  # noqa: S301 - see the module's docstring
        return Received(payload.install, payload.ruleset)
    if not data:
        return None
    message: Message = pickle.loads(data)  # noqa: S301 - as above
    return Received(message)
