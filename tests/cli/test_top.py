from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

from click.testing import CliRunner
from commands import completed

from nfq_guard.cli.main import Exit, cli

if TYPE_CHECKING:
    from pathlib import Path

    from told import Telling

PATIENCE = 30.0


class Terminal:
    """The command on a terminal of its own, 80x24."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nfq_guard", "top", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.output = b""

    def until(self, words: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while words not in self.output:
            assert time.monotonic() < deadline, self.output[-3000:]
            self._read()

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 0.1)
        data = b""
        with contextlib.suppress(OSError):  # of a terminal that nobody has open any more
            data = os.read(self._ours, 65536) if ready else b""
        self.output += data
        return bool(data)

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def end(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read()
        while self._read():
            pass
        os.close(self._ours)
        self.process.kill()
        return self.process.wait(PATIENCE)


def test_it_fills_a_terminal_until_q_is_pressed(telling: Telling, tmp_path: Path) -> None:
    terminal = Terminal("--control", telling.path, "--rules", str(tmp_path))
    terminal.until(b"READY")
    terminal.press(b"q")

    assert terminal.end() == Exit.GOOD
    assert b"\x1b[?1049h" in terminal.output
    assert b"\x1b[?1049l" in terminal.output
    assert next(wish["verdicts"] for wish in telling.wishes()) == ["deny"]


def test_a_signal_ends_it_and_leaves_the_terminal_as_it_was(telling: Telling, tmp_path: Path) -> None:
    terminal = Terminal("--control", telling.path, "--rules", str(tmp_path), "allow or deny", NO_COLOR="1")
    terminal.until(b"READY")
    terminal.process.send_signal(signal.SIGTERM)

    assert terminal.end() == Exit.GOOD
    assert b"\x1b[?1049l" in terminal.output
    assert b"\x1b[31m" not in terminal.output
    assert telling.wishes()[0]["verdicts"] == ["allow", "deny"]


def test_no_guard_is_a_failure_and_draws_nothing(tmp_path: Path) -> None:
    terminal = Terminal("--control", str(tmp_path / "none.sock"), "--rules", str(tmp_path))

    assert terminal.end() == Exit.FAILED
    assert b"no nfq-guard answers at" in terminal.output
    assert b"\x1b[?1049h" not in terminal.output


def test_a_guard_that_refuses_is_a_failure(telling: Telling, tmp_path: Path) -> None:
    telling.refusal = "there are 64 watchers already"
    terminal = Terminal("--control", telling.path, "--rules", str(tmp_path))

    assert terminal.end() == Exit.FAILED
    assert b"there are 64 watchers already" in terminal.output


def test_without_a_terminal_it_names_the_command_for_pipes() -> None:
    result = CliRunner().invoke(cli, ["top"])

    assert result.exit_code == Exit.USAGE
    assert "nfq-guard watch" in result.stderr


def test_a_filter_that_cannot_be_read_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["top", "dprot 4"])

    assert result.exit_code == Exit.USAGE
    assert "filter, column 1: found `dprot`; did you mean dport?" in result.stderr


def test_fields_and_words_of_a_filter_are_offered() -> None:
    assert {value for _, value in completed("top", "dp")} == {"dport"}


def test_no_other_command_pays_for_the_screen() -> None:
    code = "import sys; from nfq_guard.cli.main import cli; cli(['--help'], standalone_mode=False); print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"
