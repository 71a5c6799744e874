from __future__ import annotations

import os
import selectors
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from netns import Namespace, until

from nfq_guard.daemon import protocol
from nfq_guard.daemon.logs import Log
from nfq_guard.daemon.pool import Pool, WorkerError
from nfq_guard.daemon.process import start_time
from nfq_guard.daemon.ring import Writer
from nfq_guard.engine.ruleset import Ruleset
from nfq_guard.kernel.plan import KernelSettings
from nfq_guard.model.flow import Direction, Stage
from nfq_guard.stream.record import DENY, note, outcome, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.daemon.state import WorkerRecord

pytestmark = pytest.mark.netns


class Tank:
    """A pool of two workers in a namespace, turned by hand."""

    def __init__(self, base: Path) -> None:
        self.selector = selectors.DefaultSelector()
        self.log_path = base / "log"
        self.log_fd = os.open(self.log_path, os.O_CREAT | os.O_WRONLY)
        self.records: list[list[WorkerRecord]] = []
        kernel = KernelSettings(queue=10, queue_count=2)
        setups = tuple(protocol.WorkerSetup(queue, 128, kernel, 100) for queue in (10, 11))
        self.pool = Pool(setups, Log(fd=self.log_fd), self.selector, self.records.append)
        self._turned = time.monotonic()

    def started(self) -> Pool:
        self.pool.prepare(Ruleset("n", generation=1), ())
        self.pool.start(lambda: None)
        return self.pool

    def listen(self) -> bool:
        for key, _ in self.selector.select(0.05):
            key.data()
        return False

    def turn(self) -> bool:
        self.listen()
        now = time.monotonic()
        self.pool.tick(now - self._turned)
        self._turned = now
        return False

    def all_up(self) -> bool:
        self.turn()
        return all(self.pool.up().values())

    def close(self) -> None:
        self.pool.stop()
        self.selector.close()
        os.close(self.log_fd)


@pytest.fixture
def tank(tmp_path: Path) -> Iterator[Tank]:
    with Namespace() as space, space.entered():
        made = Tank(tmp_path)
        yield made
        made.close()


def test_all_are_loaded_before_any_takes_its_queue(tank: Tank) -> None:
    tank.pool.prepare(Ruleset("n", generation=1), ())
    seen: list[dict[int, bool]] = []

    tank.pool.start(lambda: seen.append(tank.pool.up()))

    assert seen == [{10: False, 11: False}]
    assert tank.pool.up() == {10: True, 11: True}
    assert {record.queue for record in tank.records[-1]} == {10, 11}


def test_workers_that_were_launched_are_the_ones_that_serve(tank: Tank) -> None:
    tank.pool.launch()
    assert tank.records == []
    launched = {queue: worker.pid for queue, worker in tank.pool._launched.items()}

    tank.started()

    assert tank.pool.pids() == launched
    assert sorted(record.pid for record in tank.records[-1]) == sorted(launched.values())


def test_workers_that_were_launched_and_not_taken_are_ended(tank: Tank) -> None:
    tank.pool.launch()
    pids = [worker.pid for worker in tank.pool._launched.values()]

    tank.pool.dismiss()

    assert [start_time(pid) for pid in pids] == [None, None]
    assert all(tank.started().up().values())


def test_a_ruleset_reaches_every_worker_before_install_returns(tank: Tank) -> None:
    pool = tank.started()

    pool.install(Ruleset("n", generation=2), ())

    assert pool.up() == {10: True, 11: True}


def test_a_dead_worker_is_replaced_at_once_and_the_other_is_left_alone(tank: Tank) -> None:
    pool = tank.started()
    pids = pool.pids()

    os.kill(pids[10], signal.SIGKILL)
    until(lambda: tank.turn() or pool.pids().get(10, pids[10]) != pids[10], "another process")
    until(tank.all_up, "all serve again")

    assert pool.pids()[11] == pids[11]
    assert pool.restarts == 1


