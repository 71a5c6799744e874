"""What is compared: from no firewall at all to the guard in its three speeds, and nft alone.

Owns how each is started and stopped in the guarded namespace. Must never treat one better than another: the same
queue length, the same buffers, the same flows.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.policies import ENDPOINT, NODE, files
from nfq_guard.adapters.nft import probe_queue_target
from nfq_guard.adapters.xtqueue import put_queue_rule
from nfq_guard.daemon.settings import KEYS
from nfq_guard.kernel.plan import KernelSettings, QueueTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from benchmark.policies import PolicySet
    from benchmark.spaces import Bed

    Start = Callable[["Bed", "PolicySet"], AbstractContextManager["Running"]]

GUARD = str(Path(sys.executable).with_name("nfq-guard"))
METRICS = ("127.0.0.1", 9091)
START_SECONDS = 300.0
"""A start with 10,000 policies on a busy machine."""
BARE_QUEUE = 77
PER_FILE = 100
"""Policies in one file of the guard's rules folder."""
_FAST_PATH = "ct state established,related accept\nct state invalid drop"


@dataclass
class Running:
    """A variant that stands: its processes by role. Roles are `controller`, `worker`, `loop`."""

    processes: dict[str, int] = field(default_factory=dict)
    ready_seconds: float = 0.0
    """From the start of the program, or of nft, until it enforces."""


class Variant(NamedTuple):
    """One row of the result."""

    name: str
    label: str
    start: Start
    needs: tuple[str, ...] = ()
    """Settings of the guard without which it cannot be."""

    def missing(self) -> str:
        """Return why this build cannot run it, or nothing."""
        absent = [name for name in self.needs if name not in {key.name for key in KEYS}]
        return f"this build has no setting {', '.join(absent)}" if absent else ""


def known_flags(**settings: str) -> tuple[str, ...]:
    """Return the guard's flags for settings that this build has."""
    return tuple(word for key in KEYS if key.name in settings for word in (key.flag, settings[key.name]))


# -- nothing, and nft alone -------------------------------------------------------------------------------


@contextlib.contextmanager
def no_firewall(_bed: Bed, _policies: PolicySet) -> Iterator[Running]:
    """No table, no conntrack."""
    yield Running()


@contextlib.contextmanager
def _ruleset(bed: Bed, text: str) -> Iterator[Running]:
    began = time.monotonic()
    bed.nft(text)
    yield Running(ready_seconds=time.monotonic() - began)


def two_rules(bed: Bed, _policies: PolicySet) -> AbstractContextManager[Running]:
    """The least that is stateful."""
    rules = f"type filter hook input priority filter; policy accept\n{_FAST_PATH}"
    return _ruleset(bed, f"table inet bench {{\nchain input {{\n{rules}\n}}\n}}\n")


def chains(bed: Bed, policies: PolicySet) -> AbstractContextManager[Running]:
    """A chain per policy."""
    return _ruleset(bed, policies.chains())


# -- the bare loop -----------------------------------------------------------------------------------------

_BARE = f"""\
table inet bench {{
chain to_queue {{
%s
}}
chain input {{
type filter hook input priority filter - 5; policy accept
{_FAST_PATH}
jump to_queue
}}
chain input_done {{
type filter hook input priority filter - 4; policy accept
meta mark & 0x00003000 == 0x00001000 ct mark set ct mark & 0x0fffffff | 0x10000000
meta mark set meta mark & 0xffffcfff
}}
}}
"""


