"""Word from the kernel that an interface came, went or was renamed.

Owns one rtnetlink socket. Light enough for a worker: says that something changed, not
what; whoever listens asks anew. Must never wait.
"""

from __future__ import annotations

import contextlib
import socket

_RTMGRP_LINK = 1
"""linux/rtnetlink.h."""
_LONGEST = 65536


class LinkEvents:
    """Poll `fileno()`; then `drain`."""

    def __init__(self) -> None:
        """Listen from now on. OSError if the kernel lets nobody."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, _RTMGRP_LINK))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to poll for input."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Take in what was said. Events that were lost for want of room (ENOBUFS) count as said."""
        with contextlib.suppress(OSError):
            while self._socket.recv(_LONGEST):
                pass

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
