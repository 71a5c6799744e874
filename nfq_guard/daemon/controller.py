"""`nfq-guard run`: keeps files, host, workers and kernel in step until told to stop.

Owns the loop and what follows from each event. Policy is compiled elsewhere, brought
into force by the Enforcer, judged by workers; a fault on the way here must never reach
what is in force.
"""

from __future__ import annotations

import gc
import os
import signal
import time
import traceback
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.adapters.host import HostWatch, read_facts
from nfq_guard.adapters.watch import Activity, FileWatch
from nfq_guard.daemon import privileges
from nfq_guard.daemon.guard import Guard, StartError
from nfq_guard.daemon.keeper import Keeper, report
from nfq_guard.daemon.logs import Level, Log
from nfq_guard.daemon.notify import Notifier
from nfq_guard.daemon.status import status
from nfq_guard.daemon.throttle import Throttle
from nfq_guard.daemon.watching import COMMANDS
from nfq_guard.daemon.whole import WholeFiles
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from typing import Any

    from nfq_guard.adapters.control import Passing
    from nfq_guard.daemon.loop import Loop
    from nfq_guard.daemon.settings import Settings

EXIT_GOOD, EXIT_INVALID, EXIT_FAILED, EXIT_BUG = 0, 1, 3, 70
"""The last is EX_SOFTWARE of sysexits.h: a service manager starts us again after it."""
_TURN_SECONDS = 0.25
_SETTLE_SECONDS = 0.05
"""How long interfaces are given after a change: network managers change several things at once."""


class _Patience(NamedTuple):
    """How long files must be quiet before they are read, and how long they may be unquiet, in seconds."""

    quiet: float
    longest: float


_PATIENCE = {
    Activity.DONE: _Patience(0.01, 0.5),
    Activity.SEVERAL: _Patience(0.05, 0.5),
    # It is read when it has been closed. After so long somebody has to be told.
    Activity.WRITING: _Patience(30.0, 30.0),
    Activity.UNKNOWN: _Patience(1.0, 5.0),
}
_FRAMES = 4
"""Of the stack of a bug of ours: enough to find it."""
_RETRY_SECONDS = 2.0
"""Between attempts at something the kernel refused."""
_FAULT_BURST, _FAULTS_PER_SECOND = 1, 1 / 60
_FAULT_PAUSE_SECONDS = 0.1
"""After a fault of ours: whatever woke us may do so again at once."""
_POLL_SECONDS = 2.0
"""Between looks at the files where the kernel cannot watch them for us."""


def run(settings: Settings) -> int:
    """Guard this network namespace until SIGTERM or SIGINT; return the exit code."""
    log = Log(settings.log_format, settings.log_level)
    try:
        return _run(settings, log)
    except Exception as error:  # noqa: BLE001 - the process's boundary
        # We die, table and workers go on without us; whoever starts us again takes them over.
        where = " ".join(traceback.format_tb(error.__traceback__)[-_FRAMES:])
        log.error("internal error, ending", error=_described(error), where=where)  # noqa: TRY400 - not the logging module
        return EXIT_BUG


def _run(settings: Settings, log: Log) -> int:
    if not privileges.has(privileges.CAP_NET_ADMIN):
        return _refused(log, StartError("guarding needs root, or the capability CAP_NET_ADMIN"))
    try:
        guard = Guard(settings, log)
    except StartError as error:
        return _refused(log, error)
    try:
        code = Controller(guard).run()
    except StartError as error:
        guard.close()
        return _refused(log, error)
    except ConfigError as error:
        guard.close()
        report(log, error.problems)
        return EXIT_INVALID
    if code != EXIT_GOOD:
        guard.close()
        return code
    left = guard.stop()
    guard.close()
    log.info("stopped", rules="removed" if left and not settings.keep_rules else "kept")
    return EXIT_GOOD if left else EXIT_FAILED


