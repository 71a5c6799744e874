"""Whether somebody has a file open for writing, by a lease (fcntl(2)).

Owns the question; the lease is given back at once. Must never wait.
"""

from __future__ import annotations

import fcntl
import os
import signal


def may_be_written(path: str) -> bool:
    """Return whether anybody on the machine may have the file open for writing.

    The kernel grants a read lease only where nobody has. It is not asked about files of others unless
    we have CAP_LEASE, nor by all file systems: then somebody may.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        # Who opens it for writing at this very moment waits until we let go, and we are told: by the signal that
        # a process ignores unless it wants it, since SIGIO would end us.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
