"""What the kernel is to be taught, as a worker finds it.

Owns the choice: what is decided the same a second time within a while. Of each turn one
packet is looked at: all of them where traffic is light, and under a flood a sample, in
which what comes often shows, and what comes once, as from a spoofed source, does not.
Bounded whatever comes. Takes the time as a parameter; must never read a clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nfq_guard.kernel.learned import Learned

SEEN = 4096
"""Tuples that are remembered as met once."""
SECONDS = 10.0
"""For so long at most."""
BATCH = 128
"""Told together, and at most until the next time: what is more has to come again."""
EVERY = 0.05
"""Seconds between two batches: bounds the controller's work, whatever comes."""


class Candidates:
    """Decisions that may be worth teaching."""

    def __init__(self) -> None:
        """Start with none."""
        self._seen: set[Learned] = set()
        self._due: dict[Learned, None] = {}
        self._since = 0.0
        self._told = 0.0

    @property
    def waiting(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._due)

    def meet(self, one: Learned, now: float) -> None:
        """Take in a decision that was just made; `now` in seconds of a clock that does not go back."""
        if len(self._seen) >= SEEN or now - self._since > SECONDS:
            self._seen.clear()
            self._since = now
        if one not in self._seen:
            self._seen.add(one)
        elif len(self._due) < BATCH:
            self._due[one] = None

    def take(self, now: float) -> list[Learned]:
        """Return what is to be told now; nothing if that was done a moment ago."""
        if not self._due or now - self._told < EVERY:
            return []
        self._told = now
        due = list(self._due)
        self._due.clear()
        # Not again before it was met twice more: it is in the kernel by then, or was not taken.
        self._seen.difference_update(due)
        return due

    def forget(self) -> None:
        """Start anew: another policy is in force."""
        self._seen.clear()
        self._due.clear()