@contextlib.contextmanager
def bare_loop(bed: Bed, _policies: PolicySet) -> Iterator[Running]:
    """NetfilterQueue, a callback that marks and accepts, and the chain that finishes it."""
    began = time.monotonic()
    with bed.guarded.entered():
        native = probe_queue_target() is QueueTarget.NATIVE
    child = bed.guarded.start(
        sys.executable,
        str(Path(__file__).with_name("bare.py")),
        str(BARE_QUEUE),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    bed.remember()
    try:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError("the bare loop did not start")
        bed.nft(_BARE % (f"queue to {BARE_QUEUE}" if native else ""))
        if not native:
            with bed.guarded.entered():
                put_queue_rule(KernelSettings(queue=BARE_QUEUE), table="bench", chain="to_queue")
        yield Running({"loop": child.pid}, time.monotonic() - began)
    finally:
        end(child)


# -- the guard ---------------------------------------------------------------------------------------------


def lay_rules(folder: Path, policies: PolicySet, each: int = PER_FILE) -> None:
    """Write the policy as a rules folder, `each` policies a file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "endpoint.yaml").write_text(ENDPOINT, encoding="utf-8")
    for number, text in enumerate(files(policies.documents(), each)):
        (folder / f"policies-{number:05}.yaml").write_text(text, encoding="utf-8")


class Guard:
    """`nfq-guard run`, as its users start it, in the guarded namespace."""

    def __init__(self, bed: Bed, flags: tuple[str, ...]) -> None:
        """Nothing is started yet."""
        self.bed, self.flags = bed, flags
        self.rules, self.log = bed.work / "rules", bed.work / "guard.log"
        self.child: subprocess.Popen[str] | None = None

    def start(self) -> float:
        """Start it, wait for /readyz, and return how long that took."""
        shutil.rmtree(self.bed.work / "state", ignore_errors=True)
        places = ("--control", str(self.bed.work / "control.sock"), "--state", str(self.bed.work / "state"))
        command = (GUARD, "run", "--rules", str(self.rules), "--node", NODE, *places, *self.flags)
        began = time.monotonic()
        with self.log.open("w", encoding="utf-8") as log:
            self.child = self.bed.guarded.start(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.bed.remember()
        self.wait_until(lambda: self.fetch("/readyz").startswith("200"), "is not ready")
        return time.monotonic() - began

    def wait_until(self, probe: Callable[[], bool], otherwise: str, pause: float = 0.002) -> None:
        """Ask until it is so; RuntimeError with the guard's own log if it never is."""
        deadline, waiter = time.monotonic() + START_SECONDS, threading.Event()
        while not probe():
            if self.child is None or self.child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the guard {otherwise}; its log:\n{self.log.read_text(encoding='utf-8')[-4000:]}"
                )
            waiter.wait(pause)

    def fetch(self, path: str) -> str:
        """Return status and body of a GET, nothing where nobody answers."""
        try:
            with self.bed.guarded.entered():
                sock = socket.create_connection(METRICS, timeout=30)
            with sock:
                sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                answer = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        except OSError:
            return ""
        return answer.partition(" ")[2]

    def processes(self) -> dict[str, int]:
        """Return the processes by role."""
        assert self.child is not None  # noqa: S101 - only asked while it runs
        pid = self.child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        workers = [int(child) for child in children if _is_worker(child)]
        return {"controller": pid, **{f"worker{number or ''}": each for number, each in enumerate(workers)}}

    def stop(self) -> None:
        """Ask it to stop; whatever is left of it is ended."""
        if self.child is not None:
            end(self.child)


def _is_worker(pid: str) -> bool:
    """Return whether a child of the controller is a worker: the others are commands that it has just run."""
    try:
        return b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def guard(**settings: str) -> Start:
    """Return how to start the guard with these settings; those that this build has not got are left out."""

    @contextlib.contextmanager
    def started(bed: Bed, policies: PolicySet) -> Iterator[Running]:
        daemon = Guard(bed, known_flags(**settings))
        lay_rules(daemon.rules, policies)
        try:
            seconds = daemon.start()
            yield Running(daemon.processes(), seconds)
        finally:
            daemon.stop()

    return started


def end(child: subprocess.Popen[str], patience: float = 20.0) -> None:
    """Ask a process to stop, and make it after a while."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


VARIANTS: tuple[Variant, ...] = (
    Variant("none", "no firewall", no_firewall),
    Variant("two-rule", "two-rule stateful ruleset", two_rules),
    Variant("bare", "bare NetfilterQueue loop", bare_loop),
    Variant("cold", "guard, nothing remembered", guard(flow_table_size="0", learned_verdicts="off")),
    Variant("table", "guard with flow table", guard(learned_verdicts="off")),
    Variant("learned", "guard with learned verdicts", guard(learned_verdicts="on"), ("learned_verdicts",)),
    Variant("chains", "nft, one chain per policy", chains),
)
BY_NAME = {variant.name: variant for variant in VARIANTS}
