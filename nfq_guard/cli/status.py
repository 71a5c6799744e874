"""`nfq-guard status`: what a running guard enforces, and what its rules have counted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from nfq_guard.adapters.control import ask
from nfq_guard.cli.control import unreachable
from nfq_guard.cli.main import CommandFailedError, Exit
from nfq_guard.cli.options import Format, format_option
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Answer = Mapping[str, Any]

_PATIENCE = 5.0
"""Seconds the guard may take to answer."""
_WIDEST = 400
"""Columns. A line that the terminal wraps can be read; one that we cut short cannot."""
_SUMS = "Packets of a rule that stands in several chains below: of all its endpoints and stages together."
_LABELS = ("tier", "kind", "policy", "rule", "action")
"""With the direction, what a rule is counted by."""
_STYLES = {"allow": "green", "deny": "red", "pass": "cyan", "log": "yellow", "up": "green", "error": "red"}


@click.command(
    "status",
    epilog="""\b
Examples:
  nfq-guard status
  nfq-guard status --control /run/nfq-guard/control.sock --format json""",
)
@settings_options("control")
@format_option(Format.TEXT)
@click.pass_context
def command(ctx: click.Context, /, config: str | None, output: Format, **flags: object) -> None:
    """Show a running guard and every rule with its count.

    Endpoints with the interfaces they govern, generation, queues, rules.

    Rules stand in the order in which they are evaluated. A rule's count is that of all
    endpoints and stages together. The exit code is 1 while the
    guard does not fully enforce, 3 if none answers.
    """
    resolved = resolve_settings(config, flags)
    control = resolved.settings.control
    try:
        answer = ask(control, {"command": "status"}, _PATIENCE)
    except OSError as error:
        place = f"{control} (--control, from {resolved.origins['control']})"
        raise CommandFailedError(printable(unreachable(place, error))) from error
    if "error" in answer:
        raise CommandFailedError(printable(f"{control}: {answer['error']}"))
    if output is Format.JSON:
        click.echo(json.dumps(answer, indent=2))
    else:
        _print(Console(width=_WIDEST, soft_wrap=True, highlight=False), answer)
    ctx.exit(Exit.GOOD if answer["ready"] else Exit.NO)


def _print(console: Console, answer: Answer) -> None:
    _print_head(console, answer)
    _print_endpoints(console, answer["endpoints"])
    places = _Places(answer["rules"])
    if _shares_counters(answer["chains"]):
        console.print(f"\n{_SUMS}")
    for chain in answer["chains"]:
        _print_chain(console, chain, places)
    for chain in answer["staged"]:
        _print_chain(console, chain, places, remark=", staged: not enforced")
        _print_outcomes(console, chain["verdicts"])
    _print_verdicts(console, answer["verdicts"])
    _print_queues(console, answer)


def _print_head(console: Console, answer: Answer) -> None:
    colour = "green" if answer["ready"] else "red"
    console.print(f"{_plain(answer['node'])}: [{colour}]{_plain(answer['detail'])}[/]")
    loaded = datetime.fromtimestamp(answer["loaded_at"], UTC).isoformat(timespec="seconds")
    where = ", ".join(answer["rules"])
    mode = answer["fail_mode"]
    console.print(_plain(f"rules from {where}, loaded {loaded}, fail mode {mode}, pid {answer['pid']}"))
    if number := answer["staged_policies"]:
        what = "policy is" if number == 1 else "policies are"
        console.print(f"{number} staged {what} watched, not enforced")
    for problem in answer["load_errors"]:
        console.print(f"[red]refused:[/] {_plain(problem)}")


def _print_endpoints(console: Console, endpoints: Sequence[Answer]) -> None:
    table = _table("endpoint", "status", "governs")
    for endpoint in endpoints:
        governs = ", ".join(endpoint["interfaces"]) or f"nothing: {endpoint['reason']}"
        name = full_name(endpoint["namespace"], endpoint["name"])
        table.add_row(_plain(name), _styled(endpoint["status"]), _plain(governs))
    console.print()
    console.print(table)


class _Places:
    """Where rules stand, as short as it can be said beside the rule paths in the head."""

    def __init__(self, paths: Sequence[str]) -> None:
        bare = [path.rstrip("/") for path in paths]
        names = Counter(path.rpartition("/")[2] for path in bare)
        self._roots = sorted(
            (path for path in bare if path.startswith("/") and names[path.rpartition("/")[2]] == 1),
            key=len,
            reverse=True,
        )

    def of(self, rule: Answer) -> str:
        """Return file and line: `rules/a.yaml:3` for what stands in an absolute path to `rules`."""
        if "file" not in rule:
            return ""
        file = rule["file"]
        for root in self._roots:
            if file == root or file.startswith(f"{root}/"):
                file = file.removeprefix(root.rpartition("/")[0] + "/")
                break
        return f"{file}:{rule['line']}"


def _shares_counters(chains: Sequence[Answer]) -> bool:
    """Return whether some rule stands in several chains: its count is that of all of them."""
    seen = Counter(
        (chain["direction"], *(rule[label] for label in _LABELS))
        for chain in chains
        for rule in chain["rules"]
    )
    return any(times > 1 for times in seen.values())


def _print_chain(console: Console, chain: Answer, places: _Places, *, remark: str = "") -> None:
    which = _plain(f"{chain['direction']}, {chain['stage']} stage{remark}")
    name = full_name(chain["namespace"], chain["endpoint"])
    where = f" on {chain['interface']}" if chain["interface"] else ""
    console.print(f"\n[bold]{_plain(name)}[/]{_plain(where)} {which}")
    table = _table("", "", "", "", "", show_header=False)
    for number, rule in enumerate(chain["rules"]):
        table.add_row(
            f"@{number}",
            _styled(rule["action"]),
            _plain(rule_text(rule)),
            _plain(places.of(rule)),
            _packets(rule["packets"]),
        )
    console.print(table)


def full_name(namespace: str, name: str) -> str:
    """Return a name, with its namespace where it has one."""
    return f"{namespace}/{name}" if namespace else name


def _print_outcomes(console: Console, outcomes: Sequence[Answer]) -> None:
    """Say how often staged policies would have judged so, beside what was enforced."""
    table = _table("", "", "", show_header=False)
    for row in outcomes:
        if row["packets"]:
            would = f"{_styled(row['enforced'])} now, would {_styled(row['staged'])}"
            table.add_row(would, _packets(row["packets"]))
    if table.row_count:
        console.print(table)


def _packets(number: int) -> str:
    return rf"\[ Packets: {number:<8} ]"


def rule_text(rule: Answer) -> str:
    """Return what has a counter, as people are told it."""
    if rule["kind"] in {"HostEndpoint", "WorkloadEndpoint"}:
        return "nothing matched: default"
    if rule["kind"] == "Tier":
        return f"end of tier {rule['policy']}"
    tier = f"{rule['tier']}/" if rule["tier"] else ""
    return f"{tier}{rule['kind']}({rule['policy']}) rule {rule['rule']}"


def _print_verdicts(console: Console, verdicts: Sequence[Answer]) -> None:
    table = _table("reason", "verdict", "direction", "stage", "packets")
    for row in verdicts:
        table.add_row(
            _plain(row["reason"]),
            _styled(row["verdict"]),
            _plain(row["direction"]),
            _plain(row["stage"]),
            str(row["packets"]),
        )
    console.print()
    console.print(table)


def _print_queues(console: Console, answer: Answer) -> None:
    queues, flows = answer["queues"], answer["flow_table"]
    for worker in queues["workers"]:
        state = f"served by pid {worker['pid']}" if worker["up"] else "[red]served by nobody[/]"
        console.print(f"\nqueue {worker['queue']}: {state}")
    console.print(
        f"waiting {queues['depth']}, dropped {queues['dropped']} (queue full) "
        f"and {queues['user_dropped']} (receive buffer full); worker restarts {answer['worker_restarts']}"
    )
    console.print(f"flow table: {flows['entries']} entries, {flows['hits']} hits, {flows['misses']} misses")


def _plain(text: str) -> str:
    """Return text that is neither markup to rich nor a command to the terminal."""
    return escape_markup(printable(text))


def _table(*headers: str, show_header: bool = True) -> Table:
    return Table(*headers, box=None, pad_edge=False, show_header=show_header, header_style="dim")


def _styled(word: str) -> str:
    style = _STYLES.get(word)
    return f"[{style}]{word}[/]" if style else _plain(word)
