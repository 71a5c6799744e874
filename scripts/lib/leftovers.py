"""What a demo or a benchmark leaves behind if it is told to, or if it is killed: written down, found and removed again.

Owns the record in the folder of each. Ends only processes that the record names and whose start time still fits:
a number may have come round to somebody else's process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_RECORD = "record.json"
_GRACE_SECONDS = 5.0


def remember(
    work: Path, namespaces: Iterable[str], processes: Iterable[int], *, keep: bool, empty: bool = False
) -> None:
    """Write down what there is to remove. The calling process is its owner while it lives.

    `empty`: nobody but us can be in the namespaces, so whatever is found in them is to be ended too.
    """
    record = {
        "owner": [os.getpid(), start_time(os.getpid())],
        "namespaces": list(namespaces),
        "processes": [[pid, start_time(pid)] for pid in processes],
        "keep": keep,
        "empty": empty,
    }
    (work / _RECORD).write_text(json.dumps(record), encoding="utf-8")


def remove_all(prefix: str, *, kept: bool) -> list[str]:
    """Remove what dead owners left behind in folders of a prefix, and return what that was.

    With `kept`: what was left on purpose.
    """
    removed: list[str] = []
    for work in sorted(Path(tempfile.gettempdir()).glob(f"{prefix}*")):
        try:
            record = json.loads((work / _RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # not ours to judge: one that is just starting, or somebody else's folder
        pid, started = record["owner"]
        dead = start_time(pid) != started
        if record["keep"] if kept else dead and not record["keep"]:
            removed += remove(work)
    return removed


def remove(work: Path) -> list[str]:
    """End the processes of a folder's record, delete its namespaces and the folder; return what that was, in words."""
    record: dict[str, Any] = json.loads((work / _RECORD).read_text(encoding="utf-8"))
    for pid, started in record["processes"]:
        _end(pid, started)
    for name in record["namespaces"]:
        if record["empty"]:
            _empty(name)
        _delete(name)
    shutil.rmtree(work, ignore_errors=True)
    processes = f"{len(record['processes'])} processes: the guard and what it was tried with"
    return [processes, *(f"network namespace {name}" for name in record["namespaces"]), f"folder {work}"]


def _empty(name: str) -> None:
    """End all processes in a namespace: a worker whose controller was killed goes on by design."""
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
    for pid in map(int, listed.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _delete(name: str) -> None:
    """Delete a namespace, if it was made at all; the kernel may hold on to it for a moment."""
    deadline, waiter = time.monotonic() + _GRACE_SECONDS, threading.Event()
    while Path("/run/netns", name).exists():
        done = subprocess.run(["ip", "netns", "del", name], capture_output=True, text=True, check=False)
        if done.returncode != 0 and time.monotonic() > deadline:
            print(f"namespace {name} could not be removed: {done.stderr.strip()}", file=sys.stderr)
            return
        waiter.wait(0 if done.returncode == 0 else 0.05)


def start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; nothing where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]


def _end(pid: int, started: str) -> None:
    """Ask a process to stop, and make it after some seconds."""
    if not started or start_time(pid) != started:
        return
    deadline, waiter = time.monotonic() + _GRACE_SECONDS, threading.Event()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while start_time(pid) == started:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            waiter.wait(0.02)
