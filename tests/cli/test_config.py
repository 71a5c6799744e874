from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from nfq_guard.adapters.host import node_name
from nfq_guard.cli.main import Exit, cli
from nfq_guard.daemon.settings import KEYS

if TYPE_CHECKING:
    import pytest


def test_json_has_every_setting_with_its_value_and_where_it_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NFQ_GUARD_FAIL_MODE", "open")
    result = CliRunner().invoke(cli, ["config", "--queue", "5", "--format", "json"])
    shown = json.loads(result.output)

    assert list(shown) == [key.name for key in KEYS]
    assert shown["fail_mode"] == {"value": "open", "origin": "environment NFQ_GUARD_FAIL_MODE"}
    assert shown["queue"] == {"value": 5, "origin": "flag --queue"}
    assert shown["packet_mark_mask"] == {"value": "0x3000", "origin": "default"}


def test_text_is_a_line_for_each_setting() -> None:
    result = CliRunner().invoke(cli, ["config", "--rules", "a", "--rules", "b", "--keep-rules"])
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}

    assert rows["rules"] == ["a,", "b", "flag", "--rules"]
    assert all(line == line.rstrip() for line in result.output.splitlines())
    assert rows["keep_rules"] == ["true", "flag", "--keep-rules"]


def test_no_value_and_no_place_is_cut_however_long() -> None:
    folder = "/srv/" + "long" * 100
    result = CliRunner().invoke(cli, ["config", "--state", folder])

    assert f"{folder}  flag --state" in result.output


def test_the_node_is_the_one_that_run_would_be() -> None:
    text = CliRunner().invoke(cli, ["config"]).output
    shown = json.loads(CliRunner().invoke(cli, ["config", "--format", "json"]).output)
    given = json.loads(CliRunner().invoke(cli, ["config", "--node", "x", "--format", "json"]).output)

    assert shown["node"] == {"value": node_name(), "origin": "default, the host name"}
    assert f" {node_name()} " in text
    assert given["node"] == {"value": "x", "origin": "flag --node"}


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NFQ_GUARD_FAILMODE", "open")
    result = CliRunner().invoke(cli, ["config"])

    assert result.exit_code == Exit.NO
    assert "there is no setting 'NFQ_GUARD_FAILMODE'; did you mean fail_mode?" in str(result.exception)


def test_values_are_neither_markup_nor_commands_to_the_terminal() -> None:
    result = CliRunner().invoke(cli, ["config", "--node", "[red]x[/]\x1b]0;pwn\a"])

    assert r"[red]x[/]\u001b]0;pwn\u0007" in result.output
