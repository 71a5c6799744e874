"""Rate limits on what is said: so many at once, then so many a second.

Owns a token bucket, and one for each Log rule under one for all. Takes the time as a
parameter; must never read a clock.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from nfq_guard.engine.ruleset import LogLimit


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

    def withdraw(self, refused: int) -> None:
        """Take back the last admission, which returned this: another throttle refuses the thing."""
        self._tokens += 1
        self.suppressed = refused + 1


class RuleThrottles:
    """Limits the lines of each Log rule by itself, and those of all rules together above that.

    What it keeps of a rule is kept over changes of policy: reloads are no way around a limit
    of one line a day. Of more than `most` rules, the one that has been silent longest starts
    afresh.
    """

    def __init__(self, together: Throttle, most: int) -> None:
        """Let through what `together` does; no rule has a limit of its own yet."""
        self._together = together
        self._most = most
        self._limit: LogLimit | None = None
        self._rules: OrderedDict[Hashable, Throttle] = OrderedDict()

    def limit(self, limit: LogLimit | None) -> None:
        """Hold each rule to this from now on; another limit than before starts afresh."""
        if limit != self._limit:
            self._limit = limit
            self._rules.clear()

    def admit(self, rule: Hashable, now: float) -> int | None:
        """Return how many of this rule's lines were refused since its last one, None if this is refused too."""
        own = self._of(rule)
        refused = own.admit(now)
        if refused is None or self._together.admit(now) is not None:
            return refused
        own.withdraw(refused)
        return None

    def _of(self, rule: Hashable) -> Throttle:
        own = self._rules.get(rule)
        if own is None:
            own = self._rules[rule] = self._fresh()
            if len(self._rules) > self._most:
                self._rules.popitem(last=False)
        else:
            self._rules.move_to_end(rule)
        return own

    def _fresh(self) -> Throttle:
        return Throttle(math.inf, 0) if self._limit is None else Throttle(*self._limit)
