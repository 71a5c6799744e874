"""Word to the service manager (sd_notify(3)), by its plain datagram protocol.

Owns the socket and the messages. Must never raise or block: a service manager that
does not listen is no reason to stop guarding.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Sends state to the socket that NOTIFY_SOCKET names; nothing where it is unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read the address; `environ` is left as it is (workers get one without it)."""
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = _watchdog(environ)
        """How often systemd wants a sign of life; 0: not at all."""

    def ready(self, status: str) -> None:
        """Say that start or reload is done."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that a reload has begun (needs the monotonic time since systemd 253)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, status: str) -> None:
        """Say in a line how things are."""
        self._send(f"STATUS={status}")

    def stopping(self) -> None:
        """Say that a clean stop has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed systemd's watchdog."""
        if self.watchdog_seconds:
            self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(state.encode(), self._address)
        except OSError:
            return


def _watchdog(environ: Mapping[str, str]) -> float:
    pid = environ.get("WATCHDOG_PID", "")
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    # Half of it, as sd_watchdog_enabled(3) asks for.
    return int(text) / 2_000_000
