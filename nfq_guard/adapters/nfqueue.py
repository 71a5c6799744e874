"""A queue of packets that wait for a verdict, over NetfilterQueue.

Owns the queue's socket and the packets that wait in it: each gets exactly one verdict,
whatever happens. Must never decide: it asks its judge.

NetfilterQueue binds the queue and gives it back. Packets are read from its socket, and
answered on it, by ourselves: the binding makes an object and a system call for each
packet's answer, where the kernel takes one answer for all packets up to an id
(NFQNL_MSG_VERDICT_BATCH), which saves a third of the time of a packet.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import warnings
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from netfilterqueue import COPY_NONE, NetfilterQueue

from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.procfs import queue_holder
from nfq_guard.adapters.queuewire import (
    ACK,
    ERROR,
    HARDWARE_WORD,
    INDEV_WORD,
    INFO_WORD,
    INWARD,
    INWARD_LENGTH,
    PACKET,
    PAYLOAD,
    REQUEST,
    Answer,
    config,
    read,
)
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
    from nfq_guard.kernel.plan import KernelSettings

__all__ = ["ALLOW", "DENY", "PASS", "REJECT", "UNJUDGED", "Judge", "QueueReader", "number_of"]

Ask = Callable[[bytearray, int, int], int]
"""(message, start, end) -> answer. The packet's beginning, from its IP header on, is in the message, which
is good until the answer."""
Judge = Callable[[Gate, int, int], Ask]
"""(where it is asked, interface in, interface out) -> what is asked about packets of that place, until `run`
comes back. Interface numbers are as the kernel writes them: `number_of` reads them."""

MAX_LENGTH = 4096
"""Packets that may wait. At 20,000 verdicts a second the last of them waits 0.2 s."""

COPY_RANGE = 256
"""Bytes of each packet that reach the judge: IPv6 with extension headers, and ports. Costs no
more than 64; more does."""

BUDGET = 256
"""Packets judged before `run` comes back: a flood cannot keep a worker from its other duties."""
_TURN_SECONDS = 0.002
"""`run` comes back after so long too. A verdict wakes others, and we may wait for the processor until they have
renamed an interface: what comes then is not to be judged before we have heard of it."""

_WAITING_PACKET = 832
"""Bytes of receive buffer that one waiting packet takes (copy range up to 512)."""


_PARAMS, _MAXLEN, _MASK, _FLAGS = 2, 3, 4, 5
"""NFQA_CFG_*: linux/netfilter/nfnetlink_queue.h."""
_FAIL_OPEN, _GSO = 1, 4
_COPY_PACKET = 2
_VERDICTS = {Verb.DROP: 0, Verb.ACCEPT: 1, Verb.REPEAT: 4}
"""NF_DROP, NF_ACCEPT, NF_REPEAT: linux/netfilter.h."""
_ACK_TIMEOUT_MS = 5000
_RECEIVE = 65536
_LONGEST_RUN = 64
"""Packets that one answer may be for: they wait for each other, a few microseconds apiece."""
_MARKS = 1024
"""For which answers are kept ready, at all gates together: others may put any on packets."""


class _Answers(dict[int, Answer]):
    """What the kernel is told for each answer to packets of one gate and mark, made when it is first given."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[int], Answer]) -> None:
        """Start empty."""
        super().__init__()
        self._make = make

    def __missing__(self, told: int) -> Answer:
        """Make one."""
        answer = self[told] = self._make(told)
        return answer


class _Door:
    """A gate, and what the kernel is told for each answer there."""

    __slots__ = ("gate", "outcomes")

    def __init__(self, hook: int, code: Code) -> None:
        self.gate = GATES[hook, code]
        self.outcomes = {answer: outcome(hook, code, answer) for answer in ANSWERS}


_DROP = Outcome(Verb.DROP)


