from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from bench import bench

from nfq_guard.adapters.procfs import Holder, QueueStats, queue_holder, queue_stats

if TYPE_CHECKING:
    from pathlib import Path

QUEUES = """    0   4711     7 2   256     3     5  1234  1
   10 4294962999     0 1     0     0     0        0  1
"""
SOCKETS = """sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
0000000000000000 0   4711       00000000 0        0        0     2        0        11
0000000000000000 12  4711       00000000 0        0        0     2        0        22
0000000000000000 12  4294962999 00000000 0        0        0     2        0        33
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a /proc with queue 0 held by process 900 and queue 10 by nobody we can see."""
    (tmp_path / "net/netfilter").mkdir(parents=True)
    (tmp_path / "net/netfilter/nfnetlink_queue").write_text(QUEUES)
    (tmp_path / "net/netlink").write_text(SOCKETS)
    for pid, inode in ((800, 11), (900, 22)):
        descriptors = tmp_path / str(pid) / "fd"
        descriptors.mkdir(parents=True)
        (descriptors / "5").symlink_to(f"socket:[{inode}]")
        (tmp_path / str(pid) / "comm").write_text(f"program-{pid}\n")
    (tmp_path / "700").mkdir()
    return tmp_path


def test_a_queues_numbers_are_read_by_column(proc: Path) -> None:
    assert queue_stats(0, str(proc)) == QueueStats(0, 4711, 7, 2, 256, 3, 5, 1234)


def test_a_queue_is_found_by_its_whole_number(proc: Path) -> None:
    stats = queue_stats(10, str(proc))
    assert stats is not None
    assert stats.port == 4294962999
    assert queue_stats(1, str(proc)) is None


def test_a_kernel_without_queues_has_no_numbers(tmp_path: Path) -> None:
    assert queue_stats(0, str(tmp_path)) is None
    assert queue_holder(0, str(tmp_path)) is None


def test_the_holder_is_found_by_the_socket_not_by_the_port(proc: Path) -> None:
    assert queue_holder(0, str(proc)) == Holder(900, "program-900")


def test_a_holder_that_cannot_be_seen_is_not_guessed(proc: Path) -> None:
    assert queue_holder(10, str(proc)) is None
    (proc / "net/netlink").unlink()
    assert queue_holder(0, str(proc)) is None


def test_a_holder_without_a_name_is_still_a_holder(proc: Path) -> None:
    (proc / "900/comm").unlink()
    assert queue_holder(0, str(proc)) == Holder(900, "?")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (b"/x/python\0-m\0nfq_guard.daemon.worker\0--fd\09\0", "nfq_guard.daemon.worker"),
        (b"python\0script.py\0", "python3"),
        (b"python\0-m\0\xff\0", "\ufffd"),
    ],
    ids=["a module", "a script", "no text"],
)
def test_a_python_program_is_told_by_what_it_runs(proc: Path, arguments: bytes, told: str) -> None:
    (proc / "900/comm").write_text("python3\n")
    (proc / "900/cmdline").write_bytes(arguments)

    assert queue_holder(0, str(proc)) == Holder(900, told)


@pytest.mark.netns
def test_the_kernels_own_file_is_understood() -> None:
    with bench() as here, here.worker(), here.guarded.namespace.entered():
        stats = queue_stats(0)
        assert stats is not None
        assert (stats.queue, stats.copy_mode, stats.copy_range) == (0, 2, 256)
        assert stats.queued == stats.queue_dropped == stats.user_dropped == stats.sequence == 0
        holder = queue_holder(0)
        assert holder is not None
        assert holder.pid == os.getpid()
        assert queue_stats(1) is None


@pytest.mark.netns
def test_queued_packets_are_counted() -> None:
    with bench() as here:
        here.install()
        with here.worker() as worker, here.peer.namespace.socket(kind=socket.SOCK_DGRAM) as sender:
            worker.pause()
            for port in range(1, 6):
                sender.sendto(b"x", (here.guarded.v4, port))
            with here.guarded.namespace.entered():
                stats = queue_stats(0)
            assert stats is not None
            assert stats.sequence == 5
            assert stats.queued == 5
