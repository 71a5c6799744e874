"""Times in which nobody watched for a watcher, so that what fell then is nowhere to be read.

Owns what is said of them, as they end and in all. What was written down and then lost is
another matter: the rings count it.
"""

from __future__ import annotations

_TENTHS_BELOW = 10.0
"""Seconds from which on tenths are not told."""


class Gaps:
    """All gaps so far."""

    def __init__(self) -> None:
        """There was none."""
        self.seconds = 0.0
        """Of those in which something fell, as far as is known."""
        self.verdicts = 0
        """That were not written down, as far as they were counted."""
        self._uncounted = False

    def add(self, seconds: float, verdicts: int | None) -> str:
        """Take in a gap that has ended, and return what there is to say, if anything; None: nobody counted the verdicts."""
        if verdicts != 0:
            self.seconds += seconds
        self.verdicts += verdicts or 0
        self._uncounted |= verdicts is None
        if verdicts == 0:
            return ""
        head = f"not watching for {_shown(seconds)} s:"
        if verdicts is None:
            return f"{head} what fell meanwhile was not written down"
        what = "verdict that fell meanwhile was" if verdicts == 1 else "verdicts that fell meanwhile were"
        return f"{head} {verdicts} {what} not written down"

    @property
    def number(self) -> str:
        """Return how many verdicts were not written down, in the least room; nothing where none are known of."""
        if not self.verdicts:
            return "some" if self._uncounted else ""
        return f"{self.verdicts:,}{'+' if self._uncounted else ''}"

    def sum_up(self) -> str:
        """Return what is missing in all, in a few words; nothing where nothing is."""
        if not self.verdicts and not self._uncounted:
            return ""
        more = " or more" if self._uncounted else ""
        number = f"{self.verdicts}{more}" if self.verdicts else "an unknown number"
        return f"{number} not written down in {_shown(self.seconds)} s without watching"


def _shown(seconds: float) -> str:
    return f"{seconds:.{1 if seconds < _TENTHS_BELOW else 0}f}"
