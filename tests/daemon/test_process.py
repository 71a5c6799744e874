from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from guarded import lives
from netns import Namespace, until

from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import create_block
from nfq_guard.daemon.process import WorkerProcess, start_time, stop_orphan
from nfq_guard.daemon.ring import create_ring
from nfq_guard.daemon.state import WorkerRecord
from nfq_guard.engine.ruleset import Ruleset
from nfq_guard.kernel.plan import KernelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

SETUP = protocol.WorkerSetup(4600, 128, KernelSettings(queue=4600), 100)


@pytest.fixture
def counters() -> Iterator[int]:
    descriptor = create_block()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def ring() -> Iterator[int]:
    descriptor = create_ring()
    yield descriptor
    os.close(descriptor)


def reach(worker: WorkerProcess, what: str) -> None:
    def arrived() -> bool:
        worker.wait(0.1)
        list(worker.take())
        return bool(getattr(worker, what)) or worker.finished()

    until(arrived, what, 20)


@pytest.mark.netns
def test_a_worker_takes_a_ruleset_binds_its_queue_and_is_ended(counters: int, ring: int) -> None:
    with Namespace() as space, space.entered():
        worker = WorkerProcess(SETUP, counters, ring)
        payload = protocol.store(Ruleset("n", generation=3), protocol.Install(3, ()))
        assert worker.send_file(payload)
        assert worker.send(protocol.Bind())

        reach(worker, "bound")

        assert worker.generation == 3
        assert worker.refusal is None
        assert worker.cpu_seconds() > 0
        worker.kill()
        assert worker.close() == "SIGKILL"
        os.close(payload)


@pytest.mark.netns
def test_a_worker_whose_queue_is_held_says_by_whom(counters: int, ring: int) -> None:
    with Namespace() as space, space.entered():
        first, second = WorkerProcess(SETUP, counters, ring), WorkerProcess(SETUP, counters, ring)
        for worker, what in ((first, "bound"), (second, "refusal")):
            worker.send(protocol.Bind())
            reach(worker, what)

        assert f"held by process {first.pid}" in (second.refusal or "")
        assert second.close() == "3"
        first.kill()
        first.close()


def test_a_worker_that_holds_no_queue_ends_with_its_controller(counters: int, ring: int) -> None:
    worker = WorkerProcess(SETUP, counters, ring)

    worker._socket.close()

    assert worker._process.wait(20) == 0
    os.close(worker._pidfd)


def test_an_orphan_is_ended_only_if_it_is_the_one_recorded() -> None:
    pause = [sys.executable, "-c", "import signal; signal.pause()"]
    child, other = subprocess.Popen([*pause, "nfq_guard.daemon.worker"]), subprocess.Popen(pause)
    started, others = start_time(child.pid), start_time(other.pid)
    assert started is not None
    assert others is not None

    assert not stop_orphan(WorkerRecord(child.pid, started + 1, 0))
    assert not stop_orphan(WorkerRecord(other.pid, others, 0))
    assert lives(child.pid)
    assert lives(other.pid)
    other.kill()
    other.wait(5)
    assert stop_orphan(WorkerRecord(child.pid, started, 0))
    assert child.wait(5) == -9
    assert not stop_orphan(WorkerRecord(child.pid, started, 0))


def test_the_start_time_is_read_behind_any_name(tmp_path: object) -> None:
    assert start_time(os.getpid()) is not None
    assert start_time(2**22 + 1) is None


def test_waiting_ends_when_the_worker_does(counters: int, ring: int) -> None:
    worker = WorkerProcess(SETUP, counters, ring)
    worker.kill()

    assert select.select([worker._pidfd], [], [], 20)[0]
    worker.wait(20)

    assert worker.finished()
    worker.close()
