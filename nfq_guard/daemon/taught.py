"""What the kernel decided as it was taught, told by the rules that its counters stand for.

Owns the sums: a packet counts for the rule that has the counter's slot when it is first
read, for good. Must never read the kernel: it is told.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from nfq_guard.daemon.counters import VerdictLabels
from nfq_guard.engine.ruleset import CounterKey
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nfq_guard.engine.ruleset import CountedKey


class TaughtCounts:
    """Packets by slot and by labels. Counts of one slot that it is told must never go back."""

    def __init__(self) -> None:
        """Count nothing before `begin`."""
        self._before: Mapping[int, int] | None = None
        """By slot: what was counted before us, for rules that we do not know."""
        self._now: dict[int, int] = {}
        """By slot, since we began."""
        self.by_labels: Counter[VerdictLabels] = Counter()
        """Sums that never go back, whatever becomes of rules and slots."""

    def begin(self, before: Mapping[int, int]) -> None:
        """Count from now on, and nothing of what was counted before."""
        self._before = before

    def update(self, counts: Mapping[int, int], holders: Iterable[tuple[CountedKey, int]]) -> None:
        """Take in what counters say; `holders`: the rules and their slots as they are now."""
        before = self._before
        if before is None:
            return
        now = {slot: packets - before.get(slot, 0) for slot, packets in counts.items()}
        for key, slot in holders:
            more = now.get(slot, 0) - self._now.get(slot, 0)
            if more > 0 and isinstance(key, CounterKey):
                self.by_labels[_labels(key)] += more
        self._now = now

    def of(self, slot: int) -> int:
        """Return the packets of a slot, when last told."""
        return self._now.get(slot, 0)


def _labels(key: CounterKey) -> VerdictLabels:
    """Return how a verdict of a rule is counted; only the normal stage's are taught."""
    reason = _REASONS.get(key.kind, Reason.POLICY)
    return VerdictLabels(str(reason), key.action, key.direction, str(Stage.NORMAL))


_REASONS = {"Tier": Reason.TIER_DEFAULT, "Profile": Reason.PROFILE, "HostEndpoint": Reason.NO_MATCH}
"""By what decided; any other kind is a policy."""
LEARNED_REASONS = frozenset(map(str, (*_REASONS.values(), Reason.POLICY)))
"""Of what the kernel decides by itself: those that it can only have been taught."""
