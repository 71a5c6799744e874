"""A guarded namespace with our real table and a real queue, and a peer to talk to it.

Owns the worker thread that judges in tests. Must never replace the kernel, the table or
the queue reader by something that only acts like them.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Self

import netns

from nfq_guard import packet as packets
from nfq_guard.adapters.nfqueue import ALLOW, QueueReader, number_of
from nfq_guard.adapters.nft import Table, probe_queue_target
from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
from nfq_guard.kernel.plan import KernelPlan, KernelSettings, plan_for
from nfq_guard.model.flow import Direction, Gate, Packet, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDPOINT = GuardedEndpoint("test", {})
SHORT = 0.3
"""Seconds in which nothing may arrive. Only ever waited for where silence is the expected answer."""


class Asked(NamedTuple):
    """A packet that the kernel asked about."""

    gate: Gate
    packet: Packet
    interface: int
    """Index of the one that it came in by, else of the one that it leaves by."""

    @property
    def side(self) -> Side:
        """Whose rules it meets first."""
        return Side.EGRESS if self.gate.direction is Direction.OUT else Side.INGRESS

    @property
    def stage(self) -> Stage:
        """The stage that asks."""
        return self.gate.stage

    @property
    def port(self) -> int:
        """Destination port."""
        return self.packet.dport


class Worker:
    """A thread that answers a queue's packets and remembers them."""

    def __init__(
        self,
        space: netns.Namespace,
        settings: KernelSettings,
        *,
        max_length: int = 4096,
        number: int | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        self.decide: Callable[[Asked], int] = lambda _: ALLOW
        self.errors: list[Exception] = []
        queue = settings.queue if number is None else number
        with space.entered():
            self.reader = QueueReader(
                queue, lambda *where: partial(self._judge, *where), settings, max_length=max_length
            )
        self._wake_read, self._wake_write = os.pipe()
        self._turn = threading.Lock()
        self._paused = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pause(self) -> None:
        """Stop answering, while staying bound: a hung worker. No packet is under way on return."""
        self._paused = self._turn.acquire(timeout=10)
        assert self._paused

    def resume(self) -> None:
        """Answer again."""
        if self._paused:
            self._paused = False
            self._turn.release()

    def count(self, port: int, side: Side | None = None) -> int:
        """Return how often the kernel asked about packets to a port."""
        return sum(one.port == port and side in {None, one.side} for one in tuple(self.asked))

    def close(self) -> None:
        """Give the queue back."""
        if self._ended.is_set():
            return
        self._ended.set()
        self.resume()
        os.write(self._wake_write, b"x")
        self._thread.join(10)
        self.reader.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _judge(  # a queue's Judge
        self, gate: Gate, inward: int, outward: int, message: bytearray, at: int, end: int
    ) -> int:
        parsed = packets.parse(message, at, end)
        assert isinstance(parsed, Packet), parsed
        asked = Asked(gate, parsed, number_of(inward or outward))
        self.asked.append(asked)
        return self.decide(asked)

    def _loop(self) -> None:
        poller = select.poll()
        poller.register(self.reader, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while not self._ended.is_set():
            poller.poll()
            with self._turn:
                if self._ended.is_set():
                    return
                try:
                    self.reader.run()
                except ValueError as error:  # what tests make judges raise
                    self.errors.append(error)


class Bench:
    """The guarded end, its peer, and the table in force. `plan` changes and installs."""

    def __init__(self, guarded: netns.End, peer: netns.End, settings: KernelSettings) -> None:
        self.guarded, self.peer = guarded, peer
        self.settings = settings
        with guarded.namespace.entered():
            self.target = probe_queue_target()
        self.table = Table(settings, self.target)
        self.generation = 0

    def install(self, ruleset: Ruleset | None = None) -> KernelPlan:
        """Install the next generation; without a ruleset: eth0 guarded, no failsafes."""
        self.generation = self.settings.connection_mark.following(self.generation)
        plan = plan_for(ruleset or Ruleset("node", {"eth0": ENDPOINT}), self.generation)
        with self.guarded.namespace.entered():
            self.table.install(plan)
        return plan

    def worker(self, **options: int) -> Worker:
        """Start a worker on the table's queue."""
        return Worker(self.guarded.namespace, self.settings, **options)

    def counters(self) -> dict[str, int]:
        """Return the packets of each named counter."""
        with self.guarded.namespace.entered():
            return {name: count.packets for name, count in self.table.counters().items()}

    def handles(self) -> dict[str, int]:
        """Return the table's and base chains' handles: they change when one is made anew."""
        with self.guarded.namespace.entered():
            snapshot = self.table.read_back()
        assert snapshot is not None
        return {"table": snapshot.handle, **{chain.name: chain.handle for chain in snapshot.base_chains}}


@contextlib.contextmanager
def bench(settings: KernelSettings | None = None, *, subnet: int = 77) -> Iterator[Bench]:
    """Yield a guarded namespace and its peer, nothing installed yet."""
    with netns.pair(subnet=subnet) as (guarded, peer):
        yield Bench(guarded, peer, settings or KernelSettings())


def address(end: netns.End, family: int) -> str:
    """Return an end's address of family 4 or 6."""
    return end.v4 if family == 4 else end.v6


def udp(end: netns.End, family: int = 4, port: int = 0, bind: str | None = None) -> socket.socket:
    """Return a UDP socket at an end, bound to its address."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    made = end.namespace.socket(kind, socket.SOCK_DGRAM)
    made.bind((address(end, family) if bind is None else bind, port))
    return made


def listener(end: netns.End, port: int, family: int = 4, bind: str | None = None) -> socket.socket:
    """Return a listening TCP socket at an end."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    made = end.namespace.socket(kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address(end, family) if bind is None else bind, port))
    made.listen(512)
    return made


def connects(
    end: netns.End, to: str, port: int, *, timeout: float = SHORT, mark: int = 0, source: int = 0
) -> socket.socket | None:
    """Return a connected TCP socket, None if the other side stays silent."""
    made = end.namespace.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    if mark:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    if source:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", source))
    made.settimeout(timeout)
    try:
        made.connect((to, port))
    except (TimeoutError, BlockingIOError):
        made.close()
        return None
    made.settimeout(5)
    return made


def hears(receiver: socket.socket, *, timeout: float = SHORT) -> bytes | None:
    """Return the next datagram or bytes, None if nothing comes in time."""
    readable, _, _ = select.select([receiver], [], [], timeout)
    return receiver.recv(65536) if readable else None
