"""What /proc says about queues: how full, and whose.

Owns the reading of /proc/net/netfilter/nfnetlink_queue and /proc/net/netlink. The root is
a parameter, so that tests read a folder of their own. Must never write.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_NETFILTER_PROTOCOL = "12"
_COLUMNS = 8


class QueueStats(NamedTuple):
    """One bound queue, as net/netfilter/nfnetlink_queue.c prints it. Counts since binding."""

    queue: int
    port: int
    """Netlink port of the socket that holds it; often, not always, its process id."""
    queued: int
    """Packets waiting for a verdict now."""
    copy_mode: int
    """0 nothing, 1 headers of the message, 2 packets."""
    copy_range: int
    """Bytes of each packet that are copied."""
    queue_dropped: int
    """Packets that found `max_len` others waiting, and were dropped."""
    user_dropped: int
    """Packets that found no room in the socket's receive buffer, and were dropped."""
    sequence: int
    """Packets queued so far."""


class Holder(NamedTuple):
    """The process that holds a queue."""

    pid: int
    command: str


def queue_stats(queue: int, proc: str = "/proc") -> QueueStats | None:
    """Return a queue's numbers, None if nobody is bound to it or the kernel has no queues."""
    for line in _lines(Path(proc) / "net/netfilter/nfnetlink_queue"):
        columns = line.split()
        if len(columns) > _COLUMNS and columns[0] == str(queue):
            return QueueStats(*(int(column) for column in columns[:_COLUMNS]))
    return None


def queue_holder(queue: int, proc: str = "/proc") -> Holder | None:
    """Return who holds a queue, None if nobody, or nobody whose descriptors we may read."""
    stats = queue_stats(queue, proc)
    if stats is None:
        return None
    inode = _socket_inode(stats.port, proc)
    for process in Path(proc).glob("[0-9]*"):
        if _has_socket(process, inode):
            return Holder(int(process.name), _command(process))
    return None


def _socket_inode(port: int, proc: str) -> str:
    # Columns: address, protocol, port, ..., inode. Ports above 2^31 are printed unsigned here
    # and signed or unsigned, by version, in nfnetlink_queue.
    for line in _lines(Path(proc) / "net/netlink"):
        columns = line.split()
        if columns[1:2] == [_NETFILTER_PROTOCOL] and int(columns[2]) == port % (1 << 32):
            return columns[-1]
    return ""


def _has_socket(process: Path, inode: str) -> bool:
    try:
        return any(
            str(descriptor.readlink()) == f"socket:[{inode}]" for descriptor in (process / "fd").iterdir()
        )
    except OSError:  # it ended, or is not ours to look into
        return False


def _command(process: Path) -> str:
    """Return a process's name; of a Python program, what it runs: `python3` tells nobody anything."""
    name = "".join(_lines(process / "comm")) or "?"
    if not name.startswith("python"):
        return name
    arguments = "".join(_lines(process / "cmdline")).split("\0")
    return arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else name


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
