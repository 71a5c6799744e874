"""Giving up what a worker does not need.

Owns the system calls (prctl(2), capset(2)) that Python has no names for. Must never
set a parent-death signal: workers go on serving when the controller dies.
"""

from __future__ import annotations

import ctypes
import os
import struct

CAP_SETPCAP = 8
CAP_NET_ADMIN = 12
"""Needed for every message on a queue's socket: the kernel asks for it each time."""

_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

_libc = ctypes.CDLL(None, use_errno=True)


def has(capability: int) -> bool:
    """Return whether this process may do now what a capability is for."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - no path is built here
        effective = next(line for line in status if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> capability & 1)


def reduce_to(*kept: int) -> None:
    """Keep only these capabilities, for good: no executable gives any back. OSError if refused."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # The bounding set first: dropping from it needs CAP_SETPCAP itself.
    for capability in range(_MOST_CAPABILITIES):
        if capability in kept:
            continue
        if _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) < 0:
            break  # EINVAL: past the last one this kernel knows
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break  # EPERM: no CAP_SETPCAP, so nothing in the set can be gained anyway
    _set_capabilities(sum(1 << capability for capability in kept))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl: {os.strerror(code)}")


def _set_capabilities(wanted: int) -> None:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    low, high = wanted & 0xFFFFFFFF, wanted >> 32
    # Effective, permitted, inheritable; low halves first.
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    if _libc.capset(header, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")
