"""Runs the system's own tools: argument lists, no shell, bounded in time.

Owns the one error that says what a tool or the kernel answered. Must never build text
that a shell reads.
"""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

TIMEOUT = 30.0
"""Seconds a tool may take. nft needs 1.5 s for 100,000 set elements; a busy machine, more."""

ABSENT = "No such file or directory"
"""The tools' word for what is not there."""
_LONGEST_REPORT = 2000
"""Characters of a tool's complaint that are kept: nft repeats the offending text."""


class KernelError(Exception):
    """The kernel, or the tool that speaks for us, refused; the message has its own words."""


class Output(NamedTuple):
    """What a finished tool left: exit status, standard output and error."""

    status: int
    text: str
    complaint: str


class Running:
    """A tool at work beside us."""

    def __init__(self, *argv: str, stdin: str = "") -> None:
        """Start it; KernelError if that cannot be done."""
        self._name = argv[0]
        self._stdin = stdin
        environment = {
            **os.environ,
            "LC_ALL": "C",
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        }
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list, no shell; callers pass constants and checked numbers
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        except OSError as error:
            raise KernelError(f"{argv[0]} cannot be run: {error.strerror or error}") from error

    def finish(self, timeout: float = TIMEOUT) -> Output:
        """Wait for its end, whatever its exit status; KernelError if that does not come in time."""
        try:
            text, complaint = self._process.communicate(self._stdin, timeout)
        except subprocess.TimeoutExpired as error:
            self.end()
            raise KernelError(f"{self._name} did not finish within {timeout:g} s") from error
        return Output(self._process.returncode, text, complaint.strip()[:_LONGEST_REPORT])

    def end(self) -> None:
        """End it if it has not ended; nobody wants to know any more."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


def run(*argv: str, stdin: str = "", timeout: float = TIMEOUT) -> Output:
    """Run a tool to its end, whatever its exit status.

    KernelError if it cannot be started or does not end in time (it is killed then).
    """
    return Running(*argv, stdin=stdin).finish(timeout)


def expect(*argv: str, stdin: str = "", timeout: float = TIMEOUT) -> str:
    """Run a tool that has to succeed and return its output; KernelError with its words if not."""
    done = run(*argv, stdin=stdin, timeout=timeout)
    if done.status != 0:
        raise KernelError(f"{' '.join(argv)}: {done.complaint or f'exit status {done.status}'}")
    return done.text
