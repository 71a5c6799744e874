"""What the guard is to reach, as ratios and limits, and whether a run reached it.

Owns the goals. A ratio is made look by look, of two numbers that were taken one after the other, before medians are
taken, of a round's looks and of the rounds: so what slows the machine down for a while does not look like one
variant's doing.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from benchmark.policies import policies
from benchmark.results import Key
from benchmark.variants import CHAINS, usual_guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmark.plan import Plan
    from benchmark.results import Results, Spread

_TEN = 10
_MOST = 10_000


class Goal(NamedTuple):
    """A limit on a number, or on what `of` makes of two numbers."""

    what: str
    at_least: bool
    limit: float
    unit: str
    """Empty for a ratio."""
    number: Key
    beside: Key | None = None
    of: Callable[[float, float], float] | None = None


class Target(NamedTuple):
    """A goal, and what came of it."""

    what: str
    at_least: bool
    limit: float
    unit: str
    found: Spread | None
    """None: not measured in this run."""

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the limit; None if it was not measured."""
        if self.found is None:
            return None
        return self.found.median >= self.limit if self.at_least else self.found.median <= self.limit


def targets(results: Results, plan: Plan) -> list[Target]:
    """Return every goal that the plan's counts of policies have to do with, and what came of it."""
    goals = chain(*(_per_count(count) for count in plan.policies), _over_counts(plan), _limits(plan))
    return [Target(*goal[:4], _found(results, goal)) for goal in (*goals, *_watched(plan))]


def _found(results: Results, goal: Goal) -> Spread | None:
    if goal.beside is None or goal.of is None:
        return results.spread(goal.number)
    return results.spread_of(goal.of, goal.number, goal.beside)


def _per_count(count: int) -> Iterable[Goal]:
    usual, where = usual_guard(), policies(count)
    return (
        _ratio(f"cold ÷ bare loop, new flows, {where}", 0.75, _flood("cold", count), _flood("bare", count)),
        _ratio(f"learned ÷ two rules, new flows, {where}", 0.75, _flood("learned", count), _flood("two-rule", count)),
        _ratio(
            f"learned, {where} ÷ chain per policy, {policies(_TEN)}, new flows",
            1.0, _flood("learned", count), _flood(CHAINS, _TEN),
        ),
        Goal(
            f"learned ÷ two rules, connect p50, {where}", False, 1.2, "",
            _p50("learned", count), _p50("two-rule", count), _quotient,
        ),
        Goal(
            f"cold - bare loop, connect p50, {where}", False, 10, "µs",
            _p50("cold", count), _p50("bare", count), _difference,
        ),
        _ratio(
            f"{usual} ÷ no firewall, throughput, {where}",
            0.97, Key("stream", usual, count, "gbit"), Key("stream", "none", count, "gbit"),
        ),
    )  # fmt: skip


def _over_counts(plan: Plan) -> Iterable[Goal]:
    yield _ratio(
        "cold, 10000 policies ÷ cold, 1 policy, new flows", 0.85, _flood("cold", _MOST), _flood("cold", 1)
    )
    for count, limit in ((100, 2.0), (1_000, 20.0)):
        if count in plan.policies:
            what = f"cold ÷ chain per policy, new flows, {policies(count)}"
            yield _ratio(what, limit, _flood("cold", count), _flood(CHAINS, count))


def _limits(plan: Plan) -> Iterable[Goal]:
    usual = usual_guard()
    rows = (
        ("compile {}", 3.0, "s", Key("compile", usual, plan.compile_policies, "compile")),
        ("edit one among {} until enforced", 0.1, "s", Key("reload", usual, plan.reload_policies, "median")),
        ("memory of the worker, {}", 150, "MB", Key("memory", usual, _MOST, "worker_pss")),
        ("start to enforcing, {}", 1.5, "s", Key("start", usual, plan.start_policies, "median")),
    )
    return (
        Goal(what.format(policies(key.policies)), False, limit, unit, key) for what, limit, unit, key in rows
    )


def _watched(plan: Plan) -> Iterable[Goal]:
    rows = (
        ("verdicts/s, a stopped watcher ÷ nobody", 0.97, "stopped_ratio"),
        ("verdicts/s, one that reads no denial ÷ nobody", 0.97, "renewing_ratio"),
        (f"at {plan.watch_rate} verdicts/s, watch --denied ÷ nobody", 0.9, "paced_ratio"),
    )
    for what, limit, value in rows:
        yield Goal(what, True, limit, "", Key("watching", "cold", plan.watch_policies, value))


def _ratio(what: str, limit: float, over: Key, under: Key) -> Goal:
    return Goal(what, True, limit, "", over, under, _quotient)


def _flood(name: str, count: int) -> Key:
    return Key("flood", name, count, "rate")


def _p50(name: str, count: int) -> Key:
    return Key("connect", name, count, "p50")


def _quotient(one: float, other: float) -> float:
    return one / other if other else 0.0


def _difference(one: float, other: float) -> float:
    return one - other
