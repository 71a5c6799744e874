"""A worker process seen from the controller.

Owns its pid, its pidfd and the controller's end of its socket. Must never outwait a
worker: a send that would block fails, a wait is bounded.
"""

from __future__ import annotations

import os
import selectors
import signal
import site
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import nfq_guard
from nfq_guard.daemon import protocol
from nfq_guard.daemon.logs import Level
from nfq_guard.daemon.state import WorkerRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_END_SECONDS = 5.0
"""How long the kernel may take to end a killed process before we give up waiting."""
_MODULE = "nfq_guard.daemon.worker"
_CPU_FIELDS = (14, 15)
"""User and system time, in clock ticks."""
_TICKS = os.sysconf("SC_CLK_TCK")
_START_TIME_FIELD = 22
"""Of /proc/PID/stat (proc_pid_stat(5)), 1-based."""


def child_environment() -> dict[str, str]:
    """Return what a child inherits: it finds this very package, and not the service manager."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFY_")}
    home = os.path.dirname(os.path.dirname(nfq_guard.__file__))  # noqa: PTH120 - text in, text out
    if home not in site.getsitepackages():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (home, environment.get("PYTHONPATH", ""))))
    return environment


class LogLine(NamedTuple):
    """Arguments of `Log.write`."""

    level: Level
    message: str
    fields: dict[str, object]


class WorkerProcess:
    """One worker, from its start to its end."""

    def __init__(self, setup: protocol.WorkerSetup, counters: int, ring: int) -> None:
        """Start the process with its shared memory; it loads, and serves once it was sent a ruleset and Bind."""
        self._queue = setup.queue
        self._socket, theirs = protocol.pair()
        # -P: the folder we happen to stand in is no place to import from.
        module = ("-P", "-m", _MODULE)
        command = [sys.executable, *module, *map(str, (theirs.fileno(), counters, ring))]
        with theirs:
            # A session of its own: the terminal's interrupt is for the controller alone.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                pass_fds=(theirs.fileno(), counters, ring),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=child_environment(),
            )
        self._pidfd = os.pidfd_open(self._process.pid)
        self.generation = 0
        """Last acknowledged; 0: none."""
        self.bound = False
        self.refusal: str | None = None
        """Why it cannot serve, in its own words."""
        self.send(setup)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def record(self) -> WorkerRecord:
        """Return what a later controller needs to find it."""
        return WorkerRecord(self.pid, start_time(self.pid) or 0, self._queue)

    def send(self, message: protocol.ToWorker) -> bool:
        """Send a message; return whether it went out."""
        try:
            protocol.send(self._socket, message)
        except OSError:
            return False
        return True

    def send_file(self, descriptor: int) -> bool:
        """Send a stored ruleset; return whether it went out."""
        try:
            protocol.send_file(self._socket, descriptor)
        except OSError:
            return False
        return True

    def take(self) -> Iterator[LogLine | protocol.Learn]:
        """Take in all that has arrived; yield what is for others. A worker that talks rubbish is ended."""
        try:
            while (message := protocol.hear(self._socket)) is not None:
                if isinstance(message, protocol.Installed):
                    self.generation = message.generation
                elif isinstance(message, protocol.Bound):
                    self.bound = True
                elif isinstance(message, protocol.Refused):
                    self.refusal = message.why
                elif isinstance(message, protocol.Learn):
                    yield message
                else:
                    yield LogLine(Level(message.level), message.message, message.fields)
        except OSError:
            return
        except ValueError as error:
            self.refusal = f"it talks rubbish: {error}"
            self.kill()

    def finished(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        """Wait for something to `take` or for the end, at most so long."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._pidfd, selectors.EVENT_READ)
            selector.select(seconds)

    def register(self, selector: selectors.BaseSelector, serve: Callable[[], None]) -> None:
        """Have `serve` called when there is something to do."""
        selector.register(self._socket, selectors.EVENT_READ, serve)
        selector.register(self._pidfd, selectors.EVENT_READ, serve)

    def unregister(self, selector: selectors.BaseSelector) -> None:
        """Undo `register`."""
        selector.unregister(self._socket)
        selector.unregister(self._pidfd)

    def cpu_seconds(self) -> float:
        """Return the processor time it has used, 0 once it has ended."""
        fields = _stat(self.pid, "/proc")
        return sum(int(fields[number - 3]) for number in _CPU_FIELDS) / _TICKS if fields else 0.0

    def kill(self) -> None:
        """End it at once; it has nothing to save."""
        self._process.kill()

    def close(self) -> str:
        """Reap it and free what it held; return how it ended."""
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "still ending"
        finally:
            self._socket.close()
            os.close(self._pidfd)
        return signal.Signals(-code).name if code < 0 else str(code)


def start_time(pid: int, proc: str = "/proc") -> int | None:
    """Return when a process started, in clock ticks since boot; None if there is none."""
    fields = _stat(pid, proc)
    return int(fields[_START_TIME_FIELD - 3]) if fields else None


def _stat(pid: int, proc: str) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on; none where there is no such process."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as stream:  # noqa: PTH123 - text in, text out
            # The name in parentheses may hold anything: fields are counted from its end.
            return stream.read().rpartition(b")")[2].split()
    except OSError:
        return []


def is_worker(record: WorkerRecord, proc: str = "/proc") -> bool:
    """Return whether a recorded worker lives: a process of that pid and start time that is one of ours."""
    if start_time(record.pid, proc) != record.started:
        return False
    try:
        with open(f"{proc}/{record.pid}/cmdline", "rb") as stream:  # noqa: PTH123 - as above
            return _MODULE.encode() in stream.read().split(b"\0")
    except OSError:
        return False


def stop_orphan(record: WorkerRecord) -> bool:
    """End a worker that a dead controller left; return whether it was there.

    The start time is compared after the pidfd is open: a pid used again by then
    belongs to somebody else, one used again later cannot be reached by it.
    """
    try:
        descriptor = os.pidfd_open(record.pid)
    except OSError:
        return False
    try:
        if not is_worker(record):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            selector.select(_END_SECONDS)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True
