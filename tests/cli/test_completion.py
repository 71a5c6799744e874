from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

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
    asked = {"_NFQ_GUARD_COMPLETE": "bash_complete", "COMP_WORDS": "nfq-guard ", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "nfq_guard"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )

    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == set(COMMANDS)
