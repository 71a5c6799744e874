"""What was measured on: the machine, the kernel, the versions.

Owns nothing; reads. A number without these is worth nothing.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import nfq_guard

if TYPE_CHECKING:
    from benchmark.spaces import Bed

_ROOT = Path(__file__).resolve().parents[3]


def describe(bed: Bed) -> dict[str, str]:
    """Return what is worth knowing, by name, in the order in which it is to be told."""
    information = _text("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", information, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    virtual = ", virtual machine" if " hypervisor" in information else ""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores{virtual}",
        "memory": f"{int(memory[1]) / 1e6:.1f} GB" if memory else "unknown",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nft": _first_line("nft", "--version"),
        "compiler": _first_line("gcc", "--version"),
        "nfq-guard": f"{nfq_guard.__version__}{_commit()}",
        "queue": f"by {bed.queue_target()}",
        "limits": ", ".join(f"{name} {_text(path).strip() or 'unknown'}" for name, path in _LIMITS.items()),
    }


_LIMITS = {
    "nf_conntrack_max": "/proc/sys/net/netfilter/nf_conntrack_max",
    "nf_conntrack_buckets": "/proc/sys/net/netfilter/nf_conntrack_buckets",
    "netdev_max_backlog": "/proc/sys/net/core/netdev_max_backlog",
}
"""Of the machine, not of a namespace: told, and left as they are."""


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout.splitlines() or ["unknown"])[0]


def _commit() -> str:
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return f" ({done.stdout.strip()})" if done.returncode == 0 else ""
