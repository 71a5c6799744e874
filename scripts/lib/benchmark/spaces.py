"""Where the benchmark takes place: beds of a guarded namespace and one that sends, joined by a veth pair.

Owns these namespaces and what the kernel tells about them. Every number is read from the kernel's own counters.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import leftovers
from namespaces import Namespace, run

from benchmark.policies import CLIENT_NET, GUARDED, SENDER
from nfq_guard.adapters.nft import probe_queue_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.kernel.plan import QueueTarget

INTERFACE = "eth0"
CONNTRACK_SHARE = 0.8
"""Of nf_conntrack_max that a run may fill. The limit is the machine's, not the namespace's: it is read and left alone."""


class Losses(NamedTuple):
    """What the kernel has thrown away so far. Differences of two say what a measurement lost, and where."""

    queue_full: int = 0
    """Packets that found the queue full (nfnetlink_queue, `queue_dropped`)."""
    reader_full: int = 0
    """Packets that found the receive buffer of the queue's reader full (`user_dropped`)."""
    conntrack: int = 0
    """Connections that could not be entered: conntrack table full, or a clash (`insert_failed`, `drop`, `early_drop`)."""
    backlog: int = 0
    """Packets that found the receive backlog of a CPU full. Of the whole machine: no namespace has its own."""
    listener: int = 0
    """Connections that the server did not take in time (`ListenDrops`): not the firewall's doing."""

    def since(self, before: Losses) -> Losses:
        """Return what was lost between two readings."""
        return Losses(*(now - then for now, then in zip(self, before, strict=True)))


class Bed:
    """Two namespaces, `guarded` with 10.0.0.1 and `sender` with everybody else's address, and a folder."""

    def __init__(self, work: Path, number: int = 0) -> None:
        """Name them; nothing is made yet. `work` is the run's folder, `number` tells its beds apart."""
        self.programs, self.work = work, work / f"bed-{number}"
        roles = (f"host{number}", f"peer{number}")
        self.guarded, self.sender = (Namespace(f"bench-{os.getpid()}-{role}") for role in roles)

    def build(self) -> None:
        """Make the folder, both namespaces, and the cable between them."""
        self.work.mkdir()
        spaces = (self.guarded, self.sender)
        for space in spaces:
            run("ip", "netns", "add", space.name)
            space.ip("link", "set", "lo", "up")
        self.guarded.ip(
            "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", self.sender.name
        )
        for space, address in zip(spaces, (GUARDED, SENDER), strict=True):
            space.ip("address", "add", f"{address}/24", "dev", INTERFACE)
            space.ip("link", "set", INTERFACE, "up")
            space.sysctl("core/somaxconn", 65_535)
        self.guarded.ip("route", "add", str(CLIENT_NET), "via", SENDER)
        # All of them are this host's, without 16,000 addresses on an interface.
        self.sender.ip("route", "add", "local", str(CLIENT_NET), "dev", "lo")

    def clear(self) -> None:
        """Take every rule and connection out of the guarded namespace."""
        self.nft("flush ruleset\n")
        self.forget_connections()

    def forget_connections(self) -> None:
        """Flush the connections of both namespaces: the next run finds tables as empty as the one before."""
        for space in (self.guarded, self.sender):
            with space.entered():
                run("conntrack", "-F", check=False)

    def nft(self, text: str, *, seconds: float = 600) -> None:
        """Load nft text into the guarded namespace; RuntimeError with nft's words."""
        with self.guarded.entered():
            done = subprocess.run(
                ["nft", "-f", "-"], input=text, capture_output=True, text=True, timeout=seconds, check=False
            )
        if done.returncode != 0:
            raise RuntimeError(f"nft: {done.stderr.strip()[:2000]}")

    def queue_target(self) -> QueueTarget:
        """Return how this kernel lets a rule queue."""
        with self.guarded.entered():
            return probe_queue_target()

    def queued(self) -> int:
        """Return how many packets the namespace's queues have taken so far."""
        return sum(int(columns[7]) for columns in self._queues())

    def losses(self) -> Losses:
        """Return what has been lost so far."""
        queues = list(self._queues())
        return Losses(
            sum(int(columns[5]) for columns in queues),
            sum(int(columns[6]) for columns in queues),
            self._conntrack_losses(),
            sum(int(line.split()[1], 16) for line in _lines("/proc/net/softnet_stat")),
            self._listener_losses(),
        )

    def _queues(self) -> Iterator[list[str]]:
        yield from (line.split() for line in self._proc("netfilter/nfnetlink_queue"))

    def _conntrack_losses(self) -> int:
        head, *rows = self._proc("stat/nf_conntrack") or [""]
        wanted = [
            at for at, name in enumerate(head.split()) if name in {"insert_failed", "drop", "early_drop"}
        ]
        return sum(int(row.split()[at], 16) for row in rows for at in wanted)

    def _listener_losses(self) -> int:
        rows = [line.split() for line in self._proc("netstat") if line.startswith("TcpExt:")]
        return int(dict(zip(*rows, strict=True)).get("ListenDrops", 0)) if rows else 0

    def _proc(self, name: str) -> list[str]:
        with self.guarded.entered():
            return _lines(f"/proc/thread-self/net/{name}")


def remember(work: Path, beds: Iterable[Bed]) -> None:
    """Write down what there is to clean up, for a later call if this one cannot."""
    names = [space.name for bed in beds for space in (bed.guarded, bed.sender)]
    leftovers.remember(work, names, [], keep=False, empty=True)


def conntrack_room() -> int:
    """Return how many connections a run may make."""
    lines = _lines("/proc/sys/net/netfilter/nf_conntrack_max")
    return int(int(lines[0]) * CONNTRACK_SHARE) if lines else sys.maxsize


def _lines(path: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return Path(path).read_text(encoding="ascii").splitlines()
    return []