def _refused(log: Log, error: StartError) -> int:
    log.error("refusing to start", reason=str(error))
    return EXIT_FAILED


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class Controller:
    """Events in, changes of the guard out."""

    def __init__(self, guard: Guard) -> None:
        """Subscribe to files and host before either is read."""
        self._guard = guard
        self._settings = guard.settings
        self._log = guard.log
        self._loop: Loop = guard.loop
        self._notifier = Notifier(os.environ)
        self._files = self._watch_files()
        try:
            self._host = HostWatch()
            self._facts = read_facts(guard.node)
        except OSError as error:
            raise StartError(str(error)) from error
        self._keeper = Keeper(
            guard, WholeFiles(guard.compiler.read, self._files, self._settle), self._retry_later
        )
        self._changing_since: float | None = None
        self._stopping = False
        self._faults = Throttle(_FAULT_BURST, _FAULTS_PER_SECOND)
        """What is said about bugs of ours: a line a minute."""
        self._was = ""

    def _watch_files(self) -> FileWatch | None:
        try:
            return FileWatch(self._settings.rules)
        except OSError as error:
            self._log.warning("files are polled, not watched", reason=error.strerror)
            return None

    def run(self) -> int:
        """Start, serve, stop."""
        self._loop.on_signal(signal.SIGTERM, self._stop)
        self._loop.on_signal(signal.SIGINT, self._stop)
        self._loop.on_signal(signal.SIGHUP, self._hang_up)
        self._guard.telemetry.facts = self._facts
        self._guard.open(self._request)
        if not self._keeper.begin(self._facts):
            return EXIT_INVALID
        self._refresh()
        self._subscribe()
        self._notifier.ready(self._guard.telemetry.ready().text)
        self._loop.on_fault = self._fault
        # A collection would hold up a change for as long as all that a start has made takes to look through.
        gc.freeze()
        gc.enable()
        while not self._stopping:
            try:
                self._turn()
            except Exception as error:  # noqa: BLE001 - no bug of ours may end the watch over the workers
                self._fault(error)
        self._notifier.stopping()
        return EXIT_GOOD

    def _subscribe(self) -> None:
        self._loop.watch(self._host, self._host_changed)
        self._loop.watch(self._guard.table_watch, self._table_changed)
        if self._files is not None:
            self._loop.watch(self._files, self._files_changed)
        else:
            self._loop.at("poll", _POLL_SECONDS, self._poll)
        # A change between our reading and our subscribing is one that nobody told us of.
        self._loop.at("files", 0, self._read_again)
        self._loop.at("host", 0, self._host_settled)
        if self._notifier.watchdog_seconds:
            self._loop.at("alive", 0, self._alive)

    def _turn(self) -> None:
        telemetry = self._guard.telemetry
        began = time.monotonic()
        self._guard.pool.tick(began - telemetry.turned_at)
        telemetry.turned_at = began
        self._refresh()
        self._guard.watching.turn(began)
        self._guard.live.turn(began)
        due = self._guard.pool.next_start()
        wait = _TURN_SECONDS if due is None else min(_TURN_SECONDS, max(0.0, due - time.monotonic()))
        self._loop.turn(wait)

    def _fault(self, error: Exception) -> None:
        """Go on after a bug of ours: say so, and soon look at everything again."""
        more = self._faults.admit(time.monotonic())
        if more is not None:
            self._log.error("internal error, going on", error=_described(error), more=more)
        self._loop.within("files", _RETRY_SECONDS, self._read_again)
        self._loop.within("host", _RETRY_SECONDS, self._host_settled)
        self._loop.within("table", _RETRY_SECONDS, self._check_table)
        time.sleep(_FAULT_PAUSE_SECONDS)

    def _refresh(self) -> None:
        """Publish how things are; log when that changes."""
        self._guard.refresh()
        if self._guard.enforcer.table_trouble:
            self._loop.within("table", _RETRY_SECONDS, self._check_table)
        ready = self._guard.telemetry.ready()
        if ready.text == self._was:
            return
        self._was = ready.text
        self._log.write(
            Level.INFO if ready.good else Level.WARNING, "state", {"ready": ready.good, "detail": ready.text}
        )
        self._notifier.status(ready.text)

    def _stop(self) -> None:
        self._stopping = True

    def _hang_up(self) -> None:
        self._notifier.reloading()
        self._log.info("reload", why="SIGHUP")
        self._keeper.reload(self._facts, forced=True)
        self._refresh()
        self._notifier.ready(self._guard.telemetry.ready().text)

    def _files_changed(self) -> None:
        if self._files is not None and self._files.drain():
            self._settle(self._files.activity)

    def _settle(self, activity: Activity) -> None:
        """Read the files when they are complete."""
        now = time.monotonic()
        if self._changing_since is None:
            self._changing_since = now
        quiet, longest = _PATIENCE[activity]
        left = self._changing_since + longest - now
        self._loop.at("files", min(quiet, max(0.0, left)), self._read_again)

    def _read_again(self) -> None:
        self._changing_since = None
        # Watch first, then read: what changes after this is heard, what changed before is read.
        if self._files is not None and self._files.rearm():
            if self._files.unwatched:
                self._log.warning("folders that cannot be watched", folders=",".join(self._files.unwatched))
            if self._files.activity is Activity.UNKNOWN:
                self._settle(Activity.UNKNOWN)
                return
        self._keeper.reload(self._facts)

    def _poll(self) -> None:
        self._loop.at("poll", _POLL_SECONDS, self._poll)
        self._keeper.reload(self._facts)

    def _host_changed(self) -> None:
        self._host.drain()
        # Reading takes half a millisecond an interface, and events come by the hundred.
        self._loop.within("host", _SETTLE_SECONDS, self._host_settled)

    def _host_settled(self) -> None:
        try:
            self._facts = read_facts(self._guard.node)
        except OSError as error:
            self._log.warning("interfaces not read, trying again", reason=error)
            self._loop.within("host", _RETRY_SECONDS, self._host_settled)
        self._guard.telemetry.facts = self._facts
        self._keeper.recompile(self._facts)

    def _retry_later(self) -> None:
        self._loop.at("retry", _RETRY_SECONDS, lambda: self._keeper.reload(self._facts, forced=True))

    def _table_changed(self) -> None:
        if self._guard.table_watch.changed():
            self._check_table()

    def _check_table(self) -> None:
        enforcer = self._guard.enforcer
        if not enforcer.table_trouble:
            if enforcer.ruleset is None or enforcer.table_present():
                return
            self._log.error("the kernel table was removed or changed by someone else, putting it back")
        # Said before it is mended: whoever asks meanwhile must not hear that all is well.
        self._guard.telemetry.trouble = "the kernel table is gone or was changed"
        enforcer.reinstall()
        if enforcer.table_trouble:
            self._log.error("table not put back", reason=enforcer.table_trouble)
        else:
            self._guard.telemetry.table_reinstalls += 1
            self._log.info("table put back")
        self._refresh()

    def _alive(self) -> None:
        self._loop.at("alive", self._notifier.watchdog_seconds, self._alive)
        self._notifier.alive()

    def _request(self, request: dict[str, Any]) -> dict[str, Any] | Passing:
        """Answer the control socket."""
        told = self._guard.watching.answer(request, time.monotonic())
        if told is not None:
            return told
        command = request.get("command")
        if command == "status":
            return status(self._guard.telemetry, self._settings, self._guard.pool.pids())
        if command == "reload":
            self._keeper.reload(self._facts, forced=True)
            self._refresh()
            errors = self._guard.telemetry.load_errors
            return {
                "ok": not errors,
                "generation": self._guard.telemetry.generation,
                "problems": list(errors),
            }
        commands = ", ".join(("status", "reload", *COMMANDS))
        return {"error": f"there is no command {command!r}; there are: {commands}"}
