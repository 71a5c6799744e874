from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from nfq_guard.cli.settings import resolve_settings, settings_options
from nfq_guard.daemon.settings import KEYS
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key.variable, raising=False)
    monkeypatch.delenv("NFQ_GUARD_CONFIG", raising=False)


def flags_of(*words: str, only: tuple[str, ...] = ()) -> dict[str, object]:
    taken: dict[str, object] = {}

    @click.command()
    @settings_options(*only)
    def command(**given: object) -> None:
        taken.update(given)

    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    return taken


def test_every_setting_has_a_flag() -> None:
    assert flags_of().keys() == {"config", *(key.name for key in KEYS)}


def test_a_command_may_take_some_only() -> None:
    assert flags_of("--control", "/x", only=("control",)) == {"config": None, "control": "/x"}


def test_a_yes_or_no_needs_no_value() -> None:
    assert flags_of("--keep-rules")["keep_rules"] == "true"
    assert flags_of("--keep-rules", "no")["keep_rules"] == "no"


def test_rules_may_be_given_several_times() -> None:
    settings = resolve_settings(None, flags_of("--rules", "a", "--rules", "b")).settings

    assert settings.rules == ("a", "b")


def test_flags_win_over_variables_and_variables_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('node = "file"\nfail_mode = "open"\nqueue = 7\n', encoding="utf-8")
    monkeypatch.setenv("NFQ_GUARD_NODE", "variable")
    monkeypatch.setenv("NFQ_GUARD_FAIL_MODE", "closed")

    resolved = resolve_settings(str(file), flags_of("--node", "flag"))

    assert (resolved.settings.node, resolved.settings.fail_mode, resolved.settings.queue) == (
        "flag",
        "closed",
        7,
    )
    assert str(resolved.origins["queue"]).startswith(f"file {file}")


def test_the_file_may_be_named_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text('node = "file"\n', encoding="utf-8")
    monkeypatch.setenv("NFQ_GUARD_CONFIG", str(file))

    assert resolve_settings(None, {}).settings.node == "file"


def test_a_bad_flag_is_wrong_usage() -> None:
    with pytest.raises(click.UsageError) as refused:
        resolve_settings(None, {"fail_mode": "ajar"})

    assert "--fail-mode: expected closed or open, found 'ajar'" in str(refused.value)


def test_a_bad_file_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('\nfail_mode = "ajar"\n', encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        resolve_settings(str(file), {})

    assert f"{file}:2:1" in str(refused.value)


def test_a_file_that_is_no_text_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe")

    with pytest.raises(click.UsageError):
        resolve_settings(str(file), {})
