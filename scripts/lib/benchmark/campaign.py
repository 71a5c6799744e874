"""The run: every variant in turn, round after round, each with the same flows.

Owns the order. Variants take turns in being first: what warms up or drifts over a round then hits none of them
more than another. A variant that fails is told and left out of that round; the run goes on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmark import control, traffic, usage
from benchmark.control import Desk
from benchmark.policies import PolicySet, policies
from benchmark.results import Gap, Results, Sample
from benchmark.traffic import Cell, warm
from benchmark.variants import BY_NAME, CHAINS, usual_guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmark.generators import Generators
    from benchmark.plan import Plan
    from benchmark.spaces import Bed
    from benchmark.traffic import Measured

    Tell = Callable[[str], None]

_LISTEN_SECONDS = 0.1
_EXPECTED = (RuntimeError, OSError, ArithmeticError)


class Campaign:
    """A run and its results so far: `results` may be read whenever `run` is left."""

    def __init__(self, plan: Plan, bed: Bed, generators: Generators, tell: Tell) -> None:
        """Nothing is measured yet. `tell` is called with a line now and then."""
        self.results = Results()
        self._began = time.monotonic()
        self._plan, self._bed, self._generators, self._tell = plan, bed, generators, tell

    def run(self) -> None:
        """Measure everything that the plan names."""
        self.results.gaps.extend(self._left_out())
        for number in range(self._plan.rounds):
            if number and time.monotonic() - self._began > self._plan.minutes * 60:
                why = f"{self._plan.minutes:g} minutes were over (--minutes)"
                self.results.gaps.append(Gap("", f"all from round {number + 1} on", 0, why, failed=False))
                return
            for count in self._plan.policies:
                for name in self._order(number, count):
                    self._measure_variant(number, count, name)
            if number < self._plan.control_rounds:
                self._measure_control(number)

    def _order(self, number: int, count: int) -> list[str]:
        names = [name for name in self._plan.variants if not self._why_not(name, count)]
        turn = number % len(names) if names else 0
        return names[turn:] + names[:turn]

    def _why_not(self, name: str, count: int) -> str:
        missing = BY_NAME[name].missing()
        if missing:
            return missing
        if name == CHAINS and count > self._plan.chains_at_most:
            return f"takes too long: left out beyond {self._plan.chains_at_most} policies (--chains-at-most)"
        return ""

    def _left_out(self) -> Iterator[Gap]:
        for name in self._plan.variants:
            for count in self._plan.policies:
                why = self._why_not(name, count)
                if why:
                    yield Gap("", name, count, why, failed=False)

    def _measure_variant(self, number: int, count: int, name: str) -> None:
        wanted = [measure for measure in traffic.MEASURES if measure in self._plan.measures]
        if not wanted:
            return
        chosen = PolicySet(count, self._plan.match)
        where = f"round {number + 1}/{self._plan.rounds}, {policies(count)}, {BY_NAME[name].label}"
        measure = ""
        try:
            self._bed.clear()
            self._generators.aim(chosen.clients)
            with BY_NAME[name].start(self._bed, chosen) as running:
                cell = Cell(self._bed, self._generators, running, self._plan, len(chosen.clients))
                warm(cell)
                self.results.background.append(usage.busy_share(_LISTEN_SECONDS))
                for measure in wanted:
                    self._note(number, measure, name, count, traffic.measure(measure, cell))
            self._tell(f"{where}: {self._summary(number, name, count)}")
        except _EXPECTED as error:
            self._fail(measure, name, count, error, where)

    def _measure_control(self, number: int) -> None:
        desk = Desk(self._bed, self._generators, self._plan)
        for measure, (take, count_of) in control.MEASURES.items():
            if measure not in self._plan.measures:
                continue
            count = count_of(self._plan)
            where = f"round {number + 1}/{self._plan.rounds}, {policies(count)}, {measure}"
            try:
                taken = take(desk)
                self._note(number, measure, usual_guard(), count, taken)
                self._tell(
                    f"{where}: " + ", ".join(f"{name} {value:.3g}" for name, value in taken.values.items())
                )
            except _EXPECTED as error:
                self._fail(measure, usual_guard(), count, error, where)

    def _note(self, number: int, measure: str, name: str, count: int, taken: Measured) -> None:
        self.results.samples.append(Sample(number, measure, name, count, taken.values, taken.lost))

    def _fail(self, measure: str, name: str, count: int, error: Exception, where: str) -> None:
        self.results.gaps.append(Gap(measure, name, count, str(error) or repr(error), failed=True))
        self._tell(f"{where}: failed: {error}")

    def _summary(self, number: int, name: str, count: int) -> str:
        """Return the headline of what has just been measured."""
        found = [
            f"{sample.measure} {sample.values[value]:.4g}"
            for sample in self.results.samples
            if sample[0] == number and sample[2:4] == (name, count)
            for value in ("rate", "gbit", "seconds")
            if value in sample.values
        ]
        return ", ".join(found) or "done"
