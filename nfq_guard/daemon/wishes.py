"""Who watches, for what, and until when.

Owns the wishes and their leases: whoever does not renew one is forgotten, however it
ended. Takes the time as a parameter; must never read a clock.
"""

from __future__ import annotations

from typing import NamedTuple

from nfq_guard.daemon.protocol import NOBODY_WATCHES, Watch

LEASE_SECONDS = 2.0
MOST = 64
"""Watchers at once. The socket is its owner's alone: this bounds accidents."""


class _Wish(NamedTuple):
    until: float
    watch: Watch


class Wishes:
    """The wishes of all watchers, by the name that each gives itself."""

    def __init__(self) -> None:
        """Nobody watches."""
        self._wishes: dict[str, _Wish] = {}

    def renew(self, who: str, watch: Watch, now: float) -> bool:
        """Keep a watcher's wish for a lease; return whether there is room for it. One for nothing ends it."""
        self._forget(now)
        if who not in self._wishes and len(self._wishes) >= MOST:
            return False
        self._wishes[who] = _Wish(now + LEASE_SECONDS, watch)
        if not any(watch):
            del self._wishes[who]
        return True

    def wanted(self, now: float) -> Watch:
        """Return what all watchers together want."""
        self._forget(now)
        wishes = [wish.watch for wish in self._wishes.values()]
        return Watch(*map(any, zip(NOBODY_WATCHES, *wishes, strict=True)))

    def _forget(self, now: float) -> None:
        lapsed = [who for who, wish in self._wishes.items() if wish.until <= now]
        for who in lapsed:
            del self._wishes[who]
