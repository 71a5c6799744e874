"""Structured log lines on stderr, as key=value text or as JSON.

Owns the look of a line. Must never block or raise: a full pipe costs log lines, not
the guard (a controller that waits for its log reader watches over no worker).
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from enum import IntEnum
from typing import NamedTuple

from nfq_guard.model.printable import printable


class Level(IntEnum):
    """Severity, with syslog's numbers (RFC 5424 section 6.2.1): lower is worse."""

    ERROR = 3
    WARNING = 4
    INFO = 6
    DEBUG = 7


LEVELS = {level.name.lower(): level for level in Level}
_LONGEST_LINE = 4000
"""Below PIPE_BUF: a pipe that polls as writable takes it whole, without blocking."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+@%*[],")


class Line(NamedTuple):
    """One thing that happened. `at` is seconds since the epoch."""

    at: float
    level: Level
    message: str
    fields: dict[str, object]


def as_text(line: Line) -> str:
    """Return `2026-01-31T12:00:00.000Z info message key=value`."""
    parts = [_timestamp(line.at), line.level.name.lower(), line.message]
    parts += [f"{key}={_quoted(value)}" for key, value in line.fields.items()]
    return " ".join(parts)


def as_json(line: Line) -> str:
    """Return the line as one JSON object."""
    head = {"time": _timestamp(line.at), "level": line.level.name.lower(), "message": line.message}
    return json.dumps(head | line.fields, default=str, ensure_ascii=False)


FORMATS = {"text": as_text, "json": as_json}


def _timestamp(at: float) -> str:
    milliseconds = int(at * 1000) % 1000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{milliseconds:03d}Z"


def _quoted(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text, ensure_ascii=False)


class Log:
    """Writes lines of a least severity to a file descriptor."""

    def __init__(self, form: str = "text", level: str = "info", fd: int | None = None) -> None:
        """Choose a format and the least severe level written; fd defaults to stderr."""
        self._render = FORMATS[form]
        self._least = LEVELS[level]
        self._fd = sys.stderr.fileno() if fd is None else fd
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        # The journal reads a severity from a "<6>" prefix, if it is what reads us.
        self._priority = "JOURNAL_STREAM" in os.environ and form == "text"
        self.lost = 0
        """Lines that nobody took."""

    def error(self, message: str, **fields: object) -> None:
        """Say that something the operator asked for is not done."""
        self.write(Level.ERROR, message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Say what will surprise the operator."""
        self.write(Level.WARNING, message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Say what changed."""
        self.write(Level.INFO, message, fields)

    def debug(self, message: str, **fields: object) -> None:
        """Say what only a maintainer wants to know."""
        self.write(Level.DEBUG, message, fields)

    def write(self, level: Level, message: str, fields: dict[str, object]) -> None:
        """Write one line, or count it as lost."""
        if level > self._least:
            return
        text = self._render(Line(time.time(), level, message, fields))
        prefix = f"<{level:d}>" if self._priority else ""
        # One line, and none that commands the terminal it is read on.
        data = (prefix + printable(text)).encode()[:_LONGEST_LINE] + b"\n"
        try:
            ready = self._poll.poll(0)
            if ready and ready[0][1] & select.POLLOUT:
                os.write(self._fd, data)
                return
        except OSError:
            pass
        self.lost += 1
