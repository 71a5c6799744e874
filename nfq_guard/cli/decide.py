"""`nfq-guard decide`: flows in, verdicts out, by the engine that guards."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from nfq_guard.cli.flows import parse_flow, verdict_object, verdict_sentence
from nfq_guard.cli.lines import read_lines, write_line, write_text
from nfq_guard.cli.main import Exit
from nfq_guard.cli.options import (
    Format,
    compile_paths,
    facts_option,
    format_option,
    rules_option,
)
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.engine import decide

if TYPE_CHECKING:
    from nfq_guard.cli.lines import Line
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.decision import Decision


@click.command(
    "decide",
    epilog="""\b
A flow:
  {"direction": "in", "in_interface": "eth0", "protocol": "TCP",
   "src": "10.1.0.7", "dst": "10.0.0.1", "sport": 40000, "dport": 22}
with direction in, out or forward (in_interface, out_interface or both), protocol by
name or number, icmp_type and icmp_code for ICMP and ICMPv6, ct_state new (default),
established, related, invalid or untracked, original_dst and original_dport before DNAT.

\b
Examples:
  nfq-guard decide --rules rules/ flows.jsonl
  nfq-guard decide --rules rules/ --facts host.json - < flows.jsonl
  nfq-guard decide --rules rules/ --format text flows.jsonl""",
)
@rules_option()
@facts_option()
@settings_options("node", "allow_neighbor_discovery")
@format_option(Format.JSON)
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
    **flags: object,
) -> None:
    """Say what would happen to flows, and which rule would decide.

    One JSON flow a line in, one verdict a line out, in the same order. A line that is
    not a flow gets an error in its place, and the exit code 1 at the end. The settings
    that change verdicts are those of `run`: of flags, variables and the file.
    """
    ruleset = compile_paths(rules, facts, resolve_settings(config, flags).settings).ruleset
    good = True
    for line in read_lines(flows):
        answer = _answer(ruleset, line)
        if isinstance(answer, str):
            good = False
            write_line({"error": answer, "line": line.number})
        elif output is Format.JSON:
            write_line(verdict_object(answer))
        else:
            write_text(verdict_sentence(answer))
    ctx.exit(Exit.GOOD if good else Exit.NO)


def _answer(ruleset: Ruleset, line: Line) -> Decision | str:
    """Return the decision for a line, or what is wrong with it."""
    if line.error:
        return line.error
    try:
        flow = parse_flow(line.document)
    except ValueError as error:
        return str(error)
    return decide(ruleset, flow)
