"""The run in pictures: bars in the terminal, and a PNG by matplotlib.

Owns both. matplotlib is only needed for the PNG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.markup import escape

from benchmark.policies import policies
from benchmark.report import short
from benchmark.results import Key
from benchmark.variants import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console

    from benchmark.results import Results

_BAR = 50
_THOUSAND = 1000
_COLOURS: Mapping[str, str] = {
    "none": "#9e9e9e",
    "two-rule": "#607d8b",
    "bare": "#c0a16b",
    "cold": "#90caf9",
    "table": "#42a5f5",
    "learned": "#0d47a1",
    "chains": "#e57373",
}


class Panel(NamedTuple):
    """One diagram of the picture: a value over the counts of policies."""

    measure: str
    value: str
    title: str


PANELS: tuple[Panel, ...] = (
    Panel("flood", "rate", "New UDP flows per second"),
    Panel("connect16", "rate", "TCP connections per second, 16 clients"),
    Panel("connect", "p50", "connect() p50, 1 client, µs"),
    Panel("flood", "machine_cpu", "CPU seconds per 100,000 new flows, machine"),
)


def bars(console: Console, results: Results) -> None:
    """Print new flows per second as bars, one block for each count of policies."""
    counts = results.policy_counts("flood")
    found = {count: dict(_rates(results, count)) for count in counts}
    longest = max((rate for rates in found.values() for rate in rates.values()), default=0.0)
    for count, rates in found.items():
        console.print(f"\n[bold]New UDP flows per second, {policies(count)}[/]")
        for name, rate in rates.items():
            full, rest = divmod(round(rate / longest * _BAR * 8), 8)
            bar = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
            console.print(
                f"  {escape(BY_NAME[name].label):<26} [{_COLOURS[name]}]{bar or '▏'}[/] {short(rate)}"
            )


def _rates(results: Results, count: int) -> Iterator[tuple[str, float]]:
    for name in BY_NAME:
        spread = results.spread(Key("flood", name, count, "rate"))
        if spread is not None:
            yield name, spread.median


def figure_class() -> type[Figure]:
    """Return matplotlib's Figure; RuntimeError without matplotlib."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - only who wants a PNG needs it
    except ImportError as error:
        raise RuntimeError("--png needs matplotlib, which requirements-bench.txt pins") from error
    return Figure


def picture(path: str, results: Results, caption: str) -> None:
    """Write a PNG."""
    figure = figure_class()(figsize=(12, 8.5), layout="constrained")
    shown = [panel for panel in PANELS if results.policy_counts(panel.measure)]
    columns = 1 + (len(shown) > 1)
    rows = max(1, (len(shown) + columns - 1) // columns)
    for axes, panel in zip(figure.subplots(rows, columns, squeeze=False).flat, shown, strict=False):
        _draw(axes, panel, results)
    for axes in figure.axes[len(shown) :]:
        axes.remove()
    handles, labels = figure.axes[0].get_legend_handles_labels() if shown else ([], [])
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle(caption, fontsize=9)
    figure.savefig(path, dpi=110, format="png")


def _draw(axes: Axes, panel: Panel, results: Results) -> None:
    """Draw medians as points joined by lines, spreads as bars; both scales logarithmic."""
    counts = results.policy_counts(panel.measure)
    for variant in BY_NAME.values():
        spreads = {
            count: found
            for count in counts
            if (found := results.spread(Key(panel.measure, variant.name, count, panel.value)))
        }
        if not spreads:
            continue
        medians = [found.median for found in spreads.values()]
        below = [found.median - found.low for found in spreads.values()]
        above = [found.high - found.median for found in spreads.values()]
        axes.errorbar(
            list(spreads), medians, yerr=[below, above], marker="o", capsize=3,
            label=variant.label, color=_COLOURS[variant.name],
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    lowest, highest = axes.get_ylim()
    steps = [mantissa * 10.0**power for power in range(-3, 8) for mantissa in (1, 2, 5)]
    ticks = [step for step in steps if lowest <= step <= highest]
    axes.set_yticks(ticks, [f"{tick / _THOUSAND:g}k" if tick >= _THOUSAND else f"{tick:g}" for tick in ticks])
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel("policies")
    axes.grid(visible=True, alpha=0.3)
