"""`nfq-guard run`, as its users start it: with a rules folder, in the guarded namespace, until it is ready.

Owns the folder and the life of the daemon. Must never reach into it: everything is asked over its own sockets or
seen in the traffic.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.policies import ENDPOINT, NODE, files
from nfq_guard.daemon.settings import KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.policies import PolicySet
    from benchmark.spaces import Bed

PROGRAM = str(Path(sys.executable).with_name("nfq-guard"))
METRICS = ("127.0.0.1", 9091)
START_SECONDS = 600.0
"""What a start with 10,000 policies may take on a busy machine."""
PER_FILE = 100
"""Policies in one file of the rules folder, where nothing else is said. A folder may hold 10,000 files."""


def absent(settings: Mapping[str, str]) -> list[str]:
    """Return the settings that this build has not got."""
    known = {key.name for key in KEYS}
    return [name for name in settings if name not in known]


def lay_rules(folder: Path, policies: PolicySet, each: int = PER_FILE) -> None:
    """Write the policy as a rules folder, `each` policies a file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "endpoint.yaml").write_text(ENDPOINT, encoding="utf-8")
    for number, text in enumerate(files(policies.documents(), each)):
        file_of(folder, number * each, each).write_text(text, encoding="utf-8")


def file_of(folder: Path, policy: int, each: int = PER_FILE) -> Path:
    """Return the file that holds a policy."""
    return folder / f"policies-{policy // each:05}.yaml"


def change(folder: Path, policies: PolicySet, policy: int, *, shift: int, each: int = PER_FILE) -> float:
    """Move a policy's port as an editor does, written beside and renamed; return when (CLOCK_MONOTONIC)."""
    first = policy // each * each
    held = range(first, min(first + each, policies.count))
    documents = (policies.document(number, shift=shift if number == policy else 0) for number in held)
    fresh = folder / ".fresh"
    fresh.write_text("---\n".join(documents), encoding="utf-8")
    now = time.monotonic()
    fresh.rename(file_of(folder, policy, each))
    return now


class Guard:
    """The daemon. Settings that this build has not got are left out: what they would switch off is not there."""

    def __init__(self, bed: Bed, settings: Mapping[str, str]) -> None:
        """Nothing is started yet."""
        self.bed = bed
        self.rules, self.log = bed.work / "rules", bed.work / "guard.log"
        self.control = bed.work / "control.sock"
        self.child: subprocess.Popen[str] | None = None
        known = [key for key in KEYS if key.name in settings]
        self._flags = [word for key in known for word in (key.flag, settings[key.name])]

    def start(self) -> float:
        """Start it, wait for /readyz, and return how many seconds that took."""
        shutil.rmtree(self.bed.work / "state", ignore_errors=True)
        places = ("--control", str(self.control), "--state", str(self.bed.work / "state"))
        command = (PROGRAM, "run", "--rules", str(self.rules), "--node", NODE, *places, *self._flags)
        began = time.monotonic()
        with self.log.open("w", encoding="utf-8") as log:
            self.child = self.bed.guarded.start(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_until_ready()
        return time.monotonic() - began

    def processes(self) -> dict[str, int]:
        """Return the processes by role: `controller`, `worker`, and more workers if there are more queues."""
        assert self.child is not None  # noqa: S101 - only asked while it runs
        pid = self.child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        workers = [int(child) for child in children if _is_worker(child)]
        return {"controller": pid, **{f"worker{number or ''}": each for number, each in enumerate(workers)}}

    def stop(self) -> None:
        """Ask it to stop; whatever is left of it is ended with the namespace."""
        if self.child is not None:
            end(self.child)

    def _wait_until_ready(self) -> None:
        assert self.child is not None  # noqa: S101 - just started
        deadline, waiter = time.monotonic() + START_SECONDS, threading.Event()
        while not self._ready():
            if self.child.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(encoding="utf-8", errors="replace")[-4000:]
                raise RuntimeError(f"the guard does not get ready; its log ends with:\n{said}")
            waiter.wait(0.002)

    def _ready(self) -> bool:
        try:
            with self.bed.guarded.entered():
                sock = socket.create_connection(METRICS, timeout=30)
            with sock:
                sock.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                return sock.recv(64).split()[1:2] == [b"200"]
        except OSError:
            return False


def _is_worker(pid: str) -> bool:
    """Return whether a child of the controller is a worker: the others are commands that it has just run."""
    try:
        return b"nfq_guard.daemon.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


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
