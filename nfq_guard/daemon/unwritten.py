"""How many verdicts no worker wrote down because nobody wished it.

Owns two totals that never go back, so that a watcher whose wish ran out learns from their
growth what it was not told of. Must never claim more for missing than was: what others
wished for meanwhile was written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.daemon.protocol import NOBODY_WATCHES
from nfq_guard.stream.record import ALLOW, DENY

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.daemon.protocol import Watch


_MOST_AHEAD = 8192
"""More than workers take in a turn. One that writes nonsense into its ring hides no more than that."""


class Fallen(NamedTuple):
    """What all workers have counted so far."""

    judged: int
    denied: int
    written: int
    """Records."""


class Unwritten:
    """Follows what is wished for."""

    def __init__(self, read: Callable[[], Fallen]) -> None:
        """`read` says what has fallen by now. Nobody wishes anything yet."""
        self._read = read
        self._last = read()
        self._wish = NOBODY_WATCHES
        self._denied = 0
        """Denials. Log rules have records too: while those are wished for and denials are not, it may be too low."""
        self._allowed = 0
        """All other verdicts."""

        self._ahead = 0
        """Records of denials that are not counted as denied yet: a worker writes them down at once, and tells its
        counters at the end of a turn."""

    def follow(self, wish: Watch) -> None:
        """Let this wish be in force from now on."""
        if wish != self._wish:
            self.count()
            if wish.deny or self._wish.log:
                self._ahead = 0
            self._wish = wish

    def count(self) -> dict[str, int]:
        """Return the totals as of now, by the verdict that is wished for."""
        now = self._read()
        judged, denied, written = (max(0, new - old) for new, old in zip(now, self._last, strict=True))
        self._last = now
        if not self._wish.allow:
            self._allowed += max(0, judged - denied)
        if not self._wish.deny:
            # Some denials have a record all the same, beside whatever else has one.
            ahead = self._ahead + written - (judged if self._wish.allow else denied)
            self._denied += max(0, -ahead)
            self._ahead = min(max(0, ahead), _MOST_AHEAD)
        return {ALLOW: self._allowed, DENY: self._denied}
