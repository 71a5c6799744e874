"""The run: every variant in turn, round after round, each with the same flows.

Owns the order. The variants of a round stand side by side and are looked at in turn, and take turns in being first:
what warms up, drifts or disturbs then hits none of them more than another. A variant that fails is told and left
out of that round; the run goes on.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark import control, traffic, usage
from benchmark.control import Desk
from benchmark.generators import Generators
from benchmark.policies import PolicySet, policies
from benchmark.results import Gap, Results, Sample
from benchmark.traffic import Cell, warm
from benchmark.variants import BY_NAME, CHAINS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmark.plan import Plan
    from benchmark.spaces import Bed
    from benchmark.traffic import Measured

    Tell = Callable[[str], None]

_LISTEN_SECONDS = 0.1
_EXPECTED = (RuntimeError, OSError, ArithmeticError)


class Campaign:
    """A run and its results so far: `results` may be read whenever `run` is left."""

    def __init__(self, plan: Plan, beds: Sequence[Bed], tell: Tell) -> None:
        """Nothing is measured yet. A bed for each variant; `tell` is called with a line now and then."""
        self.results = Results()
        self._began = time.monotonic()
        self._plan, self._beds, self._tell = plan, beds, tell

    def run(self) -> None:
        """Measure everything that the plan names."""
        self.results.gaps.extend(self._left_out())
        for number in range(self._plan.rounds):
            if number and time.monotonic() - self._began > self._plan.minutes * 60:
                why = f"{self._plan.minutes:g} minutes were over (--minutes)"
                self.results.gaps.append(Gap("", f"all from round {number + 1} on", 0, why, failed=False))
                return
            for count in self._plan.policies:
                self._measure_together(number, count)
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

    def _measure_together(self, number: int, count: int) -> None:
        """Let all variants stand side by side, each in its bed, and look at one after the other, again and again.

        What slows the machine for a while then slows all of them.
        """
        wanted = [measure for measure in traffic.MEASURES if measure in self._plan.measures]
        if not wanted:
            return
        try:
            with contextlib.ExitStack() as stack:
                cells = self._stand(stack, number, count)
                self.results.background.append(usage.busy_share(_LISTEN_SECONDS))
                for measure in wanted:
                    self._look(number, count, measure, cells)
                for name in cells:
                    self._tell(f"{self._where(number, count, name)}: {self._summary(number, name, count)}")
        except _EXPECTED as error:
            self._fail("", "", count, error, f"round {number + 1}/{self._plan.rounds}, {policies(count)}")

    def _stand(self, stack: contextlib.ExitStack, number: int, count: int) -> dict[str, Cell]:
        """Start and warm up the variants, in the round's order."""
        chosen = PolicySet(count, self._plan.match)
        cells: dict[str, Cell] = {}
        for name, bed in zip(self._order(number, count), self._beds, strict=False):
            try:
                bed.clear()
                generators = Generators(bed)
                generators.aim(chosen.clients)
                running = stack.enter_context(BY_NAME[name].start(bed, chosen))
                cell = Cell(bed, generators, running, self._plan, len(chosen.clients))
                warm(cell)
                cells[name] = cell
            except _EXPECTED as error:
                self._fail("", name, count, error, self._where(number, count, name))
        return cells

    def _look(self, number: int, count: int, measure: str, cells: dict[str, Cell]) -> None:
        """Take a measure of each variant in turn, and again; one that fails is left out of the round from then on."""
        for look in range(traffic.looks(measure, self._plan)):
            for name, cell in list(cells.items()):
                try:
                    taken = traffic.MEASURES[measure](cell)
                except _EXPECTED as error:
                    del cells[name]
                    self._fail(measure, name, count, error, self._where(number, count, name))
                else:
                    self._note(number, measure, name, count, taken, look)

    def _where(self, number: int, count: int, name: str) -> str:
        return f"round {number + 1}/{self._plan.rounds}, {policies(count)}, {BY_NAME[name].label}"

    def _measure_control(self, number: int) -> None:
        desks = [Desk(bed, Generators(bed), self._plan) for bed in self._beds[:2]]
        # Whatever is compared side by side stands on the other side the next time.
        desk = replace(desks[number % len(desks)], beside=desks[(number + 1) % len(desks)])
        for measure, (take, count_of, variant) in control.MEASURES.items():
            if measure not in self._plan.measures:
                continue
            count = count_of(self._plan)
            where = f"round {number + 1}/{self._plan.rounds}, {policies(count)}, {measure}"
            try:
                taken = take(desk)
                self._note(number, measure, variant(), count, taken)
                self._tell(
                    f"{where}: " + ", ".join(f"{name} {value:.3g}" for name, value in taken.values.items())
                )
            except _EXPECTED as error:
                self._fail(measure, variant(), count, error, where)

    def _note(self, number: int, measure: str, name: str, count: int, taken: Measured, look: int = 0) -> None:
        self.results.samples.append(Sample(number, measure, name, count, taken.values, taken.lost, look))

    def _fail(self, measure: str, name: str, count: int, error: Exception, where: str) -> None:
        self.results.gaps.append(Gap(measure, name, count, str(error) or repr(error), failed=True))
        self._tell(f"{where}: failed: {error}")

    def _summary(self, number: int, name: str, count: int) -> str:
        """Return the headlines of what has just been measured."""
        found: dict[str, list[float]] = {}
        for sample in self.results.samples:
            if sample[0] == number and sample[2:4] == (name, count):
                for value in {"rate", "gbit", "seconds"} & sample.values.keys():
                    found.setdefault(sample.measure, []).append(sample.values[value])
        said = (f"{measure} {statistics.median(values):.4g}" for measure, values in found.items())
        return ", ".join(said) or "done"
