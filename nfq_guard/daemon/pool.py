"""The verdict workers: started, fed, watched and started again.

Owns the worker processes and their shared memory. Whatever happens to a worker, the
one that follows it gets the ruleset of now. Must never judge a packet.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import POLICY_SLOTS, Reader, Word, create_block, map_block
from nfq_guard.daemon.process import WorkerProcess
from nfq_guard.daemon.ring import create_ring

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable, Iterator

    from nfq_guard.daemon.logs import Log
    from nfq_guard.daemon.state import WorkerRecord
    from nfq_guard.engine.ruleset import Ruleset

HUNG_SECONDS = 2.0
"""A worker turns its loop at least four times a second; silent for so long, it hangs."""
BUSY_SECONDS = 15.0
"""The same while it starts or takes in a ruleset (thousands of rules take their time)."""
_LONGEST_TICK = 0.5
"""What one turn of our own loop may add to a worker's silence: if the whole machine
stood still, the worker is not to blame."""
_WAIT_SECONDS = 0.2
"""Between looks at the clock while one worker is waited for."""
_BACKOFF = (0.0, 0.1, 0.3, 0.9)
"""Seconds before a restart, by how many starts did not last."""
_LASTED_SECONDS = 10.0


class WorkerError(Exception):
    """The workers cannot be brought to serve; says why."""


class Place(NamedTuple):
    """A queue and the shared memory of whichever worker serves it."""

    setup: protocol.WorkerSetup
    descriptor: int
    words: memoryview
    ring: int
    """Descriptor of what its verdicts are written down in."""

    def launch(self) -> WorkerProcess:
        """Start a process for it."""
        return WorkerProcess(self.setup, self.descriptor, self.ring)


class _Slot:
    """The state of one place: its worker, and when the next one may start."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.worker: WorkerProcess | None = None
        self.beat = 0
        self.silent = 0.0
        """Seconds since its last sign of life."""
        self.idle = 0.0
        """Of these, seconds without any use of the processor."""
        self.worked = 0.0
        """Seconds of processor time it had used when last looked at."""
        self.failures = 0
        self.started_at = 0.0
        self.told = protocol.NOBODY_WATCHES
        """What its worker was last told to write down."""
        self.start_at: float | None = None
        """Monotonic time of the next start; valid while there is no worker."""


