"""How commands speak of a guard that they ask over its control socket.

Owns what is said where nobody answers. Must never ask itself.
"""

from __future__ import annotations


def unreachable(place: str, error: OSError) -> str:
    """Return what to say of a socket where nobody answers: it says little about the kernel."""
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return f"nfq-guard cannot be asked at {place}: {reason}; root is needed"
    return (
        f"no nfq-guard answers at {place}: {reason}; without a controller, table and workers may still "
        "enforce: `nft list table inet nfq_guard` as root shows whether the table stands"
    )
