"""What counters stand for, under the ruleset in force and the few before it.

Owns as much of those rulesets as it takes to say so; a legend is made when it is first
asked for. Must never keep what packets are classified by: that is large.
"""

from __future__ import annotations

from itertools import chain as joined
from typing import TYPE_CHECKING

from nfq_guard.stream.event import Legend

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import Ruleset

KEPT = 3
"""Generations. Their numbers come round again, after five by default (kernel/marks.py): a record that is older than
this must not be told by another policy's rules."""


class _Kept:
    """A ruleset's counters and lines, or what was made of them."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._generation = ruleset.generation
        self._counted = ruleset.counted
        self._lines = [chain.rules for endpoint in ruleset.endpoints for chain in endpoint.chains.values()]
        self._legend: Legend | None = None

    @property
    def legend(self) -> Legend:
        if self._legend is None:
            self._legend = Legend.of(self._generation, self._counted, joined.from_iterable(self._lines))
            self._lines.clear()
        return self._legend


class Legends:
    """Legends by generation."""

    def __init__(self) -> None:
        """Know none."""
        self._ruleset: Ruleset | None = None
        self._kept: dict[int, _Kept] = {}
        """By generation, the latest last."""
        self.changes = 0
        """How often a generation has got another legend. Who remembers legends starts afresh when it moves."""

    def follow(self, ruleset: Ruleset | None) -> None:
        """Take in the ruleset in force. The same again costs nothing."""
        if ruleset is None or ruleset is self._ruleset:
            return
        self._ruleset = ruleset
        self._kept.pop(ruleset.generation, None)
        self._kept[ruleset.generation] = _Kept(ruleset)
        for generation in list(self._kept)[:-KEPT]:
            del self._kept[generation]
        self.changes += 1

    @property
    def generation(self) -> int:
        """Return the generation in force, 0 for none."""
        return 0 if self._ruleset is None else self._ruleset.generation

    def of(self, generation: int) -> Legend | None:
        """Return a generation's legend, None if it is not known any more."""
        kept = self._kept.get(generation)
        return None if kept is None else kept.legend