class Pool:
    """One worker a queue. All methods are called from the controller's loop."""

    def __init__(
        self,
        setups: tuple[protocol.WorkerSetup, ...],
        log: Log,
        selector: selectors.BaseSelector,
        record: Callable[[list[WorkerRecord]], None],
    ) -> None:
        """Prepare places; nothing is started. `record` is told of every start."""
        self._log = log
        self._selector = selector
        self._record = record
        self._slots = []
        for setup in setups:
            descriptor = create_block()
            self._slots.append(_Slot(Place(setup, descriptor, map_block(descriptor), create_ring())))
        self._launched: dict[int, WorkerProcess] = {}
        """By queue: started ahead of time, and nobody's yet."""
        self._wish = protocol.NOBODY_WATCHES
        self._payload: int | None = None
        self._generation = 0
        self.restarts = 0
        self.learn: Callable[[protocol.Learn], None] = lambda _: None
        """Told what workers found that the kernel may be taught."""
        self.capacity = POLICY_SLOTS

    @property
    def reader(self) -> Reader:
        """Return the counters of all places together."""
        return Reader(tuple(slot.place.words for slot in self._slots))

    @property
    def rings(self) -> dict[int, int]:
        """Return by queue the descriptor of the ring that its workers write in, one after the other."""
        return {slot.place.setup.queue: slot.place.ring for slot in self._slots}

    def watch(self, wish: protocol.Watch) -> None:
        """Have every worker write down what is wished for, from its next packet on; whoever follows it too."""
        self._wish = wish
        for slot in self._slots:
            # One that does not read at the moment is told the next time.
            if slot.worker is not None and slot.told != wish and slot.worker.send(wish):
                slot.told = wish

    def up(self) -> dict[int, bool]:
        """Return by queue whether a worker serves it under the current generation."""
        return {slot.place.setup.queue: self._serves(slot) for slot in self._slots}

    def pids(self) -> dict[int, int]:
        """Return the worker's pid by queue, of those that live."""
        return {slot.place.setup.queue: slot.worker.pid for slot in self._slots if slot.worker is not None}

    def _serves(self, slot: _Slot) -> bool:
        worker = slot.worker
        return worker is not None and worker.bound and worker.generation == self._generation

    def launch(self) -> None:
        """Start processes for `start` to take: they load while their first ruleset is made.

        Until then they are not recorded: they hold no queue, and end when we do.
        """
        for slot in self._slots:
            self._launched[slot.place.setup.queue] = slot.place.launch()

    def dismiss(self) -> None:
        """End what was launched and never taken."""
        while self._launched:
            _, worker = self._launched.popitem()
            worker.kill()
            worker.close()

    def start(self, before_bind: Callable[[], None]) -> None:
        """Start all workers under the installed payload; WorkerError if one cannot serve.

        `before_bind` runs when all are loaded and none has its queue: the moment to stop
        those that held the queues until now.
        """
        for slot in self._slots:
            self._spawn(slot)
        self._wait(lambda slot: slot.worker is not None and slot.worker.generation == self._generation)
        before_bind()
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.send(protocol.Bind())
        self._wait(lambda slot: slot.worker is not None and slot.worker.bound)

    def install(self, ruleset: Ruleset, slots: tuple[int, ...]) -> None:
        """Bring every living worker to this ruleset.

        When it returns no worker decides by an older ruleset, and none ever will.
        WorkerError if one ended instead: its successor starts under this ruleset all the
        same, unless another is installed first.
        """
        self._load(ruleset, slots)
        asked = [slot for slot in self._slots if slot.worker is not None]
        for slot in asked:
            if slot.worker is not None and not self._feed(slot.worker):
                self._kill(slot, "it does not read what it is sent")
        deadline = time.monotonic() + BUSY_SECONDS
        for slot in asked:
            self._await_install(slot, deadline)
        failed = [str(slot.place.setup.queue) for slot in asked if slot.worker is None]
        if failed:
            raise WorkerError(f"the worker of queue {', '.join(failed)} did not take the policy")

    def _await_install(self, slot: _Slot, deadline: float) -> None:
        while slot.worker is not None and slot.worker.generation != self._generation:
            if slot.worker.refusal is not None or time.monotonic() > deadline:
                self._kill(slot, slot.worker.refusal or "it does not take the policy")
                return
            began = time.monotonic()
            self._turn(slot, _WAIT_SECONDS)
            self.tick(time.monotonic() - began, restart=False)

    def _feed(self, worker: WorkerProcess) -> bool:
        assert self._payload is not None, "loaded before any worker starts"  # noqa: S101
        return worker.send_file(self._payload)

    def prepare(self, ruleset: Ruleset, slots: tuple[int, ...]) -> None:
        """Set what workers start with."""
        self._load(ruleset, slots)

    def _load(self, ruleset: Ruleset, slots: tuple[int, ...]) -> None:
        if self._payload is not None:
            os.close(self._payload)
        self._generation = ruleset.generation
        self._payload = protocol.store(ruleset, protocol.Install(ruleset.generation, slots))

    def tick(self, elapsed: float, *, restart: bool = True) -> None:
        """Look for silent workers and due starts; `elapsed` seconds since the last look."""
        for slot in self._slots:
            if slot.worker is not None:
                self._watch(slot, slot.worker, min(elapsed, _LONGEST_TICK))
            if restart and slot.start_at is not None and time.monotonic() >= slot.start_at:
                self._restart(slot)

    def next_start(self) -> float | None:
        """Return the monotonic time of the next due start, None if there is none."""
        return min((slot.start_at for slot in self._slots if slot.start_at is not None), default=None)

    def _watch(self, slot: _Slot, worker: WorkerProcess, elapsed: float) -> None:
        beat = slot.place.words[Word.HEARTBEAT_NS]
        if beat != slot.beat:
            slot.beat, slot.silent, slot.idle = beat, 0.0, 0.0
            return
        slot.silent += elapsed
        worked = worker.cpu_seconds()
        slot.idle = slot.idle + elapsed if worked == slot.worked else 0.0
        slot.worked = worked
        if slot.silent > (BUSY_SECONDS if self._excused(slot, worker) else HUNG_SECONDS):
            self._kill(slot, f"it hangs: no sign of life for {slot.silent:.1f} s")

    def _excused(self, slot: _Slot, worker: WorkerProcess) -> bool:
        """Return whether silence is no wonder: it starts, or works on a ruleset it was sent."""
        if not worker.bound:
            return True
        return worker.generation != self._generation and slot.idle < HUNG_SECONDS

    def _kill(self, slot: _Slot, why: str) -> None:
        if slot.worker is not None:
            self._log.error("worker killed", queue=slot.place.setup.queue, pid=slot.worker.pid, reason=why)
            slot.worker.kill()
            self._gone(slot)

    def _gone(self, slot: _Slot) -> None:
        worker = slot.worker
        if worker is None:
            return
        worker.unregister(self._selector)
        status = worker.close()
        slot.worker = None
        now = time.monotonic()
        slot.failures = 0 if now - slot.started_at > _LASTED_SECONDS else slot.failures + 1
        slot.start_at = now + _BACKOFF[min(slot.failures, len(_BACKOFF) - 1)]
        self._log.error(
            "worker gone",
            queue=slot.place.setup.queue,
            pid=worker.pid,
            status=status,
            reason=worker.refusal or "",
            restart_in=f"{slot.start_at - now:.1f}s",
        )

    def _spawn(self, slot: _Slot) -> None:
        launched = self._launched.pop(slot.place.setup.queue, None)
        slot.worker = launched or slot.place.launch()
        slot.beat, slot.silent, slot.idle = slot.place.words[Word.HEARTBEAT_NS], 0.0, 0.0
        slot.started_at, slot.start_at = time.monotonic(), None
        slot.told = protocol.NOBODY_WATCHES
        self.record()
        self._feed(slot.worker)
        slot.worker.register(self._selector, lambda: self._serve(slot))

    def record(self) -> None:
        """Have the workers of now recorded."""
        self._record([worker.record for worker in self._living()])

    def _restart(self, slot: _Slot) -> None:
        self.restarts += 1
        self._spawn(slot)
        if slot.worker is not None:
            slot.worker.send(protocol.Bind())
            self.watch(self._wish)

    def _serve(self, slot: _Slot) -> None:
        worker = slot.worker
        if worker is None:
            return
        served = worker.bound
        for said in worker.take():
            if isinstance(said, protocol.Learn):
                self.learn(said)
            else:
                self._log.write(*said)
        if worker.bound and not served:
            self._log.info("worker serves", queue=slot.place.setup.queue, pid=worker.pid)
        if worker.finished():
            self._gone(slot)

    def _turn(self, slot: _Slot, seconds: float) -> None:
        if slot.worker is not None:
            slot.worker.wait(seconds)
            self._serve(slot)

    def _wait(self, arrived: Callable[[_Slot], bool]) -> None:
        """Serve workers until all have arrived somewhere; WorkerError if one does not."""
        deadline = time.monotonic() + BUSY_SECONDS
        for slot in self._slots:
            while not arrived(slot):
                worker = slot.worker
                if worker is None or time.monotonic() > deadline:
                    raise WorkerError(f"the worker of queue {slot.place.setup.queue} does not start")
                self._turn(slot, _WAIT_SECONDS)
                if slot.worker is None:
                    raise WorkerError(worker.refusal or f"the worker of queue {slot.place.setup.queue} died")

    def stop(self) -> None:
        """End all workers for good."""
        self.dismiss()
        for worker in self._living():
            worker.kill()
            worker.unregister(self._selector)
            worker.close()
        for slot in self._slots:
            slot.worker = slot.start_at = None
        self._record([])

    def _living(self) -> Iterator[WorkerProcess]:
        yield from (slot.worker for slot in self._slots if slot.worker is not None)
