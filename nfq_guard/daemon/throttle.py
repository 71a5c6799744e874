"""Rate limits on what is said: so many at once, then so many a second.

Owns a token bucket. Takes the time as a parameter; must never read a clock.
"""

from __future__ import annotations


class Throttle:
    """Lets `burst` things through at once and refills at `per_second`."""

    def __init__(self, burst: float, per_second: float) -> None:
        """Start full."""
        self._burst = burst
        self._per_second = per_second
        self._tokens = burst
        self._at: float | None = None
        self.suppressed = 0
        """Refused since the last one let through."""

    def admit(self, now: float) -> int | None:
        """Return how many were refused before this one, or None if it is refused too.

        `now` in seconds of any clock that does not go back.
        """
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            self.suppressed += 1
            return None
        self._tokens -= 1
        refused, self.suppressed = self.suppressed, 0
        return refused
