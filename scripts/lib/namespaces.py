"""Network namespaces by name, for what the scripts try and measure.

Owns entering them and starting processes in them. Must never touch the namespace that a script was started in.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND_SECONDS = 20
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Namespace:
    """A network namespace by name, and the processes that were started in it."""

    name: str
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread, and what it makes, into the namespace for a while."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as before,
            Path("/run/netns", self.name).open("rb") as inside,
        ):
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())

    def ip(self, *words: str) -> None:
        """Run `ip` on this namespace."""
        run("ip", "-n", self.name, *words)

    def start(self, *command: str, **how: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - Popen's own
        """Start a command inside, in a session of its own: it may outlive a terminal."""
        with self.entered():
            child = subprocess.Popen(command, text=True, start_new_session=True, **how)
        self.children.append(child)
        return child

    def sysctl(self, name: str, value: int) -> None:
        """Set a sysctl, `ipv6/conf/eth0/accept_dad`."""
        with self.entered():
            Path("/proc/sys/net", name).write_text(str(value), encoding="ascii")


def run(*command: str, text: str | None = None, check: bool = True) -> str:
    """Run a command and return what it printed; RuntimeError with its own words if it fails."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