def test_whoever_follows_a_worker_goes_on_in_its_ring_and_writes_down_what_is_wished_for(tank: Tank) -> None:
    pool = tank.started()
    wish = protocol.Watch(deny=True, allow=True, log=True)
    pool.watch(wish)
    rings, pid = pool.rings, pool.pids()[10]
    writer = Writer(rings[10])
    where = place(Stage.NORMAL, Direction.IN, "eth0", "")
    writer.write(1, note(1, -1, outcome(DENY)), where, b"x", 0, 1)

    os.kill(pid, signal.SIGKILL)
    until(lambda: tank.turn() or pool.pids().get(10, pid) != pid, "another process")
    until(tank.all_up, "all serve again")

    assert pool.rings == rings
    opened = {path.stat().st_ino for path in Path(f"/proc/{pool.pids()[10]}/fd").iterdir()}
    assert os.fstat(rings[10]).st_ino in opened
    assert os.fstat(rings[11]).st_ino not in opened
    assert [slot.told for slot in pool._slots] == [wish, wish]


def test_a_worker_that_does_not_read_is_told_later_what_is_wished_for(tank: Tank) -> None:
    pool = tank.started()
    worker = pool._slots[0].worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGSTOP)
    while worker.send(protocol.NOBODY_WATCHES):
        pass
    wish = protocol.Watch(deny=True, allow=False, log=False)

    pool.watch(wish)
    assert [slot.told == wish for slot in pool._slots] == [False, True]

    os.kill(worker.pid, signal.SIGCONT)

    def told() -> bool:
        pool.watch(wish)
        return pool._slots[0].told == wish

    until(told, "it is told")


def test_a_worker_that_crashes_again_and_again_is_started_ever_less_eagerly(tank: Tank) -> None:
    pool = tank.started()
    waits = []
    for _ in range(4):
        os.kill(pool.pids()[10], signal.SIGKILL)
        until(lambda: tank.listen() or pool.next_start() is not None, "its end is heard")
        waits.append(round((pool.next_start() or 0) - time.monotonic(), 1))
        until(lambda: tank.turn() or 10 in pool.pids(), "it is started")

    assert waits == [0.1, 0.3, 0.9, 0.9]


def test_a_hung_worker_is_killed_even_in_the_middle_of_an_install(tank: Tank) -> None:
    pool = tank.started()
    pid = pool.pids()[10]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()

    with pytest.raises(WorkerError, match="queue 10 did not take"):
        pool.install(Ruleset("n", generation=2), ())

    assert time.monotonic() - began < 6
    assert "it hangs" in tank.log_path.read_text()
    until(tank.all_up, "all serve the new ruleset")


def test_a_worker_that_cannot_read_a_ruleset_is_replaced_without_waiting(tank: Tank) -> None:
    pool = tank.started()
    (slot, _) = pool._slots
    assert slot.worker is not None
    slot.worker._socket.send(b"rubbish")
    began = time.monotonic()
    until(lambda: tank.listen() or slot.worker is None or slot.worker.refusal, "it says so")

    with pytest.raises(WorkerError, match="queue 10 did not take"):
        pool.install(Ruleset("n", generation=2), ())

    assert time.monotonic() - began < 10
    assert "not understood" in tank.log_path.read_text()
    until(tank.all_up, "all serve the new ruleset")


def test_a_pause_of_the_whole_machine_is_not_held_against_a_worker(tank: Tank) -> None:
    pool = tank.started()
    pids = pool.pids()

    pool.tick(3600)
    pool.tick(3600)

    assert pool.pids() == pids


def test_a_worker_that_cannot_serve_stops_the_start_with_its_own_words(tank: Tank, tmp_path: Path) -> None:
    tank.started()
    second = Tank(tmp_path / ".")

    with pytest.raises(WorkerError, match="held by process"):
        second.started()

    second.close()


def test_stopping_ends_all_and_clears_the_record(tank: Tank) -> None:
    pool = tank.started()

    pool.stop()

    assert pool.pids() == {}
    assert tank.records[-1] == []
