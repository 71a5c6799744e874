"""What processes and the machine have used: CPU time and memory, from /proc.

Owns nothing; reads.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY = (0, 1, 2, 5, 6)
"""Columns of /proc/stat: user, nice, system, irq, softirq. Not idle, iowait, steal."""


def process_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, all its threads together; 0 for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    columns = stat.rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / _TICKS


def machine_seconds() -> float:
    """Return the CPU seconds that the whole machine has been busy, whoever with."""
    columns = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    return sum(int(columns[at]) for at in _BUSY) / _TICKS


def memory_bytes(pid: int) -> dict[str, int]:
    """Return `pss` (shared pages by share) and `rss` of a process; nothing of one that has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return {}
    found = dict(re.findall(r"^(Pss|Rss): +(\d+) kB$", text, re.MULTILINE))
    return {name.lower(): int(value) * 1024 for name, value in found.items()}


def busy_share(seconds: float) -> float:
    """Watch the machine for a while and return the share of its CPUs that was busy."""
    before = machine_seconds()
    time.sleep(seconds)
    return (machine_seconds() - before) / seconds / (os.cpu_count() or 1)
