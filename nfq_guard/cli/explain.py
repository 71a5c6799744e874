"""`nfq-guard explain`: why a flow gets its verdict, rule by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click
from click.core import ParameterSource

from nfq_guard.adapters.captures import CaptureError, read_packet
from nfq_guard.cli.explaining import Explaining, Source
from nfq_guard.cli.flows import parse_observed
from nfq_guard.cli.lines import read_lines, write_line, write_text
from nfq_guard.cli.main import CommandFailedError, Exit
from nfq_guard.cli.options import Format, facts_option, format_option, rules_option
from nfq_guard.cli.questions import Question, captured_question, parse_question
from nfq_guard.cli.recorded import Recorded
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.model.flow import Direction, Flow
from nfq_guard.model.printable import printable
from nfq_guard.packet import Unparsable, parse
from nfq_guard.stream import comments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.adapters.captures import Captured
    from nfq_guard.model.flow import Packet
    from nfq_guard.stream.comments import Comment


@click.command(
    "explain",
    epilog="""\b
A flow, typed:
  in INTERFACE PROTOCOL SOURCE DESTINATION
  out INTERFACE PROTOCOL SOURCE DESTINATION
  forward IN-INTERFACE OUT-INTERFACE PROTOCOL SOURCE DESTINATION
Each end is ADDRESS, ADDRESS:PORT, [IPV6]:PORT or any. Behind them may
stand: type N, code N (ICMP), state STATE, before ADDRESS:PORT (the
destination ahead of DNAT).

\b
Examples:
  nfq-guard explain in eth0 tcp 203.0.113.9:40000 10.0.0.1:443
  nfq-guard explain out eth0 udp 10.0.0.1 192.0.2.53:53
  nfq-guard explain in eth0 icmp any 10.0.0.1 type 8
  nfq-guard explain --flows flows.jsonl --format json
  nfq-guard explain --pcap dump.pcap --packet 7 in eth0
  nfq-guard explain --pcap denied.pcapng --packet 7""",
)
@rules_option()
@facts_option()
@settings_options("node", "allow_neighbor_discovery")
@format_option(Format.TEXT)
@click.option(
    "--flows",
    type=click.File("rb"),
    metavar="FLOWS.jsonl|-",
    help="Explain flows in JSON, one a line, as `decide` takes them and the verdict stream has them.",
)
@click.option(
    "--pcap",
    type=click.Path(),
    default="",
    metavar="FILE|-",
    help="Explain a packet of a capture; FLOW says direction and interfaces only, and nothing where the file does.",
)
@click.option(
    "--packet",
    "number",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Which packet of the capture, from 1.",
)
@click.option("--all", "everything", is_flag=True, help="Show every rule and policy, however many.")
@click.argument("question", nargs=-1, metavar="[FLOW]")
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - a parameter for each option, as click has it
    ctx: click.Context,
    /,
    rules: tuple[str, ...],
    facts: tuple[str, str] | None,
    config: str | None,
    output: Format,
    flows: BinaryIO | None,
    pcap: str,
    number: int,
    question: tuple[str, ...],
    *,
    everything: bool,
    **flags: object,
) -> None:
    """Say why a flow is allowed or denied: which rule decided, and why no other did.

    The causes come first, then every stage, tier, policy and rule that was asked, in the
    order in which they are asked, each with what ruled it out. Ports, addresses and ICMP
    types may be left out, or be `any`: then it says what the verdict depends on.

    The exit code is 1 for a flow that is denied, as for one that cannot be read and for
    rules that have errors.
    """
    if (flows is None) is not bool(question or pcap):
        raise click.UsageError(
            "give one flow in words, or --flows, or --pcap (with direction and interfaces in words)"
        )
    if not pcap and ctx.get_parameter_source("number") is not ParameterSource.DEFAULT:
        raise click.UsageError("--packet wants --pcap: there is no capture to take it from")
    settings = resolve_settings(config, flags).settings
    explaining = Explaining(Source(rules or settings.rules, facts, settings))
    explaining.load()
    good = True
    for line, asked, recorded in _questions(flows, question, (pcap, number)):
        if isinstance(asked, str):
            good = False
            if output is Format.JSON:
                write_line({"error": asked, "line": line})
            else:
                write_text(f"error  line {line}: {asked}")
            continue
        if output is Format.JSON:
            document, allowed = explaining.document(asked, recorded)
            write_line(document)
        else:
            lines, allowed = explaining.text(asked, recorded, everything=everything)
            for text in lines:
                write_text(text)
        good = good and allowed
    ctx.exit(Exit.GOOD if good else Exit.NO)


def _questions(
    flows: BinaryIO | None, words: tuple[str, ...], captured: tuple[str, int]
) -> Iterator[tuple[int, Question | str, Recorded | None]]:
    if flows is None:
        try:
            yield 1, *(_captured(words, *captured) if captured[0] else (parse_question(words), None))
        except ValueError as error:
            raise click.UsageError(printable(str(error))) from error
        return
    for line in read_lines(flows):
        try:
            asked = line.error or Question(parse_observed(line.document))
            yield line.number, asked, Recorded.of_document(line.document)
        except ValueError as error:
            yield line.number, str(error), None


def _captured(words: tuple[str, ...], path: str, number: int) -> tuple[Question, Recorded | None]:
    try:
        captured = read_packet(path, number)
    except CaptureError as error:
        raise CommandFailedError(printable(str(error))) from error
    packet = parse(captured.data)
    if isinstance(packet, Unparsable):
        raise CommandFailedError(
            printable(
                f"{path}: packet {number} cannot be judged: {packet.reason}; the guard denies it, or lets it by in fail mode open"
            )
        )
    if words:
        return captured_question(words, packet), None
    # Of others' files, the flags do not tell what is the host's own and what it forwards.
    said = next(filter(None, map(comments.read, captured.comments)), None)
    flow = None if said is None else _flow(captured, said, packet)
    if said is None or flow is None:
        raise ValueError(
            f"{path} does not say which way packet {number} went: say it, as in eth0, out eth0 or forward eth0 eth1"
        )
    return Question(flow), Recorded.of_comment(said)


def _flow(captured: Captured, said: Comment, packet: Packet) -> Flow | None:
    """Return the flow of a packet whose file says its way, None if it does not say all of it."""
    if said.crossing is not None:
        return Flow(Direction.FORWARD, packet, *said.crossing)
    if captured.direction is None or not captured.interface:
        return None
    if captured.direction is Direction.IN:
        return Flow(Direction.IN, packet, captured.interface)
    return Flow(Direction.OUT, packet, None, captured.interface)
