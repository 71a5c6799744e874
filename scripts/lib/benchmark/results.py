"""What was measured, and what it comes to: samples by round, medians and spreads over rounds.

Owns the form of results. Must never leave out a sample because it does not look good.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Key(NamedTuple):
    """What a number is about."""

    measure: str
    variant: str
    policies: int
    value: str


class Sample(NamedTuple):
    """One measurement in one round."""

    round: int
    measure: str
    variant: str
    policies: int
    values: Mapping[str, float]
    lost: Mapping[str, int]
    """What was sent and did not come, and where the kernel says that it was thrown away."""


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

    def by_round(self, key: Key) -> dict[int, float]:
        """Return a value by round; with several samples in a round, their median."""
        found: dict[int, list[float]] = {}
        for sample in self.samples:
            if sample[1:4] == key[:3] and key.value in sample.values:
                found.setdefault(sample.round, []).append(sample.values[key.value])
        return {number: statistics.median(values) for number, values in found.items()}

    def spread(self, key: Key) -> Spread | None:
        """Return a value over the rounds."""
        return Spread.of(self.by_round(key).values())

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
