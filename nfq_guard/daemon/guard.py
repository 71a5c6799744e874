"""The parts of a running guard, put together and taken apart.

Owns what must be had before the kernel is touched (state folder, addresses, sockets,
queues) and the order in which all of it is given back. Must never decide what a change
of files or interfaces means: that is the controller's.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from prometheus_client import CollectorRegistry

from nfq_guard.adapters import conntrack, procfs
from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.control import ControlInUseError, ControlServer
from nfq_guard.adapters.host import node_name
from nfq_guard.adapters.http import HttpServer, Sources
from nfq_guard.adapters.nft import Table, probe_queue_target
from nfq_guard.adapters.tablewatch import TableWatch
from nfq_guard.daemon import protocol, visitors
from nfq_guard.daemon.counters import VerdictLabels
from nfq_guard.daemon.enforcer import Enforcer, NotEnforcedError
from nfq_guard.daemon.explaining import Explaining, explain_command, explain_environment
from nfq_guard.daemon.live import Live
from nfq_guard.daemon.loop import Loop
from nfq_guard.daemon.metrics import GuardCollector
from nfq_guard.daemon.page import Page, Sight
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.pool import Pool
from nfq_guard.daemon.process import is_worker, stop_orphan
from nfq_guard.daemon.readings import KernelReader
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.state import StateFolder, StateInUseError
from nfq_guard.daemon.taught import TaughtCounts
from nfq_guard.daemon.teacher import Seconds, Teacher
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.daemon.throttle import Throttle
from nfq_guard.daemon.totals import Totals
from nfq_guard.daemon.values import parse_listen
from nfq_guard.daemon.watching import Watching, sources
from nfq_guard.engine.ruleset import Options
from nfq_guard.kernel.learned import slot_of
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Side, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nfq_guard.adapters.control import Handler
    from nfq_guard.adapters.nft import Count
    from nfq_guard.daemon.logs import Log
    from nfq_guard.daemon.settings import Settings
    from nfq_guard.daemon.state import WorkerRecord
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.kernel.plan import KernelSettings
    from nfq_guard.resources.source import Source

KERNEL_COUNTERS = {
    name: VerdictLabels(str(reason), str(verdict), str(side), str(stage))
    for name, reason, verdict, side, stage in (
        ("endpoint_to_host", Reason.ENDPOINT_TO_HOST, Verdict.DENY, Side.INGRESS, Stage.NORMAL),
        ("failsafe_in", Reason.FAILSAFE, Verdict.ALLOW, Side.INGRESS, Stage.NORMAL),
        ("failsafe_out", Reason.FAILSAFE, Verdict.ALLOW, Side.EGRESS, Stage.NORMAL),
        ("invalid_forward", Reason.INVALID, Verdict.DENY, Side.INGRESS, Stage.FORWARD),
        ("invalid_in", Reason.INVALID, Verdict.DENY, Side.INGRESS, Stage.NORMAL),
        ("invalid_out", Reason.INVALID, Verdict.DENY, Side.EGRESS, Stage.NORMAL),
        ("invalid_pre_dnat", Reason.INVALID, Verdict.DENY, Side.INGRESS, Stage.PRE_DNAT),
        ("neighbor_discovery_in", Reason.NEIGHBOR_DISCOVERY, Verdict.ALLOW, Side.INGRESS, Stage.NORMAL),
        ("neighbor_discovery_out", Reason.NEIGHBOR_DISCOVERY, Verdict.ALLOW, Side.EGRESS, Stage.NORMAL),
    )
}
"""Named counters of the table, by what they count. The `queued` ones count no verdicts."""


class StartError(Exception):
    """The guard cannot start; the kernel is as it was."""


class Guard:
    """Everything `run` holds. Made, opened, begun and closed by the controller's thread."""

    def __init__(self, settings: Settings, log: Log) -> None:
        """Put together what needs nothing from outside but the state folder; StartError if it is taken."""
        self.settings = settings
        # Once: whoever renames the host does not say that its policy is another's.
        self.node = node_name(settings.node)
        self.log = log
        self.state = self._lock_state()
        self.loop = Loop()
        self.compiler = Compiler(
            settings.rules, Options(allow_neighbor_discovery=settings.allow_neighbor_discovery)
        )
        kernel = settings.kernel()
        self._queues = tuple(range(kernel.queue, kernel.last_queue + 1))
        setups = tuple(
            protocol.WorkerSetup(queue, settings.queue_length, kernel, settings.flow_table_size)
            for queue in self._queues
        )
        self.pool = Pool(setups, log, self.loop.selector, self._record_workers)
        reader = self.pool.reader
        self._taught = TaughtCounts()
        self.slots = SlotTable(
            self.pool.capacity,
            lambda slot: reader.policy(slot) + self._taught.of(slot),
            lambda: self.telemetry.read_kernel(),  # noqa: PLW0108 - telemetry is yet to be made
        )
        self.table = self._table(kernel)
        self.table_watch = TableWatch()
        self.enforcer = Enforcer(kernel, self.table, self.pool, self.slots)
        seconds = Seconds(settings.learned_allow_seconds, settings.learned_deny_seconds)
        self.teacher = Teacher(self.table, seconds, self.pool.capacity)
        self.pool.learn = self._learn
        self._refusals = Throttle(1, 1 / 60)
        """Words about decisions that the kernel did not take: once a minute."""
        self.telemetry = Telemetry(
            reader,
            self.slots,
            KernelReader(self._queues, self._kernel_verdicts),
            lambda: (self.compiler.selectors.hits, self.compiler.selectors.misses),
            lambda: (self.teacher.taught, self.teacher.refused),
        )
        self.watching = Watching(
            self.pool,
            log,
            lambda: self.telemetry.read_kernel().verdicts,
            sources=sources(replace(settings, node=self.node)),
            deny_log=settings.deny_log,
        )
        self.live = Live(self.pool.rings, self.watching.legends, self.watching.renew)
        self._explaining: Explaining | None = None
        self._http: HttpServer | None = None
        self._control: ControlServer | None = None
        self._mask = self.state.load_mask() if self.state is not None else 0
        """Bits of connection marks that are written in this namespace until our table is in force."""
        self._left_behind: tuple[WorkerRecord, ...] = ()
        """Workers of a dead controller that hold their queues still: a start that fails must not forget them."""

    def _lock_state(self) -> StateFolder | None:
        try:
            return StateFolder(self.settings.state)
        except StateInUseError as error:
            raise StartError(str(error)) from error
        except OSError as error:
            self.log.warning("no state folder: no last good policy is kept", reason=error)
            return None

    def _table(self, kernel: KernelSettings) -> Table:
        try:
            target = probe_queue_target()
        except KernelError as error:
            raise StartError(str(error)) from error
        self.log.info("kernel", queue_target=str(target))
        return Table(kernel, target)

    def _learn(self, found: protocol.Learn) -> None:
        if self.enforcer.ruleset is None or self.enforcer.table_trouble:
            return
        now = time.monotonic()
        refusal = self.teacher.teach(found, self.enforcer.ruleset, now)
        if refusal and (more := self._refusals.admit(now)) is not None:
            self.log.warning("learned verdicts not taken", reason=refusal, more=more)

    def _kernel_verdicts(self) -> dict[VerdictLabels, int]:
        counters = self.table.counters()
        found = {
            labels: counters[name].packets for name, labels in KERNEL_COUNTERS.items() if name in counters
        }
        self._taught.update(_by_slot(counters), self.slots.items())
        for labels, packets in self._taught.by_labels.items():
            found[labels] = found.get(labels, 0) + packets
        return found

    def _adopt_counters(self) -> None:
        """Leave what rules' counters have counted under a predecessor: its slots were other rules'."""
        try:
            before = _by_slot(self.table.counters())
        except KernelError as error:
            self.log.warning("counters not read", reason=error)
            before = {}
        self._taught.begin(before)
        self.teacher.adopt(before)

    def open(self, handle: Handler) -> None:
        """Open the metrics address and the control socket, launch workers; StartError if one cannot be had."""
        listen = parse_listen(self.settings.metrics)
        try:
            if listen is not None:
                registry = CollectorRegistry()
                registry.register(GuardCollector(self.telemetry))
                sources = Sources(registry, self.telemetry.healthy, self.telemetry.ready, self._page())
                self._http = HttpServer(listen.host, listen.port, sources)
        except OSError as error:
            self._cannot_have(f"metrics address {self.settings.metrics}: {error}")
        try:
            self._control = ControlServer(self.settings.control, handle, self.loop.selector)
        except (ControlInUseError, OSError) as error:
            self._cannot_have(f"control socket {self.settings.control}: {error}")
        self.pool.launch()

    def _page(self) -> Page | None:
        """Return what answers a browser, None where nobody may see it."""
        if self.settings.page == visitors.OFF:
            return None
        legends = self.watching.legends
        self._explaining = Explaining(
            lambda: explain_command(self.settings, self.node),
            explain_environment(),
            # What workers judge by is told sooner than what its rules are called.
            lambda: (legends.changes, self.telemetry.generation),
        )
        sight = Sight(self.telemetry, self.live, Totals(self.telemetry), self._explaining)
        names = frozenset({"localhost", socket.gethostname().lower(), self.node.lower()})
        return Page(sight, self.settings.page, names)

    def _cannot_have(self, why: str) -> NoReturn:
        """Refuse for what somebody else has; if that is another guard here, that is the reason."""
        self._refuse_guarded_namespace({record.pid for record in self._orphans()})
        self._cannot(why)

    def _cannot(self, why: str) -> NoReturn:
        raise StartError(why)

    def begin(self, ruleset: Ruleset) -> None:
        """Bring the first ruleset into force, taking over from a dead controller's workers.

        StartError leaves the kernel as it was.
        """
        self._left_behind = self._orphans()
        ours = {record.pid for record in self._left_behind}
        # Whoever is told to take another queue is refused for the namespace then.
        self._refuse_guarded_namespace(ours)
        self._refuse_held_queues(ours)
        try:
            self.enforcer.begin(ruleset, self._stop_orphans)
        except NotEnforcedError as error:
            raise StartError(str(error)) from error
        self._adopt_counters()
        self._change_mask()

    def _change_mask(self) -> None:
        """Leave no bits of ours behind where a predecessor wrote others, and take no others for ours."""
        before, now = self._mask, self.settings.connection_mark_mask
        if before == now or self.enforcer.table_trouble:
            return
        self._mask = now
        try:
            for mask in filter(None, (before, now)):
                conntrack.clear_marks(mask)
        except KernelError as error:
            self.log.warning("connection marks not cleared", reason=error)
        self.pool.record()

    def _orphans(self) -> tuple[WorkerRecord, ...]:
        records = self.state.load_workers() if self.state is not None else ()
        return tuple(record for record in records if is_worker(record))

    def _refuse_held_queues(self, ours: set[int]) -> None:
        for queue in self._queues:
            holder = procfs.queue_holder(queue)
            if holder is not None and holder.pid not in ours:
                self._cannot(
                    f"queue {queue} is held by pid {holder.pid} ({holder.command}): stop that, "
                    "or give this one other --queue numbers"
                )

    def _refuse_guarded_namespace(self, ours: set[int]) -> None:
        """Refuse a namespace whose table another guard's workers serve, by whatever queue.

        Two guards would take the one table from each other, and leave a gap each time.
        """
        try:
            found = self.table.read_back()
        except KernelError as error:
            raise StartError(str(error)) from error
        for queue in () if found is None else found.queues:
            holder = procfs.queue_holder(queue)
            if holder is not None and holder.pid not in ours:
                self._cannot(
                    f"another guard runs in this network namespace: pid {holder.pid} ({holder.command}) serves "
                    f"queue {queue} of its table; a namespace has one guard, stop that one"
                )

    def _stop_orphans(self) -> None:
        for record in self._left_behind:
            if stop_orphan(record):
                self.log.info("took over from a worker left behind", pid=record.pid, queue=record.queue)
        self._left_behind = ()

    def _record_workers(self, records: list[WorkerRecord]) -> None:
        if self.state is None:
            return
        try:
            self.state.save_workers([*self._left_behind, *records], self._mask)
        except OSError as error:
            self.log.warning("workers not recorded: a later start cannot take over", reason=error)

    def save_snapshot(self, sources: Sequence[Source]) -> None:
        """Keep a policy's files for a start with bad ones; a full disk is only said."""
        if self.state is None:
            return
        try:
            self.state.save_snapshot(sources)
        except OSError as error:
            self.log.warning("last good policy not saved", reason=error)

    def load_snapshot(self) -> tuple[Source, ...] | None:
        """Return the last good policy's files, None where none are kept."""
        return None if self.state is None else self.state.load_snapshot()

    def refresh(self) -> None:
        """Bring telemetry up to date."""
        telemetry = self.telemetry
        telemetry.ruleset = self.enforcer.ruleset
        telemetry.worker_restarts = self.pool.restarts
        telemetry.workers_up = self.pool.up()
        telemetry.deny_log_missed = self.watching.missed
        self.watching.legends.follow(self.enforcer.ruleset)
        idle = [str(queue) for queue, up in telemetry.workers_up.items() if not up]
        telemetry.trouble = (
            "starting"
            if self.enforcer.ruleset is None
            else self.enforcer.table_trouble or (f"no worker serves queue {', '.join(idle)}" if idle else "")
        )

    def stop(self) -> bool:
        """Leave nothing in force, unless told to: a clean stop, never an accident.

        A guard that has not begun has nothing in force: a table that stands is somebody's.
        False if the table cannot be removed: the workers stay with it then.
        """
        if self.settings.keep_rules or self.enforcer.ruleset is None:
            return True
        # The table first, so that no packet waits for a worker that has gone.
        if not self._leave_kernel():
            return False
        self.pool.stop()
        return True

    def close(self) -> None:
        """Give back what is this process's own; what is in force stays so."""
        self.pool.dismiss()
        if self._control is not None:
            self._control.close()
        if self._explaining is not None:
            self._explaining.close()
        if self._http is not None:
            self._http.close()
        self.table_watch.close()
        self.loop.close()
        if self.state is not None:
            self.state.close()

    def _leave_kernel(self) -> bool:
        try:
            self.table.remove()
        except KernelError as error:
            self.log.error("table not removed", reason=error)  # noqa: TRY400 - not the logging module
            return False
        with contextlib.suppress(KernelError):
            conntrack.clear_marks(self.settings.connection_mark_mask)
        return True


def _by_slot(counters: Mapping[str, Count]) -> dict[int, int]:
    """Return packets by slot, of the counters that are rules'."""
    found = ((slot_of(name), count.packets) for name, count in counters.items())
    return {slot: packets for slot, packets in found if slot is not None}
