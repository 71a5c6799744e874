from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from nfq_guard.daemon.logs import Level, Line, Log, as_json, as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = Line(
    1_700_000_000.25, Level.INFO, "policy in force", {"generation": 3, "file": "a b.yaml", "ok": True}
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_text_quotes_only_what_needs_it() -> None:
    assert as_text(LINE) == (
        '2023-11-14T22:13:20.250Z info policy in force generation=3 file="a b.yaml" ok=true'
    )


def test_json_keeps_types() -> None:
    assert json.loads(as_json(LINE)) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "message": "policy in force",
        "generation": 3,
        "file": "a b.yaml",
        "ok": True,
    }


def test_a_value_cannot_forge_a_second_line(pipe: tuple[int, int]) -> None:
    Log(fd=pipe[1]).error("rules", problem="x\n2026 info all is well")

    assert os.read(pipe[0], 4096).count(b"\n") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_value_cannot_command_the_terminal_that_shows_the_log(pipe: tuple[int, int], form: str) -> None:
    Log(form, fd=pipe[1]).error("rules", name="\x1b]0;pwn\a\x9b31m\x7f\u202e")

    line = os.read(pipe[0], 4096).decode().rstrip("\n")
    assert line.isprintable()
    assert r"\u001b]0;pwn\u0007\u009b31m\u007f\u202e" in line


@pytest.mark.parametrize(("level", "expected"), [("error", 1), ("warning", 2), ("info", 3), ("debug", 4)])
def test_only_lines_of_the_least_severity_or_worse_are_written(
    pipe: tuple[int, int], level: str, expected: int
) -> None:
    log = Log(level=level, fd=pipe[1])

    for say in (log.error, log.warning, log.info, log.debug):
        say("x")

    assert os.read(pipe[0], 65536).count(b"\n") == expected


def test_a_reader_that_sleeps_costs_lines_and_never_blocks(pipe: tuple[int, int]) -> None:
    log = Log(fd=pipe[1])

    for _ in range(100):
        log.info("x", text="y" * 3000)

    assert log.lost > 0


def test_a_reader_that_has_gone_costs_lines_and_never_raises() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = Log(fd=writing)

    log.info("x")

    os.close(writing)
    assert log.lost == 1


def test_the_journal_gets_a_severity(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")

    Log(fd=pipe[1]).error("x")

    assert os.read(pipe[0], 4096).startswith(b"<3>")
