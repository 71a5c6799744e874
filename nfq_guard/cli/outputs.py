"""Where watched verdicts go: lines on standard output, or a capture file.

Owns the writing, a batch at a time. A capture file holds whole blocks only, also where
the disk is full in the midst of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Protocol

import click

from nfq_guard.cli.main import CommandFailedError
from nfq_guard.model.printable import printable
from nfq_guard.stream.lines import VERDICT_AT, Columns, counted_document, document
from nfq_guard.stream.pcapng import Capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.stream.event import Event

_COLOURS = {"allow": "green", "deny": "red", "pass": "cyan", "unjudged": "yellow", "log": "blue"}
STANDARD_OUTPUT = "-"


class Output(Protocol):
    """Takes events; nothing is written before `flush`."""

    def event(self, event: Event) -> None:
        """Take a verdict about a packet."""

    def counted(self, event: Event, packets: int) -> bool:
        """Take so many packets that the kernel decided by itself, which have this in common; return whether it shows them."""

    def flush(self) -> None:
        """Write what was taken."""


def wants_colour() -> bool:
    """Return whether standard output is a terminal that may be coloured (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Lines:
    """A line each on standard output."""

    def __init__(self, line: Callable[[Event], str], counted: Callable[[Event, int], str]) -> None:
        """Write what these make of events."""
        self._line, self._counted = line, counted
        self._lines: list[str] = []

    @classmethod
    def text(cls, *, colour: bool, explain: Callable[[Event], list[str]] | None = None) -> Lines:
        """Return lines for people; `explain` returns those that stand below an event's."""
        columns = Columns()
        dress = _coloured if colour else _plain

        def line(event: Event) -> str:
            said = dress(columns.line(event), event.verdict)
            return said if explain is None else "\n".join((said, *map(_indented, explain(event))))

        return cls(line, lambda event, packets: dress(columns.counted(event, packets), event.verdict))

    @classmethod
    def json(cls, *, explain: Callable[[Event], dict[str, object]] | None = None) -> Lines:
        """Return lines for programs; `explain` returns the object of each that says why."""

        def line(event: Event) -> str:
            why = {} if explain is None else {"explanation": explain(event)}
            return _json(document(event) | why)

        return cls(line, lambda event, packets: _json(counted_document(event, packets)))

    def event(self, event: Event) -> None:
        """Take a verdict about a packet."""
        self._lines.append(self._line(event))

    def counted(self, event: Event, packets: int) -> bool:
        """Take so many packets that the kernel decided by itself."""
        self._lines.append(self._counted(event, packets))
        return True

    def flush(self) -> None:
        """Write the lines; BrokenPipeError where nobody reads them any more."""
        if self._lines:
            # Line by line: of one write that is larger than the buffer, a signal would cut off the rest.
            sys.stdout.buffer.writelines(f"{line}\n".encode() for line in self._lines)
            self._lines.clear()
            sys.stdout.buffer.flush()


def _json(document: dict[str, object]) -> str:
    return printable(json.dumps(document, ensure_ascii=False))


def _indented(line: str) -> str:
    return f"  {printable(line)}"


def _plain(line: str, _verdict: str) -> str:
    return line


def _coloured(line: str, verdict: str) -> str:
    styled = click.style(line[VERDICT_AT], fg=_COLOURS.get(verdict))
    return f"{line[: VERDICT_AT.start]}{styled}{line[VERDICT_AT.stop :]}"


class CaptureFile:
    """A pcapng file, `-` for standard output."""

    def __init__(self, path: str, *, force: bool) -> None:
        """Make the file, or write over one if forced to; OSError where that cannot be done.

        FileExistsError if there is one. Packets are nobody else's business: mode 0600.
        """
        self._path = path
        if path == STANDARD_OUTPUT:
            self._descriptor = os.dup(sys.stdout.fileno())
        else:
            how = os.O_TRUNC if force else os.O_EXCL
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o600)
        self._regular = path != STANDARD_OUTPUT and stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._size = 0
        self._capture = Capture()
        self._blocks = [self._capture.head()]

    def event(self, event: Event) -> None:
        """Take a verdict about a packet."""
        self._blocks += self._capture.blocks(event)

    def counted(self, event: Event, packets: int) -> bool:  # noqa: ARG002 - an Output
        """Take nothing: there are no packets to write."""
        return False

    def flush(self) -> None:
        """Write the blocks. CommandFailedError where that fails: the file ends behind the last whole one."""
        blocks, self._blocks = self._blocks, []
        data = memoryview(b"".join(blocks))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except BrokenPipeError:
            raise
        except OSError as error:
            if self._regular:
                whole = takewhile(lambda end: end <= written, accumulate(map(len, blocks), initial=0))
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size + max(whole))
            raise CommandFailedError(
                f"{self._path}: {error.strerror}; the file ends behind the last packet that was written whole"
            ) from error
        self._size += written

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
