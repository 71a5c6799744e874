"""The figures as lines of the screen, as wide and as many as there is room for.

Owns columns, words and colours. Everything that colour says stands in words too, and
what comes from outside commands no terminal.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from nfq_guard.cli.screen.board import Sort
from nfq_guard.model.decision import Reason
from nfq_guard.model.printable import printable
from nfq_guard.model.spelling import ends, protocol_name
from nfq_guard.stream.lines import comment
from nfq_guard.stream.rates import sparkline
from nfq_guard.stream.record import ALLOW, DENY
from nfq_guard.stream.tally import SECONDS, rule_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nfq_guard.cli.screen.board import Health, RuleRow
    from nfq_guard.cli.screen.feed import View
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.heavy import Hitter
    from nfq_guard.stream.tally import Latest

HEAD_LINES = 4
_VERDICT_STYLES = {"allow": "green", "deny": "red", "pass": "cyan", "unjudged": "yellow", "log": "yellow"}
_SPARK = (8, 60)
"""Least and greatest width of a sparkline."""
_WIDE = 110
"""Columns from which on the places of rules have room."""
_THOUSAND, _TEN_THOUSAND, _MILLION = 1_000, 10_000, 1_000_000
_TOLD_BY_STEP = frozenset({"", Reason.POLICY, Reason.TIER_DEFAULT})
"""Reasons that what decided tells already."""
_LAST_SECOND = 253_402_300_799
"""Of the year 9999: what a record says that is later is no time."""
_DIRECTIONS = {"ingress": "in", "egress": "out", "forward": "fwd"}
_SHORT_KINDS = {
    "GlobalNetworkPolicy": "gnp",
    "NetworkPolicy": "np",
    "Profile": "pro",
    "HostEndpoint": "hep",
    "WorkloadEndpoint": "wep",
}
"""As filters and commands take them."""
_KIND = re.compile(rf"\b({'|'.join(_SHORT_KINDS)})\(")


# -- numbers -------------------------------------------------------------------


def number(value: float) -> str:
    """Return a count in seven characters, as exactly as that can be."""
    if value >= 10 * _MILLION:
        return f"{value / _MILLION:,.0f}M"
    return f"{value:,.0f}" if value < _MILLION else f"{value / _THOUSAND:,.0f}k"


def rate(value: float | None) -> str:
    """Return packets a second: the fewer, the more exactly; what is not 0 does not look like 0."""
    if value is None:
        return "?"
    if value == 0:
        return "0"
    if value < 10:  # noqa: PLR2004 - a digit
        return f"{max(value, 0.1):.1f}"
    return number(value)


# -- the head ------------------------------------------------------------------


def head(view: View, width: int, now: datetime, *, paused: bool) -> list[Text]:
    """Return the lines at the top."""
    health = view.board.health
    lines = [_title(view, now, width), _workings(health), _rates(view, width), _reading(view, paused=paused)]
    return [_cut(line, width) for line in lines]


def _title(view: View, now: datetime, width: int) -> Text:
    health = view.board.health
    line = Text("nfq-guard top  ", no_wrap=True)
    if view.gone is not None:
        line.append(f"GUARD GONE for {view.gone:.0f} s, waiting", "bold reverse")
        return line
    if health is None:
        line.append(view.said or "asking the guard")
        return line
    line.append(printable(health.node), "bold")
    line.append("  ")
    line.append(
        "READY" if health.ready else "NOT READY", "bold green" if health.ready else "bold red reverse"
    )
    line.append(f"  {printable(health.detail)}")
    clock = f"{now:%H:%M:%SZ}"
    if (room := width - line.cell_len - len(clock)) > 1:
        line.append(" " * room + clock, "dim")
    return line


def _workings(health: Health | None) -> Text:
    line = Text(no_wrap=True)
    if health is None:
        return line
    line.append(f"{_many(health.policies, 'policy', 'policies')}")
    if health.staged:
        line.append(f", {health.staged} staged")
    line.append("  workers ")
    down = health.workers - health.workers_up
    line.append(f"{health.workers_up}/{health.workers} up", "bold red reverse" if down else "")
    if health.restarts:
        line.append(f", {_many(health.restarts, 'restart')}", "yellow")
    line.append(f"  queue {number(health.waiting)} waiting, ")
    line.append(f"{number(health.dropped)} dropped", "bold red" if health.dropped else "")
    if health.refused:
        line.append("  ")
        line.append("CHANGE REFUSED: see nfq-guard status", "bold red reverse")
    return line


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _rates(view: View, width: int) -> Text:
    line = Text(no_wrap=True)
    figures = [
        (verdict, f"{verdict} {rate(view.board.verdicts.get(verdict))}/s ") for verdict in (ALLOW, DENY)
    ]
    room = width - sum(len(text) for _, text in figures) - 2
    bars = max(_SPARK[0], min(_SPARK[1], room // 2))
    for index, (verdict, text) in enumerate(figures):
        if index:
            line.append("  ")
        line.append(text, f"bold {_VERDICT_STYLES[verdict]}")
        line.append(
            sparkline(view.board.history.get(verdict, ()), bars).rjust(bars), _VERDICT_STYLES[verdict]
        )
    return line


def _reading(view: View, *, paused: bool) -> Text:
    line = Text(no_wrap=True)
    if paused:
        line.append("PAUSED", "bold reverse")
        line.append("  ")
    line.append("filter ")
    line.append(printable(view.wanted) or "none: everything", "bold")
    line.append(
        f"  read {rate(view.reading_rate)}/s, skipped {number(view.skipped)}, lost {number(view.lost)}"
    )
    if view.unwritten:
        line.append(f", unwritten {view.unwritten}", "bold")
    return line


# -- the panels ------------------------------------------------------------------


def rules_title(view: View, sort: Sort, *, by_policy: bool) -> str:
    """Return the title of the table of rules."""
    what = "policies" if by_policy else "rules"
    order = {Sort.RATE: "by rate", Sort.PACKETS: "by packets", Sort.ORDER: "in order"}[sort]
    return f"{view.board.rule_count} {what} {order}"


def rules(rows: Sequence[RuleRow], width: int, height: int) -> list[Text]:
    """Return the table of rules."""
    lines = [Text(f"{'pkts/s':>7} {'packets':>8}  verdict dir  rule", "dim", no_wrap=True)]
    for row in rows[: max(0, height - 1)]:
        line = Text(no_wrap=True)
        line.append(f"{rate(row.rate):>7}", "bold" if row.rate else "")
        line.append(f" {number(row.packets):>8}  ")
        line.append(f"{row.key.action:<7}", _VERDICT_STYLES.get(row.key.action, ""))
        line.append(f" {_DIRECTIONS.get(row.key.direction, row.key.direction):<3}  ")
        line.append(_fitted(printable(row.key.text), width - line.cell_len))
        if row.place and width >= _WIDE:
            line.append(f"  {printable(_short(row.place, width - line.cell_len - 2))}", "dim")
        lines.append(_cut(line, width))
    return lines


def _fitted(text: str, room: int) -> str:
    """Return the name of a rule, its kind in short where there is no room, then without its middle."""
    if len(text) > room:
        text = _KIND.sub(lambda found: f"{_SHORT_KINDS[found[1]]}(", text, count=1)
    if len(text) <= room:
        return text
    # Names tell themselves apart at their ends, and the rule's number stands there.
    tail = max(0, (room - 1) // 2)
    return f"{text[: max(0, room - 1 - tail)]}…{text[len(text) - tail :]}"


def _short(place: str, room: int) -> str:
    """Return the end of a path that is too long: it tells more than its beginning."""
    return place if len(place) <= room else f"…{place[len(place) - max(1, room - 1) :]}"


def denied(
    hitters: Iterable[Hitter[str]], width: int, height: int, names: dict[str, str] | None = None
) -> list[Text]:
    """Return a column of what was denied most; `names`: what else a key is called."""
    lines = []
    for hitter in list(hitters)[:height]:
        line = Text(no_wrap=True)
        # Of a count that is not exact, what is sure.
        count = f"{'>' if hitter.error else ''}{number(hitter.times - hitter.error)}"
        line.append(f"{count:>7} ")
        line.append(printable(hitter.key))
        if names and (name := names.get(hitter.key)):
            line.append(f" {printable(name)}", "dim")
        lines.append(_cut(line, width))
    return lines


def denied_title(what: str, view: View) -> str:
    """Return the title of such a column."""
    if what == "sources":
        return f"denied sources, {SECONDS:.0f} s"
    return f"denied by, of {number(view.board.denied.packets)}" if what == "by" else f"denied {what}"


def by_kernel(view: View, width: int) -> list[Text]:
    """Return the line below those columns: how much is in none of them. Empty where nothing is left out."""
    board = view.board
    if not board.denied_by_kernel:
        return []
    line = Text("", "yellow", no_wrap=True)
    line.append(f"of {number(board.denied.packets)} read in {SECONDS:.0f} s; ")
    line.append(f"{number(board.denied_by_kernel)} denied by the kernel not among them", "bold")
    return [_cut(line, width)]


def flows(latest: Sequence[Latest], chosen: int, width: int, height: int) -> list[Text]:
    """Return the latest verdicts, so that the chosen one (its index) is among them."""
    first = max(0, min(chosen - height + 1, len(latest) - height)) if chosen >= height else 0
    lines = []
    for index, (_, event) in enumerate(latest[first : first + height], first):
        line = _cut(flow(event, mark=">" if index == chosen else " ", wide=width >= _WIDE), width)
        if index == chosen:
            line.pad_right(max(0, width - line.cell_len))
            line.stylize("reverse")
        lines.append(line)
    return lines


def flow(event: Event, *, mark: str = " ", wide: bool = True) -> Text:
    """Return a verdict as a line, the most telling first; `wide`: there is room for where its rule stands."""
    at = datetime.fromtimestamp(min(event.time_ns // 1_000_000_000, _LAST_SECOND), UTC)
    line = Text(f"{mark}{at:%H:%M:%S} ", no_wrap=True)
    line.append(f"{event.verdict:<5}", _VERDICT_STYLES.get(event.verdict, ""))
    packet = event.packet
    what = (
        f"{event.length} bytes" if packet is None else f"{protocol_name(packet.protocol):<4} {ends(packet)}"
    )
    line.append(
        f" {_DIRECTIONS.get(event.direction, event.direction):<3} {printable(_crossing(event)):<5} {what}  "
    )
    line.append(_decided(event) if wide else printable(rule_name(event)), "dim")
    return line


def _crossing(event: Event) -> str:
    return ">".join(name for name in (event.in_interface, event.out_interface) if name)


def _decided(event: Event) -> str:
    """Return what decided; the reason alone where there is no more to say."""
    head, _, step = comment(event).partition(": ")
    if not step:
        return head.partition(" ")[2]
    return step if event.reason in _TOLD_BY_STEP else f"{event.reason}: {step}"


def nothing_yet(view: View) -> str:
    """Return what stands where no verdict has come yet."""
    if view.board.passed_over:
        return f"none of {number(view.board.passed_over)} verdicts read is one that the filter means"
    return "no verdict yet that the filter means"


def _cut(line: Text, width: int) -> Text:
    if width <= 0:
        return Text(no_wrap=True)
    line.truncate(width, overflow="ellipsis")
    return line


def lines_of(lines: Iterable[Text]) -> Text:
    """Return lines as one text."""
    return Text("\n", no_wrap=True).join(lines)
