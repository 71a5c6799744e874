"""What controller and worker say to each other.

Owns the messages and their framing: one datagram each on a SOCK_SEQPACKET pair, with a
ruleset beside it in a memory file, so that a worker never waits for the rest of a
message between two packets.

To a worker: pickles, from the controller whose child it is. From a worker: JSON, checked.
It reads what strangers send with fewer rights than the controller has, and must not be
able to make the controller run anything.
"""

from __future__ import annotations

import json
import pickle
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.daemon import parcel
from nfq_guard.engine.axis import Axis
from nfq_guard.engine.chain import Chain, FlatRule
from nfq_guard.engine.ruleset import GuardedEndpoint
from nfq_guard.engine.slices import Slice

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


class Watch(NamedTuple):
    """Write this down from now on; whatever it is, some denials."""

    deny: bool
    """Every denial."""
    allow: bool
    """What is left to another stage, or let by unjudged, goes with it."""
    log: bool
    """Each Log rule that a packet meets."""


NOBODY_WATCHES = Watch(deny=False, allow=False, log=False)
"""What a worker begins with."""


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


class Payload(NamedTuple):
    """An Install with its ruleset; the slots grow with the policy, so they travel in the file."""

    ruleset: Ruleset
    install: Install


class Learn(NamedTuple):
    """What the kernel may be taught: decisions of this generation, as `Learned`, each a list."""

    generation: int
    decisions: list[list[Any]]


ToWorker = WorkerSetup | Bind | Watch
FromWorker = Installed | Bound | Refused | Note | Learn
_ANSWERS: dict[str, type[FromWorker]] = {
    kind.__name__: kind for kind in (Installed, Bound, Refused, Note, Learn)
}


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the controller's end (non-blocking) and the worker's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
    return ours, theirs


def send(sock: socket.socket, message: ToWorker) -> None:
    """Send a worker a small message. BlockingIOError if it does not read, OSError if it is gone."""
    sock.send(pickle.dumps(message, pickle.HIGHEST_PROTOCOL), socket.MSG_NOSIGNAL)


def answer(sock: socket.socket, message: FromWorker) -> None:
    """Send the controller a message. BlockingIOError if it does not read, OSError if it is gone."""
    text = json.dumps([type(message).__name__, *message], default=str)
    sock.send(text.encode(), socket.MSG_NOSIGNAL)


def hear(sock: socket.socket) -> FromWorker | None:
    """Return a worker's next message, None if it has gone; BlockingIOError if there is none.

    ValueError for anything but one of its messages.
    """
    data = sock.recv(_LONGEST)
    if not data:
        return None
    try:
        name, *values = json.loads(data)
        message = _ANSWERS[name](*values)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("no message of a worker") from error
    if not _well_formed(message):
        raise ValueError("no message of a worker")
    return message


def _well_formed(message: object) -> bool:
    match message:
        case Installed(generation=int()) | Bound() | Refused(why=str()):
            return True
        case Learn(generation=int(), decisions=list()):
            return True
        case Note(level=int(), message=str(), fields=dict()):
            return True
        case _:
            return False


def store(ruleset: Ruleset, install: Install) -> int:
    """Return a descriptor of a memory file with a ruleset, to be sent to any number of workers."""
    # Of what is counted and how endpoints are, a worker needs to know nothing.
    bare = replace(ruleset, counter_keys=(), tried_keys=(), endpoint_states=())
    apart = (Chain, Slice, Axis, GuardedEndpoint)
    return parcel.store(Payload(bare, install), "nfq-guard-ruleset", apart, (FlatRule,))


def send_file(sock: socket.socket, descriptor: int) -> None:
    """Send what `store` returned; the receiver gets it to unpack."""
    socket.send_fds(sock, [b"\0"], [descriptor], socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> ToWorker | parcel.Unpacking | None:
    """Return a worker the next message, None if the controller has gone; BlockingIOError if there is none.

    What `store` stored comes as something to unpack, to a Payload. Any other exception but
    OSError: it cannot be read.
    """
    data, descriptors, _, _ = socket.recv_fds(sock, _LONGEST, 1)
    if descriptors:
        return parcel.Unpacking(descriptors[0])
    if not data:
        return None
    message: ToWorker = pickle.loads(data)  # noqa: S301 - our own controller's
    return message
