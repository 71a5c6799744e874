from __future__ import annotations

import pytest
from click.testing import CliRunner
from commands import completed

from nfq_guard.cli.main import COMMANDS, cli


@pytest.mark.parametrize(
    ("shell", "word"),
    [("bash", "complete -o"), ("zsh", "#compdef nfq-guard"), ("fish", "complete --no-files")],
)
def test_the_script_is_for_its_shell(shell: str, word: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])

    assert result.exit_code == 0
    assert word in result.output


def test_an_unknown_shell_is_wrong_usage() -> None:
    assert CliRunner().invoke(cli, ["completion", "tcsh"]).exit_code == 2


def test_the_completion_it_asks_for_names_the_commands() -> None:
    assert {value for _, value in completed("")} == set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("--fail-mode", ""), ["closed", "open"]),
        (("--fail-mode", "o"), ["open"]),
        (("--established-flows", ""), ["reevaluate", "keep"]),
        (("--log-level", ""), ["debug", "info", "warning", "error"]),
        (("--keep-rules", "t"), ["true"]),
        (("--queue", ""), []),
    ],
)
def test_the_values_of_a_setting_are_offered(words: tuple[str, str], offered: list[str]) -> None:
    assert [value for _, value in completed("run", *words)] == offered


@pytest.mark.parametrize(("flag", "kind"), [("--rules", "file"), ("--control", "file"), ("--state", "dir")])
def test_a_path_is_left_to_the_shell(flag: str, kind: str) -> None:
    assert completed("run", flag, "/e") == [(kind, "/e")]
