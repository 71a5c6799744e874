"""Command line of the benchmark, called by scripts/bench inside the virtual environment."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import leftovers
from rich.console import Console

from benchmark import chart, report
from benchmark.campaign import Campaign
from benchmark.machine import describe
from benchmark.plan import HELP, MATCHES, Plan, quick
from benchmark.policies import PolicySet
from benchmark.spaces import Bed, remember
from benchmark.targets import targets
from benchmark.variants import BY_NAME
from benchmark.watching import BEDS as WATCHING_BEDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmark.results import Results

PREFIX = "nfq-guard-bench-"
_WIDTH = 120
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
out = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
progress = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    """Read the command line, measure, report, clean up.

    Exits 1 if something failed, 2 for a wrong command line, 3 if nothing could be measured.
    """
    chosen = _parser().parse_args()
    try:
        plan = plan_of(chosen)
        _check(chosen)
        return _run(plan, chosen)
    except ValueError as error:
        return _complain(error, 2)
    except (RuntimeError, OSError) as error:
        return _complain(error, 3)


def _complain(error: Exception, code: int) -> int:
    progress.print(f"scripts/bench: {error}", markup=False)
    return code


def _run(plan: Plan, chosen: argparse.Namespace) -> int:
    leftovers.remove_all(PREFIX, kept=False)
    for number in _SIGNALS:
        signal.signal(number, _leave)
    work = Path(tempfile.mkdtemp(prefix=PREFIX))
    # One for each variant: all that are compared stand at the same time.
    least = WATCHING_BEDS if "watching" in plan.measures else 1
    beds = [Bed(work, number) for number in range(max(least, len(plan.variants)))]
    remember(work, beds)
    try:
        return _measure(plan, beds, chosen)
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        leftovers.remove(work)


def _leave(number: int, _frame: object) -> None:
    """Stop where we are: everything we have made is in our namespaces, and goes with them."""
    raise SystemExit(128 + number)


def _measure(plan: Plan, beds: Sequence[Bed], chosen: argparse.Namespace) -> int:
    began = time.monotonic()
    for bed in beds:
        bed.build()
    machine = describe(beds[0])
    report.head(out, machine, plan, [PolicySet(count, plan.match).describe() for count in plan.policies])
    campaign = Campaign(plan, beds, lambda line: progress.print(line, style="dim", markup=False))
    interrupted = 0
    try:
        campaign.run()
    except SystemExit as end:
        interrupted = int(end.code or 0)
        if not campaign.results.samples:
            raise
        out.print("\n[red]Interrupted: what follows is incomplete.[/]")
    results = campaign.results
    goals = targets(results, plan)
    report.body(out, results, goals)
    chart.bars(out, results)
    out.print(f"\n[dim]The run took {(time.monotonic() - began) / 60:.1f} minutes.[/]")
    if chosen.json:
        text = json.dumps(report.document(machine, plan, results, goals), indent=1)
        Path(chosen.json).write_text(text + "\n", encoding="utf-8")
    if chosen.png:
        chart.picture(chosen.png, results, _caption(machine, plan, results))
    return interrupted or int(results.failed)


def _caption(machine: dict[str, str], plan: Plan, results: Results) -> str:
    rounds = len({sample.round for sample in results.samples})
    where = ", ".join(machine[name] for name in ("processor", "kernel", "nfq-guard", "date"))
    return f"nfq-guard benchmark: medians over rounds ({rounds}), bars from lowest to highest, flows match {plan.match}\n{where}"


# -- arguments -------------------------------------------------------------------------------------------------


def plan_of(chosen: argparse.Namespace) -> Plan:
    """Return what the command line asks for; ValueError for what there is not."""
    plan = quick(Plan()) if chosen.quick else Plan()
    given = {name: value for name, value in vars(chosen).items() if value is not None and hasattr(plan, name)}
    plan = replace(plan, **given)
    for count in plan.policies:
        PolicySet(count)
    _insist("variants", plan.variants, BY_NAME)
    _insist("measures", plan.measures, Plan().measures)
    if min(plan.rounds, plan.flows, plan.seconds, plan.starts, plan.edits) <= 0:
        raise ValueError("rounds, flows, seconds, starts and edits must be more than nothing")
    return plan


def _insist(what: str, given: Sequence[str], known: Iterable[str]) -> None:
    unknown = set(given) - set(known)
    if unknown or not given:
        raise ValueError(
            f"--{what}: there is no {', '.join(sorted(unknown)) or 'name given'}; there are {', '.join(known)}"
        )


def _check(chosen: argparse.Namespace) -> None:
    """Refuse results that could not be written, before half an hour is spent on them."""
    if chosen.png:
        chart.figure_class()
    for path in (chosen.json, chosen.png):
        if path and not Path(path).absolute().parent.is_dir():
            raise ValueError(f"{path}: there is no such folder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure what this firewall costs, beside no firewall, nft alone and a bare NetfilterQueue loop: "
        "every variant in turn, over several rounds, in network namespaces of its own.",
        epilog="Variants: " + "; ".join(f"{variant.name}: {variant.label}" for variant in BY_NAME.values()) + ". "
        "Measures: " + ", ".join(Plan().measures) + ". docs/performance.md says what each means.",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="two minutes: to see that it works, not to believe a number"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    parser.add_argument("--png", metavar="FILE", help="write a chart")
    for name, meaning in HELP.items():
        default = getattr(Plan(), name)
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        parser.add_argument(
            "--" + name.replace("_", "-"),
            type=_LISTS.get(name, type(default)),
            choices=MATCHES if name == "match" else None,
            metavar=None if name == "match" else "N" if isinstance(default, (int, float)) else "A,B",
            help=f"{meaning} (default {shown})",
        )
    return parser


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in _words(text))


_LISTS: Mapping[str, Callable[[str], tuple[object, ...]]] = {
    "policies": _counts,
    "variants": _words,
    "measures": _words,
}

if __name__ == "__main__":
    sys.exit(main())
