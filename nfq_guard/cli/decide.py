"""`nfq-guard decide`: flows in, verdicts out, by the engine that guards."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from nfq_guard.cli.flows import parse_flow, verdict_object
from nfq_guard.cli.lines import read_lines, write_line, write_text
from nfq_guard.cli.main import Exit
from nfq_guard.cli.options import (
    Format,
    compile_inventory,
    facts_option,
    format_option,
    load_inventory,
    rules_option,
)
from nfq_guard.cli.sentences import Sentences
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.engine import Rehearsal, decide

if TYPE_CHECKING:
    from nfq_guard.cli.lines import Line
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.flow import Flow


@click.command(
    "decide",
    epilog="""\b
A flow:
  {"direction": "in", "in_interface": "eth0", "protocol": "TCP",
   "src": "10.1.0.7", "dst": "10.0.0.1", "sport": 40000, "dport": 22}
with direction in, out or forward (in_interface, out_interface or both),
protocol by name or number, icmp_type and icmp_code for ICMP and ICMPv6,
ct_state new (default), established, related, invalid or untracked,
original_dst and original_dport before DNAT.

\b
Examples:
  nfq-guard decide --rules rules/ flows.jsonl
  nfq-guard decide --rules rules/ --facts host.json - < flows.jsonl
  nfq-guard decide --rules rules/ --format text flows.jsonl
  nfq-guard decide --rules rules/ --staged flows.jsonl""",
)
@rules_option()
@facts_option()
@settings_options("node", "allow_neighbor_discovery")
@format_option(Format.JSON)
@click.option("--staged", is_flag=True, help="Say as well what would happen if staged policies were live.")
@click.argument("flows", type=click.File("rb"), default="-", metavar="[FLOWS.jsonl | -]")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    rules: tuple[str, ...],
    facts: tuple[str, str] | None,
    config: str | None,
    output: Format,
    flows: BinaryIO,
    *,
    staged: bool,
    **flags: object,
) -> None:
    """Say what would happen to flows, and which rule would decide.

    One JSON flow a line in, one verdict a line out, in the same order. A line that is
    not a flow gets an error in its place, and the exit code 1 at the end. The rules and
    the settings that change verdicts are those of `run`: of flags, variables and the file.

    With --staged each verdict says as well what it would be if staged policies were live;
    null if they have no part in it.
    """
    settings = resolve_settings(config, flags).settings
    inventory = load_inventory(rules or settings.rules)
    ruleset = compile_inventory(inventory, facts, settings).ruleset
    rehearsal = Rehearsal(ruleset) if staged else None
    sentences = None if output is Format.JSON else Sentences(inventory, ruleset)
    good = True
    for line in read_lines(flows):
        flow = _flow(line)
        good = good and not isinstance(flow, str)
        if sentences is None:
            write_line(_answer(ruleset, rehearsal, line, flow))
        elif isinstance(flow, str):
            write_text(sentences.error(line.number, flow))
        else:
            would = None if rehearsal is None else rehearsal.decide(flow)
            write_text(sentences.sentence(flow, decide(ruleset, flow), would))
    ctx.exit(Exit.GOOD if good else Exit.NO)


def _flow(line: Line) -> Flow | str:
    """Return the flow of a line, or what is wrong with it."""
    if line.error:
        return line.error
    try:
        return parse_flow(line.document)
    except ValueError as error:
        return str(error)


def _answer(ruleset: Ruleset, rehearsal: Rehearsal | None, line: Line, flow: Flow | str) -> dict[str, object]:
    """Return the JSON object for a line."""
    if isinstance(flow, str):
        return {"error": flow, "line": line.number}
    answer = verdict_object(decide(ruleset, flow))
    if rehearsal is not None:
        would = rehearsal.decide(flow)
        answer["staged"] = None if would is None else verdict_object(would)
    return answer
