"""What was measured, and what it comes to: samples by round, medians and spreads over rounds.

Owns the form of results. Must never leave out a sample because it does not look good.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Key(NamedTuple):
    """What a number is about."""

    measure: str
    variant: str
    policies: int
    value: str


class Sample(NamedTuple):
    """One measurement."""

    round: int
    measure: str
    variant: str
    policies: int
    values: Mapping[str, float]
    lost: Mapping[str, int]
    """What was sent and did not come, and where the kernel says that it was thrown away."""
    look: int = 0
    """Of several in a round, the variants' looks of one number came one after the other."""


class Gap(NamedTuple):
    """Something that was not measured, and why. `failed`: it should have been."""

    measure: str
    variant: str
    policies: int
    why: str
    failed: bool


class Spread(NamedTuple):
    """Median, lowest and highest of the rounds."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Spread | None:
        """Sum numbers up; None if there are none."""
        listed = list(numbers)
        return cls(statistics.median(listed), min(listed), max(listed), len(listed)) if listed else None


@dataclass
class Results:
    """All of a run."""

    samples: list[Sample] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    background: list[float] = field(default_factory=list)
    """Share of the machine that others kept busy just before each variant was measured."""

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return any(gap.failed for gap in self.gaps)

    def spread(self, key: Key) -> Spread | None:
        """Return a value over the rounds; of several looks in a round, their median."""
        return _over_rounds(self._by_look(key))

    def spread_of(self, make: Callable[[float, float], float], one: Key, other: Key) -> Spread | None:
        """Return what is made of two values over the rounds, made look by look."""
        ones, others = self._by_look(one), self._by_look(other)
        return _over_rounds({at: make(ones[at], others[at]) for at in sorted(ones.keys() & others.keys())})

    def _by_look(self, key: Key) -> dict[tuple[int, int], float]:
        return {
            (sample.round, sample.look): sample.values[key.value]
            for sample in self.samples
            if sample[1:4] == key[:3] and key.value in sample.values
        }

    def policy_counts(self, measure: str) -> tuple[int, ...]:
        """Return the counts of policies that a measure was taken with."""
        return tuple(sorted({sample.policies for sample in self.samples if sample.measure == measure}))

    def keys(self) -> list[Key]:
        """Return everything there is a number for, each once, in the order in which it was measured."""
        found = {
            Key(sample.measure, sample.variant, sample.policies, value): None
            for sample in self.samples
            for value in sample.values
        }
        return list(found)


def _over_rounds(found: Mapping[tuple[int, int], float]) -> Spread | None:
    rounds: dict[int, list[float]] = {}
    for (number, _), value in found.items():
        rounds.setdefault(number, []).append(value)
    return Spread.of(map(statistics.median, rounds.values()))
