from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from nfq_guard import __version__
from nfq_guard.cli.main import COMMANDS, Exit, cli, main
from nfq_guard.model.problem import ConfigError, Position, Problem

if TYPE_CHECKING:
    from pathlib import Path

GUARD = (sys.executable, "-m", "nfq_guard")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_examples(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"])

    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"nfq-guard {command}" in result.output


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_terminal_of_80_columns(command: str) -> None:
    result = CliRunner().invoke(cli, [*command.split(), "--help"], terminal_width=80)

    assert max(map(len, result.output.splitlines())) <= 80


def test_the_version_may_be_asked_for_by_a_flag() -> None:
    result = CliRunner().invoke(cli, ["--version"])

    assert (result.exit_code, result.output) == (0, f"nfq-guard {__version__}\n")


def test_help_names_every_command_in_order() -> None:
    lines = CliRunner().invoke(cli, ["--help"]).output.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in COMMANDS]

    assert tuple(listed) == COMMANDS


@pytest.mark.parametrize(("word", "near"), [("stauts", "status"), ("aply", "apply")])
def test_a_misspelt_command_is_told_with_the_nearest(word: str, near: str) -> None:
    result = CliRunner().invoke(cli, [word])

    assert result.exit_code == Exit.USAGE
    assert result.stderr.endswith(f"No such command '{word}'. Did you mean {near}?\n")


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(cli, ["explode"])

    assert result.exit_code == Exit.USAGE


def test_problems_of_the_input_are_printed_and_the_answer_is_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise ConfigError([Problem(Position("a.yaml", 3, 7), "bad-selector", "it is not one")])

    monkeypatch.setattr(cli, "main", refuse)

    with pytest.raises(SystemExit) as left:
        main([])

    assert left.value.code == Exit.NO
    assert capsys.readouterr().err == "a.yaml:3:7: error: it is not one [bad-selector]\n"


def test_what_the_system_refuses_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(1, "Operation not permitted", "the table")

    monkeypatch.setattr(cli, "main", refuse)

    with pytest.raises(SystemExit) as left:
        main([])

    assert left.value.code == Exit.FAILED
    assert "Operation not permitted" in capsys.readouterr().err


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"selector": "has(a)"}\n' * 20_000, encoding="utf-8")
    with questions.open("rb") as stream:
        child = subprocess.Popen(
            [*GUARD, "selector"], stdin=stream, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr is not None
        complaints = child.stderr.read()
        child.stderr.close()

    assert child.wait(timeout=30) == Exit.NO
    assert complaints == b""


def test_the_module_is_the_command() -> None:
    done = subprocess.run([*GUARD, "version"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("nfq-guard ")


def test_problems_on_stderr_cannot_command_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text('kind: Tier\nmetadata: {name: "\\e]0;pwn\\a"}\n', encoding="utf-8")

    with pytest.raises(SystemExit):
        main(["render", "--rules", str(path)])

    told = capfd.readouterr().err
    assert r"\u001b]0;pwn\u0007" in told
    assert all(line.isprintable() for line in told.splitlines())
