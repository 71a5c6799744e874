"""`nfq-guard watch`: verdicts as they fall."""

from __future__ import annotations

import contextlib
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from nfq_guard.cli.control import unreachable
from nfq_guard.cli.follow import Follower, RefusedError
from nfq_guard.cli.main import CommandFailedError, Exit
from nfq_guard.cli.options import Format, facts_option, format_option, rules_option
from nfq_guard.cli.outputs import STANDARD_OUTPUT, CaptureFile, Lines, wants_colour
from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.cli.showing import Showing
from nfq_guard.model.printable import printable
from nfq_guard.stream.fields import BARE, FIELDS
from nfq_guard.stream.filter import Filter, conjoin, equals, parse_filter, wishes
from nfq_guard.stream.record import DENY
from nfq_guard.stream.tokens import FilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nfq_guard.cli.explaining import Explaining
    from nfq_guard.cli.outputs import Output


@click.command(
    "watch",
    epilog="""\b
Examples:
  nfq-guard watch --denied
  nfq-guard watch --denied --explain
  nfq-guard watch 'deny and tcp and dport in {22, 443}'
  nfq-guard watch 'src in 10.0.0.0/8 and not policy ~ allow-*' --format json
  nfq-guard watch --denied --write denied.pcapng --seconds 60

Fields, comparisons and words: docs/watch.md. Put the filter in single quotes: the shell has
meanings of its own for < > ! & | ( ) { } and *.""",
)
@click.argument(
    "words",
    nargs=-1,
    metavar="[FILTER...]",
    shell_complete=lambda _ctx, _parameter, begun: completed_filter(begun),
)
@click.option("--denied", is_flag=True, help="Denials only, as the filter `deny`.")
@click.option("--explain", "explains", is_flag=True, help="Say below each verdict why, by the rule files.")
@click.option("--policy", metavar="NAME", help="Decided by this policy or profile; with * and ? a pattern.")
@click.option("--interface", metavar="NAME", help="Came or leaves by this interface; with * and ? a pattern.")
@click.option(
    "--write",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Write packets to a new pcapng file, '-' for standard output, and print no lines unless --format is given.",
)
@click.option("--force", is_flag=True, help="Let --write write over a file.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N verdicts.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="End after S seconds; exit code 1 if --count was not reached by then.",
)
@rules_option()
@facts_option()
@settings_options("control", "node", "allow_neighbor_discovery")
@format_option(Format.TEXT)
@click.pass_context
def command(  # noqa: PLR0913 - one parameter an option, as click has it
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    *,
    rules: tuple[str, ...],
    facts: tuple[str, str] | None,
    policy: str | None,
    interface: str | None,
    write: str | None,
    count: int | None,
    seconds: float | None,
    config: str | None,
    output: Format,
    denied: bool,
    explains: bool,
    force: bool,
    **flags: object,
) -> None:
    """Show verdicts of a running guard as they fall, with the rule that decided.

    One line a packet that was queued, and one ahead of it for each Log rule that it met. Packets that the kernel decides by itself (failsafes,
    learned verdicts) are told once a second as `counted`: how many, not which. Packets of
    connections that are allowed already are not told at all.

    With --explain the causes stand below each: why no rule allowed it, by the guard's own rule
    files, or those of --rules, as they are now. Where the guard has said something else, that is said first.

    The guard never waits for who watches: what is read too late is lost, and standard error
    says how much. Ends with SIGINT or SIGTERM, after --count or --seconds.
    """
    wanted = given_filter(" ".join(words), denied=denied, policy=policy, interface=interface)
    resolved = resolve_settings(config, flags)
    control = resolved.settings.control
    shows_lines = write is None or ctx.get_parameter_source("output") is not ParameterSource.DEFAULT
    if write == STANDARD_OUTPUT and shows_lines:
        raise click.UsageError("--write - and --format both want standard output")
    if explains and not shows_lines:
        raise click.UsageError("--explain wants lines to stand below: give --format beside --write")
    follower = Follower(control, wishes(wanted.node), _say)
    with contextlib.ExitStack() as stack:
        stack.callback(follower.close)
        _connect(follower, control, f"{control} (--control, from {resolved.origins['control']})")
        # Behind the guard's answer: what it takes in from here on is read again.
        explaining = None
        if explains:
            from nfq_guard.cli.sources import Asked, loaded  # noqa: PLC0415 - others need not wait for it

            explaining = loaded(Asked(rules, facts, flags, resolved.settings), follower.sources)
        outputs: list[Output] = []
        if write is not None:
            capture = _capture(write, force=force)
            stack.callback(capture.close)
            outputs.append(capture)
        if shows_lines:
            outputs.append(_lines(output, explaining))
        to_stdout = shows_lines or write == STANDARD_OUTPUT
        pause = _Pause(sys.stdout if to_stdout else None)
        watch = Showing(follower, wanted, outputs, count, pause, _say, explaining)
        stack.callback(watch.sum_up)
        if sys.stderr is not None and sys.stderr.isatty():
            # A quiet host says nothing for long, which looks like a command that hangs.
            where = "standard output" if write == STANDARD_OUTPUT else write
            writing = f", writing to {where}" if where else ""
            _say(f"watching {wanted.canonical or 'all verdicts'}{writing}; Ctrl-C ends it")
        with _stopping(watch.stop):
            watch.run(None if seconds is None else time.monotonic() + seconds)
    ctx.exit(Exit.GOOD if watch.stopped or count is None or watch.shown >= count else Exit.NO)


