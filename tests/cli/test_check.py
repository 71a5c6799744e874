from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from nfq_guard.cli.check import Excerpts
from nfq_guard.cli.main import Exit, cli
from nfq_guard.model.problem import Position, Problem

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: good}
spec: {nets: [10.0.0.0/8]}
"""
BAD = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: bad
spec:
  selector: role = 'web'
  colour: blue
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path


def test_good_files_are_good(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["check", "good.yaml"])

    assert (result.exit_code, result.output) == (Exit.GOOD, "no problem in 1 file\n")


@pytest.mark.parametrize(
    ("words", "setting"),
    [(["--rules", "good.yaml"], ""), ([], "good.yaml"), (["good.yaml"], "bad.yaml")],
    ids=["of the flag", "of a setting", "of a path, whatever the setting"],
)
def test_the_rules_in_force_are_checked_unless_paths_are_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], setting: str
) -> None:
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")
    monkeypatch.setenv("NFQ_GUARD_RULES", setting or "bad.yaml")
    result = CliRunner().invoke(cli, ["check", *words])

    assert (result.exit_code, result.output) == (Exit.GOOD, "no problem in 1 file\n")


def test_rules_of_a_setting_that_are_not_there_are_named(folder: Path) -> None:
    (folder / "config.toml").write_text('rules = "nowhere"', encoding="utf-8")
    result = CliRunner().invoke(cli, ["check", "--config", "config.toml"])

    assert result.exit_code == Exit.NO
    assert result.output.startswith("nowhere: error: ")


def test_paths_and_rules_together_are_wrong_usage(folder: Path) -> None:
    assert CliRunner().invoke(cli, ["check", ".", "--rules", "."]).exit_code == Exit.USAGE


def test_good_files_as_json_are_an_empty_list(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["check", ".", "--format", "json"])

    assert (result.exit_code, json.loads(result.output)) == (Exit.GOOD, [])


def test_every_problem_is_an_object_with_its_place(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")
    result = CliRunner().invoke(cli, ["check", "bad.yaml", "good.yaml", "--format", "json"])
    problems = json.loads(result.output)

    assert result.exit_code == Exit.NO
    assert [(problem["file"], problem["line"], problem["field"]) for problem in problems] == [
        ("bad.yaml", 6, "spec.selector"),
        ("bad.yaml", 7, "spec.colour"),
    ]
    assert all(
        problem.keys() == {"file", "line", "column", "kind", "name", "field", "code", "message", "severity"}
        for problem in problems
    )
    assert {(problem["kind"], problem["name"], problem["severity"]) for problem in problems} == {
        ("GlobalNetworkPolicy", "bad", "error")
    }


def test_text_reads_like_a_compiler_with_a_caret_below_the_line(folder: Path) -> None:
    (folder / "bad.yaml").write_text(BAD, encoding="utf-8")
    result = CliRunner().invoke(cli, ["check", "bad.yaml"])
    headline, excerpt, caret = result.output.splitlines()[:3]

    assert result.exit_code == Exit.NO
    assert headline.startswith("bad.yaml:6:")
    assert ": error: GlobalNetworkPolicy(bad) spec.selector: " in headline
    assert excerpt == "    6 |   selector: role = 'web'"
    assert caret == "      | " + " " * (int(headline.split(":")[2]) - 1) + "^"
    assert result.output.splitlines()[-1] == "2 errors in 1 file"


def test_what_a_file_says_cannot_command_the_terminal(folder: Path) -> None:
    name = '"\\e]0;pwn\\a\\x9b31m"'
    (folder / "pwn\x1b[2J.yaml").write_text(
        f"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: {name}, {name}: 1}}\n",
        encoding="utf-8",
    )
    result = CliRunner().invoke(cli, ["check", "."])

    assert result.exit_code == Exit.NO
    assert all(line.isprintable() for line in result.output.splitlines())
    assert (
        r"pwn\u001b[2J.yaml:3:18: error: Tier(\u001b]0;pwn\u0007\u009b31m) metadata.name: " in result.output
    )


def test_a_path_that_is_not_there_is_wrong_usage(folder: Path) -> None:
    assert CliRunner().invoke(cli, ["check", "none.yaml"]).exit_code == Exit.USAGE


def test_rubbish_is_a_problem_not_a_crash(folder: Path) -> None:
    (folder / "rubbish.yaml").write_bytes(bytes(range(256)) * 10)
    result = CliRunner().invoke(cli, ["check", "rubbish.yaml"])

    assert result.exit_code == Exit.NO
    assert result.output.startswith("rubbish.yaml")


class TestExcerpts:
    def shown(self, data: bytes, line: int, column: int) -> list[str]:
        problem = Problem(Position("a", line, column), "code", "message")
        return list(Excerpts({"a": data}).around(problem))

    def test_a_problem_of_the_whole_file_shows_no_line(self) -> None:
        assert self.shown(b"text", 0, 0) == []

    def test_a_line_past_the_end_shows_nothing(self) -> None:
        assert self.shown(b"text", 9, 1) == []

    def test_a_tab_counts_as_the_one_column_that_it_is(self) -> None:
        assert self.shown(b"\tx: 1", 1, 2) == ["    1 |  x: 1", "      |  ^"]

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        assert "\x1b" not in "".join(self.shown(b"a: \x1b[31m", 1, 4))

    def test_a_very_long_line_is_shown_around_its_column(self) -> None:
        text, caret = self.shown(b"x" * 50_000 + b"!" + b"y" * 50_000, 1, 50_001)

        assert len(text) < 200
        assert text[caret.index("^")] == "!"

    def test_a_caret_past_the_end_of_a_line_stands_behind_it(self) -> None:
        assert self.shown(b"ab", 1, 99) == ["    1 | ab", "      |   ^"]
