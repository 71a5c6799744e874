"""A queue of packets that wait for a verdict, over NetfilterQueue.

Owns the queue's socket and the packets that wait in it: each gets exactly one verdict,
whatever happens. Must never decide: it asks its judge.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from netfilterqueue import COPY_NONE, NetfilterQueue

from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.procfs import queue_holder
from nfq_guard.kernel.gates import (
    ALLOW,
    ANSWERS,
    DENY,
    GATES,
    LOCAL_OUT,
    PASS,
    REJECT,
    UNJUDGED,
    Outcome,
    Verb,
    outcome,
)
from nfq_guard.kernel.marks import Code
from nfq_guard.kernel.plan import FailMode
from nfq_guard.model.flow import Gate

if TYPE_CHECKING:
    from netfilterqueue import Packet

    from nfq_guard.kernel.plan import KernelSettings

__all__ = ["ALLOW", "DENY", "PASS", "REJECT", "UNJUDGED", "Judge", "QueueReader"]

Judge = Callable[[Gate, int, int, bytes], int]
"""(where it is asked, ifindex in, ifindex out, the packet's beginning from its IP header on) -> answer."""

MAX_LENGTH = 4096
"""Packets that may wait. At 20,000 verdicts a second the last of them waits 0.2 s."""

COPY_RANGE = 256
"""Bytes of each packet that reach the judge: IPv6 with extension headers, and ports. Costs no
more than 64; more does."""

BUDGET = 256
"""Packets judged before `run` comes back: a flood cannot keep a worker from its other duties."""

_WAITING_PACKET = 832
"""Bytes of receive buffer that one waiting packet takes (copy range up to 512)."""


_MESSAGE = 3 << 8 | 2
"""NFNL_SUBSYS_QUEUE, NFQNL_MSG_CONFIG."""
_REQUEST, _ACK = 1, 4
_PARAMS, _MAXLEN, _MASK, _FLAGS = 2, 3, 4, 5
"""NFQA_CFG_*: linux/netfilter/nfnetlink_queue.h."""
_FAIL_OPEN, _GSO = 1, 4
_COPY_PACKET = 2
_ERROR = 2
"""NLMSG_ERROR; with error 0 an acknowledgement."""
_HEADER = struct.Struct("=IHHII")
_ACK_TIMEOUT_MS = 5000
_RECEIVE = 65536


class _BudgetSpentError(Exception):
    """Leaves NetfilterQueue.run() between two packets; it knows no other way."""


class _Door:
    """A gate, and what the kernel is told for each answer there."""

    __slots__ = ("gate", "outcomes")

    def __init__(self, hook: int, code: Code) -> None:
        self.gate = GATES[hook, code]
        self.outcomes = {answer: outcome(hook, code, answer) for answer in ANSWERS}


_DROP = Outcome(Verb.DROP)
_NOWHERE = _Door(LOCAL_OUT, Code.NONE)
"""Stands for a packet that no rule of ours can have queued: never judged, the fail mode decides."""
_HOOK_BITS = 3


class QueueReader:
    """Binds a queue and puts its packets to a judge. Single-threaded; poll `fileno()`.

    `judge(gate, in_ifindex, out_ifindex, payload)` returns one of kernel/gates.py's answers. If it
    raises, the packet gets what the fail mode says, and `run` passes the exception on.
    """

    def __init__(
        self,
        number: int,
        judge: Judge,
        settings: KernelSettings,
        *,
        max_length: int = MAX_LENGTH,
        copy_range: int = COPY_RANGE,
    ) -> None:
        """Bind. KernelError if the kernel refuses, naming the process that holds the queue."""
        self._judge = judge
        mark = settings.packet_mark
        self._codes = mark.codes
        self._ours = mark.mask
        self._doors = {hook | mark.value(code) << _HOOK_BITS: _Door(hook, code) for hook, code in GATES}
        self._marks = {code: mark.value(code) for code in Code}
        self._open = settings.fail_mode is FailMode.OPEN
        self._unjudged = UNJUDGED if self._open else DENY
        self._left = 0
        self._queue = NetfilterQueue()
        # Nothing is copied, hence nothing queued, until the flags stand.
        try:
            self._bind(number, max_length)
            self._configure(number, max_length, copy_range)
        except (KernelError, OSError):
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to poll for input."""
        return int(self._queue.get_fd())

    def run(self, budget: int = BUDGET) -> int:
        """Judge what waits now, at most `budget` packets; return how many. Never waits."""
        self._left = budget
        with contextlib.suppress(_BudgetSpentError):
            self._queue.run(False)
        return budget - self._left

    def close(self) -> None:
        """Give the queue back. Packets that wait in it are dropped by the kernel."""
        self._queue.unbind()

    def _packet(self, packet: Packet) -> None:
        # A packet without a verdict would wait for ever: whatever goes wrong, it gets one.
        answer = self._unjudged
        door = self._doors.get(packet.hook | (packet.mark & self._codes) << _HOOK_BITS, _NOWHERE)
        try:
            if door is not _NOWHERE:
                answer = self._judge(door.gate, packet.indev, packet.outdev, packet.get_payload())
        finally:
            verb, code = door.outcomes.get(answer, _DROP)
            if code is not None:
                packet.set_mark(packet.mark & ~self._ours | self._marks[code])
            if verb is Verb.REPEAT:
                packet.repeat()
            elif verb is Verb.ACCEPT:
                packet.accept()
            else:
                packet.drop()
            self._left -= 1
        if self._left <= 0:
            raise _BudgetSpentError

    def _bind(self, number: int, max_length: int) -> None:
        try:
            with warnings.catch_warnings():
                # A smaller buffer than asked for only overflows earlier, and is counted.
                warnings.simplefilter("ignore", RuntimeWarning)
                self._queue.bind(
                    number,
                    self._packet,
                    max_len=max_length,
                    mode=COPY_NONE,
                    sock_len=_WAITING_PACKET * max_length,
                )
        except OSError as error:
            holder = queue_holder(number)
            if holder is None:
                raise KernelError(
                    f"queue {number}: {error} Either CAP_NET_ADMIN is missing, "
                    "or a process that we cannot see holds the queue"
                ) from error
            raise KernelError(
                f"queue {number} is held by process {holder.pid} ({holder.command}): "
                "stop it, or choose another queue number"
            ) from error

    def _configure(self, number: int, max_length: int, copy_range: int) -> None:
        # The binding knows no flags; the kernel takes them only from the queue's own socket.
        wanted = _GSO | (_FAIL_OPEN if self._open else 0)
        limits = (
            (_MASK, _be32(_GSO | _FAIL_OPEN)),
            (_FLAGS, _be32(wanted)),
            (_MAXLEN, _be32(max_length)),
        )
        start = (_PARAMS, struct.pack(">IB", copy_range, _COPY_PACKET))
        with socket.socket(fileno=os.dup(self.fileno())) as own:
            own.send(_config_message(number, _REQUEST | _ACK, *limits))
            refusal = _acknowledgement(own)
            if refusal:
                raise KernelError(f"queue {number}: flags refused: {os.strerror(refusal)}")
            # Packets come from here on. No acknowledgement: it would stand among them.
            own.send(_config_message(number, _REQUEST, start))


def _be32(value: int) -> bytes:
    return struct.pack(">I", value)


def _config_message(number: int, flags: int, *attributes: tuple[int, bytes]) -> bytes:
    body = struct.pack(">BBH", 0, 0, number)
    for kind, value in attributes:
        body += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return _HEADER.pack(_HEADER.size + len(body), _MESSAGE, flags, 0, 0) + body


def _acknowledgement(own: socket.socket) -> int:
    """Return the error number of the kernel's answer, 0 for none."""
    poller = select.poll()
    poller.register(own, select.POLLIN)
    while poller.poll(_ACK_TIMEOUT_MS):
        data = own.recv(_RECEIVE)
        _, kind, *_ = _HEADER.unpack_from(data)
        if kind == _ERROR:
            return -int(struct.unpack_from("=i", data, _HEADER.size)[0])
    raise KernelError("the kernel does not answer on the queue's socket")