def completed_filter(begun: str) -> list[CompletionItem]:
    """Return the fields and words of filters that begin so."""
    return [CompletionItem(word) for word in dict.fromkeys((*FIELDS, *BARE)) if word.startswith(begun)]


def given_filter(
    text: str, *, denied: bool = False, policy: str | None = None, interface: str | None = None
) -> Filter:
    """Return what is to be shown; a filter that cannot be read is wrong usage."""
    try:
        nodes = [parse_filter(text).node]
    except FilterError as error:
        lead = printable(text[: error.column - 1])
        raise click.UsageError(
            f"filter, column {error.column}: {printable(error.message)}\n  {printable(text)}\n  {' ' * len(lead)}^"
        ) from error
    if denied:
        nodes.append(equals("verdict", DENY))
    nodes += [equals(name, value) for name, value in (("policy", policy), ("iface", interface)) if value]
    return conjoin(nodes)


def _say(text: str) -> None:
    click.echo(f"nfq-guard watch: {printable(text)}", err=True)


def _connect(follower: Follower, control: str, place: str) -> None:
    try:
        follower.connect()
    except RefusedError as error:
        raise CommandFailedError(printable(f"{control}: {error}")) from error
    except OSError as error:
        raise CommandFailedError(printable(unreachable(place, error))) from error


def _lines(output: Format, explaining: Explaining | None) -> Lines:
    if output is Format.JSON:
        return Lines.json(explain=None if explaining is None else explaining.document_of)
    return Lines.text(colour=wants_colour(), explain=None if explaining is None else explaining.lines_of)


def _capture(path: str, *, force: bool) -> CaptureFile:
    if path == STANDARD_OUTPUT and sys.stdout.isatty():
        raise click.UsageError("--write - writes what no terminal can show; send it to a program or a file")
    try:
        return CaptureFile(path, force=force)
    except FileExistsError as error:
        raise click.UsageError(f"{path} is there already; --force writes over it") from error
    except OSError as error:
        raise CommandFailedError(f"{path}: {error.strerror}") from error


@contextlib.contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Call this on SIGINT and SIGTERM meanwhile."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda _number, _frame: stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class _Pause:
    """Waits, and notices when whoever reads standard output has gone."""

    def __init__(self, stream: object) -> None:
        self._poll = select.poll()
        fileno = getattr(stream, "fileno", None)
        with contextlib.suppress(OSError, ValueError):
            if fileno is not None:
                self._poll.register(fileno(), 0)  # an error or a hang-up is told all the same

    def __call__(self, seconds: float) -> None:
        """BrokenPipeError if there is nobody left to write for."""
        if self._poll.poll(seconds * 1000):
            raise BrokenPipeError