class QueueReader:
    """Binds a queue and puts its packets to a judge. Single-threaded; poll `fileno()`.

    What `judge` says is asked about packets returns one of kernel/gates.py's answers. If either raises,
    the packet gets what the fail mode says, and `run` passes the exception on.
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
        self._number = number
        self._judge = judge
        mark = settings.packet_mark
        self._codes = mark.codes
        self._ours = mark.mask
        self._doors = {(hook, mark.value(code)): _Door(hook, code) for hook, code in GATES}
        self._marks = {code: mark.value(code) for code in Code}
        self._open = settings.fail_mode is FailMode.OPEN
        self._unjudged = unjudged = UNJUDGED if self._open else DENY
        self._unasked: Ask = lambda _message, _at, _end: unjudged
        self._answers: dict[tuple[Verb, int | None], Answer] = {}
        self._nowhere = _Door(LOCAL_OUT, Code.NONE), _Answers(lambda _told: self._answer(_DROP, 0))
        """Stands for where no rule of ours can have queued a packet: it is not judged, the fail mode decides."""
        self._opened: dict[tuple[int, int], tuple[_Door, _Answers]] = {}
        """By hook and mark of a packet."""
        self._message = bytearray(_RECEIVE)
        self.last: tuple[Gate, int, int, bytearray, int, int] | None = None
        """What the judge was told last, good until the next `run`."""
        self._queue = NetfilterQueue()
        self._socket: socket.socket | None = None
        # Nothing is copied, hence nothing queued, until the flags stand.
        try:
            self._bind(number, max_length)
            self._descriptor = int(self._queue.get_fd())
            # The queue belongs to this socket, whoever reads and answers on it.
            self._socket = socket.socket(fileno=os.dup(self._descriptor))
            self._configure(self._socket, max_length, copy_range)
            self._socket.setblocking(False)
        except (KernelError, OSError):
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to poll for input."""
        return self._descriptor

    def run(self, budget: int = BUDGET) -> int:  # noqa: C901, PLR0912, PLR0915 - a call for each packet costs 2 %
        """Judge what waits now, at most `budget` packets; return how many, 0 only if there are none. Never waits.

        Packets that follow each other and get the same answer get it in one message. The
        first is answered at once, and ever more together as more keep coming: a packet that
        is alone waits for nobody.
        """
        assert self._socket is not None, "bound"  # noqa: S101
        receive, send = self._socket.recv_into, self._socket.send
        message, judge = self._message, self._judge
        until = monotonic() + _TURN_SECONDS
        judged = count = ident = 0
        longest = 1
        opened = self._opened
        door, answers = nowhere, _ = self._nowhere
        inward = outward = mark = at = end = 0
        ask = self._unasked
        came, entered = -1, -1
        """Hook and interface of the packet before, if it was an inward one without a mark: most are alike."""
        answer: Answer | None = None
        try:
            while judged < budget and (count or not judged or monotonic() < until):
                try:
                    length = receive(message)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno == errno.ENOBUFS:
                        # Packets were dropped, and counted: /proc/net/netfilter/nfnetlink_queue.
                        continue
                    raise
                kind, following, hook, first, number, second, third, size, last = INWARD(message)
                alike = (
                    first == INDEV_WORD
                    and second == HARDWARE_WORD
                    and third == INFO_WORD
                    and last == PAYLOAD
                    and kind == PACKET
                    and length >= INWARD_LENGTH
                )
                if alike:
                    at, end = INWARD_LENGTH, INWARD_LENGTH - 4 + size
                else:
                    arrival = read(message, length)
                    if arrival is None:
                        continue
                    following, hook, number, leaving, marked, at, end = arrival
                judged += 1
                # A packet without a verdict would wait for ever: whatever goes wrong, it gets one.
                told = self._unjudged
                try:
                    if not alike or hook != came or number != entered:
                        came, entered = (hook, number) if alike else (-1, -1)
                        inward, outward, mark = (number, 0, 0) if alike else (number, leaving, marked)
                        door, answers = opened.get((hook, mark)) or self._open_for(hook, mark)
                        ask = self._unasked if door is nowhere else judge(door.gate, inward, outward)
                    told = ask(message, at, end)
                finally:
                    verdict = answers[told]
                    if verdict is not answer and count:
                        assert answer is not None, "of those that wait"  # noqa: S101
                        send(answer.to(ident, count))
                        count = 0
                    answer, ident = verdict, following
                    count += 1
                if count >= longest:
                    send(answer.to(ident, count))
                    count = 0
                    longest = min(2 * longest, _LONGEST_RUN)
        finally:
            if count and answer is not None:
                send(answer.to(ident, count))
            self.last = (
                (door.gate, inward, outward, message, at, end) if judged and door is not nowhere else None
            )
        return judged

    def _open_for(self, hook: int, mark: int) -> tuple[_Door, _Answers]:
        """Return where packets with this mark come from at a hook, and what they are answered there."""
        if len(self._opened) >= _MARKS:
            self._opened.clear()
        door = self._doors.get((hook, mark & self._codes), self._nowhere[0])
        answers = _Answers(lambda told: self._answer(door.outcomes.get(told, _DROP), mark))
        found = self._opened[hook, mark] = door, answers
        return found

    def _answer(self, outcome: Outcome, mark: int) -> Answer:
        """Make an answer; the same one for the same message, so that packets may have it together."""
        put = None if outcome.code is None else mark & ~self._ours | self._marks[outcome.code]
        key = outcome.verb, put
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= _MARKS:
                self._answers.clear()
            answer = self._answers[key] = Answer(self._number, _VERDICTS[outcome.verb], put)
        return answer

    def close(self) -> None:
        """Give the queue back. Packets that wait in it are dropped by the kernel."""
        self._queue.unbind()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bind(self, number: int, max_length: int) -> None:
        try:
            with warnings.catch_warnings():
                # A smaller buffer than asked for only overflows earlier, and is counted.
                warnings.simplefilter("ignore", RuntimeWarning)
                self._queue.bind(
                    number,
                    _unread,
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

    def _configure(self, own: socket.socket, max_length: int, copy_range: int) -> None:
        # The binding knows no flags; the kernel takes them only from the queue's own socket.
        number = self._number
        wanted = _GSO | (_FAIL_OPEN if self._open else 0)
        limits = (
            (_MASK, _be32(_GSO | _FAIL_OPEN)),
            (_FLAGS, _be32(wanted)),
            (_MAXLEN, _be32(max_length)),
        )
        start = (_PARAMS, struct.pack(">IB", copy_range, _COPY_PACKET))
        own.send(config(number, REQUEST | ACK, *limits))
        refusal = _acknowledgement(own)
        if refusal:
            raise KernelError(f"queue {number}: flags refused: {os.strerror(refusal)}")
        # Packets come from here on. No acknowledgement: it would stand among them.
        own.send(config(number, REQUEST, start))


def number_of(interface: int) -> int:
    """Return an interface's number, of what a judge is told."""
    return socket.ntohl(interface)


def _unread(_packet: object) -> None:
    """Stand for the callback that the binding wants: we read the socket ourselves."""


def _be32(value: int) -> bytes:
    return struct.pack(">I", value)


def _acknowledgement(own: socket.socket) -> int:
    """Return the error number of the kernel's answer, 0 for none."""
    poller = select.poll()
    poller.register(own, select.POLLIN)
    while poller.poll(_ACK_TIMEOUT_MS):
        data = own.recv(_RECEIVE)
        if struct.unpack_from("=4xH", data)[0] == ERROR:
            return -int(struct.unpack_from("=16xi", data)[0])
    raise KernelError("the kernel does not answer on the queue's socket")
