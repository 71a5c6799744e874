"""The run in words, tables and JSON.

Owns how results read. Must never hide a loss, a failure or what was left out.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from benchmark.results import Key
from benchmark.variants import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from benchmark.plan import Plan
    from benchmark.results import Results, Spread
    from benchmark.targets import Target

_THOUSAND, _MILLION = 1e3, 1e6
_LOST_COLUMNS: Mapping[str, str] = {
    "sent": "sent",
    "lost": "lost",
    "stalls": "stalls",
    "retried": "retried",
    "queue_full": "queue\nfull",
    "reader_full": "reader\nfull",
    "conntrack": "conntrack",
    "backlog": "backlog",
    "listener": "server\nlate",
}
_LOSSES = [name for name in _LOST_COLUMNS if name != "sent"]


class Figure(NamedTuple):
    """A number that gets a table of its own: variants by counts of policies."""

    measure: str
    value: str
    title: str


FIGURES: tuple[Figure, ...] = (
    Figure("flood", "rate", "New UDP flows per second"),
    Figure("overload", "rate", "New UDP flows per second that get through under overload"),
    Figure("overload", "lost_percent", "Flows lost under overload, %"),
    Figure("packets", "rate", "Packets per second of live UDP flows"),
    Figure("connect", "rate", "TCP connections per second, 1 client"),
    Figure("connect", "p50", "connect() p50, 1 client, µs"),
    Figure("connect", "p95", "connect() p95, 1 client, µs"),
    Figure("connect", "p99", "connect() p99, 1 client, µs"),
    Figure("connect16", "rate", "TCP connections per second, 16 clients"),
    Figure("connect16", "p50", "connect() p50, 16 clients, µs"),
    Figure("connect16", "p99", "connect() p99, 16 clients, µs"),
    Figure("stream", "gbit", "Throughput of one live TCP connection, Gbit/s"),
    Figure("flood", "machine_cpu", "CPU seconds of the whole machine for 100,000 new flows"),
    Figure("flood", "worker_cpu", "CPU seconds of the guard's worker for 100,000 new flows"),
    Figure("flood", "loop_cpu", "CPU seconds of the bare loop for 100,000 new flows"),
    Figure("flood", "queued_percent", "New flows that were asked about in user space, %"),
    Figure("memory", "worker_pss", "Memory of the guard's worker (PSS), MB"),
    Figure("memory", "controller_pss", "Memory of the guard's controller (PSS), MB"),
    Figure("memory", "loop_pss", "Memory of the bare loop (PSS), MB"),
    Figure("ready", "seconds", "Start, or load, to enforcing, s"),
)

_CONTROL: Mapping[str, Mapping[str, str]] = {
    "compile": {"load": "load, s", "compile": "compile, s"},
    "start": {"median": "start to enforcing, s", "max": "slowest of a round, s"},
    "reload": {
        "median": "edit to enforcing, s",
        "min": "quickest of a round, s",
        "max": "slowest of a round, s",
    },
    "disturbance": {
        "quiet_p50": "verdict delay p50, nothing reloaded, µs",
        "quiet_p999": "verdict delay p99.9, nothing reloaded, µs",
        "quiet_max": "verdict delay max, nothing reloaded, µs",
        "reload_p50": "verdict delay p50, during a reload, µs",
        "reload_p999": "verdict delay p99.9, during a reload, µs",
        "reload_max": "verdict delay max, during a reload, µs",
        "reload_seconds": "edit to enforcing, s",
    },
    "watching": {
        "stopped_ratio": "a stopped watcher of everything ÷ nobody, verdicts/s",
        "stopped_missed": "verdicts that it says nobody wrote down",
        "stopped_lost": "verdicts that it says it lost",
        "stopped_accounted": "verdicts that it accounts for, %",
        "recorded_ratio": "one that wishes for everything and reads nothing ÷ nobody, verdicts/s",
        "renewing_ratio": "one that wishes for denials and reads none ÷ nobody, verdicts/s",
        "renewing_lost": "denials that it lost",
        "denied_ratio": "watch --denied ÷ nobody, verdicts/s",
        "denied_alone": "verdicts/s, nobody watches",
        "denied": "verdicts/s, watch --denied",
        "denied_shown": "denials that it showed",
        "denied_lost": "denials that it lost",
        "denied_watcher_cpu": "CPU seconds of it for 100,000 verdicts",
        "paced_ratio": "watch --denied ÷ nobody, verdicts/s at the rate offered",
        "paced_alone": "verdicts/s at the rate offered, nobody watches",
        "paced": "verdicts/s at the rate offered, watch --denied",
        "paced_shown": "denials that it showed",
        "paced_lost": "denials that it lost",
        "paced_watcher_cpu": "CPU seconds of it for 100,000 verdicts",
    },
}


def short(number: float) -> str:
    """Return three digits of a number: `1.23M`, `45.6k`, `78.9`."""
    for unit, suffix in ((_MILLION, "M"), (_THOUSAND, "k")):
        if abs(number) >= unit:
            return f"{_digits(number / unit)}{suffix}"
    return _digits(number)


def _digits(number: float) -> str:
    size = abs(number)
    return f"{number:.{0 if size >= 100 else 1 if size >= 10 else 2}f}"  # noqa: PLR2004 - three digits in all


def cell(spread: Spread | None) -> str:
    """Return a spread as it stands in a table: median, and lowest to highest where there is more than one."""
    if spread is None:
        return "-"
    if spread.rounds == 1:
        return short(spread.median)
    return f"{short(spread.median)} [dim]{short(spread.low)}-{short(spread.high)}[/]"


# -- the parts ---------------------------------------------------------------------------------------------


def head(console: Console, machine: Mapping[str, str], plan: Plan, traffic: Sequence[str]) -> None:
    """Print what is measured, on what."""
    grid = Table.grid(padding=(0, 2))
    rows = {**machine, "parameters": ", ".join(_parameters(plan)), "traffic": "\n".join(traffic)}
    for name, value in rows.items():
        grid.add_row(name, escape(value))
    console.print("[bold]nfq-guard benchmark[/]")
    console.print(grid)


def _parameters(plan: Plan) -> Iterator[str]:
    for name, value in asdict(plan).items():
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
        yield f"{name.replace('_', ' ')} {shown}"


def body(console: Console, results: Results, goals: Sequence[Target]) -> None:
    """Print every table."""
    tables = {figure.title: _figure_table(figure, results) for figure in FIGURES}
    tables["Files, compiling, reloading, watching"] = _control_table(results)
    counted = sum("sent" in sample.lost for sample in results.samples)
    losses = _loss_table(results)
    tables[f"Lost, in {losses.row_count} of {counted} measurements that count it"] = losses
    tables["Not measured"] = _gap_table(results)
    tables["Goals"] = _target_table(goals)
    for title, table in tables.items():
        if table.row_count or table is losses:
            console.print(f"\n[bold]{title}[/]")
            console.print(table if table.row_count else " nothing")
    unknown = sum(goal.found is None for goal in goals)
    if unknown:
        console.print(f"[dim] {unknown} more goals were not measured in this run.[/]")
    if results.background:
        ordered = sorted(results.background)
        console.print(
            f"\nOthers kept {ordered[len(ordered) // 2]:.0%} of the machine busy between measurements "
            f"(median; at most {ordered[-1]:.0%}): the more, the less these numbers say."
        )


def _table(*columns: str, left: int = 1) -> Table:
    """Return an empty table whose first `left` columns hold words, the others numbers."""
    table = Table(header_style="dim", box=None, pad_edge=True)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", no_wrap=True)
    return table


def _figure_table(figure: Figure, results: Results) -> Table:
    counts = results.policy_counts(figure.measure)
    table = _table("policies", *map(str, counts))
    for variant in BY_NAME.values():
        found = [results.spread(Key(figure.measure, variant.name, count, figure.value)) for count in counts]
        if any(found):
            table.add_row(variant.label, *map(cell, found))
    return table


def _control_table(results: Results) -> Table:
    table = _table("what", "policies", "median and spread")
    for key in results.keys():  # noqa: SIM118 - not a mapping
        title = _CONTROL.get(key.measure, {}).get(key.value)
        if title:
            table.add_row(title, str(key.policies), cell(results.spread(key)))
    return table


def _loss_table(results: Results) -> Table:
    table = _table("measure", "variant", "policies", "round", *_LOST_COLUMNS.values(), left=2)
    for sample in results.samples:
        if any(sample.lost.get(name) for name in _LOSSES):
            columns = (str(sample.lost.get(name, "-")) for name in _LOST_COLUMNS)
            table.add_row(
                sample.measure, sample.variant, str(sample.policies), str(sample.round + 1), *columns
            )
    return table


def _gap_table(results: Results) -> Table:
    table = _table("variant", "policies", "measure", "why", left=4)
    table.columns[-1].no_wrap = False
    for gap in results.gaps:
        why = f"[red]failed:[/] {escape(gap.why)}" if gap.failed else escape(gap.why)
        table.add_row(gap.variant, str(gap.policies or "all"), gap.measure or "all", why)
    return table


def _target_table(goals: Sequence[Target]) -> Table:
    table = _table("what", "target", "median", "spread", "met")
    for goal in goals:
        if goal.found is None:
            continue
        limit = f"{'≥' if goal.at_least else '≤'} {goal.limit:g} {goal.unit}".rstrip()
        met = "[green]yes[/]" if goal.met else "[red]no[/]"
        found = goal.found
        spread = f"{_exact(found.low)}-{_exact(found.high)}"
        table.add_row(goal.what, limit, _exact(found.median), spread, met)
    return table


def _exact(number: float) -> str:
    return f"{number:.3f}" if abs(number) < _TEN else short(number)


_TEN = 10


# -- for programs ------------------------------------------------------------------------------------------


def document(
    machine: Mapping[str, str], plan: Plan, results: Results, goals: Sequence[Target]
) -> dict[str, Any]:
    """Return the run as one JSON object."""
    return {
        "machine": dict(machine),
        "parameters": asdict(plan),
        "background": results.background,
        "samples": [
            {**sample._asdict(), "values": dict(sample.values), "lost": dict(sample.lost)}
            for sample in results.samples
        ],
        "summary": [{**key._asdict(), **_spread(results.spread(key))} for key in results.keys()],  # noqa: SIM118
        "not_measured": [gap._asdict() for gap in results.gaps],
        "targets": [
            {**goal._asdict(), "found": _spread(goal.found) or None, "met": goal.met} for goal in goals
        ],
    }


def _spread(spread: Spread | None) -> dict[str, float]:
    return {} if spread is None else dict(spread._asdict())
