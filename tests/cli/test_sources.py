from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from policy import WEB_RULES

from nfq_guard.cli.main import CommandFailedError
from nfq_guard.cli.sources import Asked, loaded, source_of
from nfq_guard.daemon.settings import Settings
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(rules=("/of/settings",), node="of-settings", allow_neighbor_discovery=True)
TOLD = {"rules": ["/of/guard"], "node": "of-guard", "allow_neighbor_discovery": False}


def asked(*rules: str, settings: Settings = SETTINGS, **flags: object) -> Asked:
    return Asked(rules, None, {"node": None, "allow_neighbor_discovery": None, **flags}, settings)


def shown(one: Asked, told: object) -> tuple[tuple[str, ...], str, bool]:
    rules, _, settings = source_of(one, told)
    return rules, settings.node, settings.allow_neighbor_discovery


def test_the_guards_word_comes_ahead_of_settings() -> None:
    assert shown(asked(), TOLD) == (("/of/guard",), "of-guard", False)


def test_the_command_line_comes_ahead_of_the_guards_word() -> None:
    assert shown(asked("/mine"), TOLD) == (("/mine",), "of-guard", False)
    assert shown(asked(node="of-settings"), TOLD) == (("/of/guard",), "of-settings", False)
    assert shown(asked(allow_neighbor_discovery="true"), TOLD) == (("/of/guard",), "of-guard", True)


@pytest.mark.parametrize(
    "told",
    [
        None,
        7,
        {},
        {"rules": "/x", "node": 1, "allow_neighbor_discovery": "no"},
        {"rules": [1]},
        {"rules": []},
    ],
)
def test_a_guard_that_says_nothing_of_use_leaves_it_to_settings(told: object) -> None:
    assert shown(asked(), told) == (("/of/settings",), "of-settings", True)


def test_the_guards_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(WEB_RULES, encoding="utf-8")

    loaded(asked(), {**TOLD, "rules": [str(path)]})


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        (TOLD, "/of/guard: there is nothing here, where the guard has rules; say with --rules PATH"),
        (None, "/of/settings: there is nothing here, where the settings here have rules; say with --rules"),
    ],
)
def test_where_there_are_no_files_it_is_said_how_to_name_others(told: Any, advice: str) -> None:
    with pytest.raises(CommandFailedError, match=advice):
        loaded(asked(), told)


def test_bad_files_are_told_by_their_problems(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("kind: Nothing", encoding="utf-8")
    with pytest.raises(ConfigError):
        loaded(asked(), {**TOLD, "rules": [str(path)]})
    with pytest.raises(ConfigError):
        loaded(asked("/none"), TOLD)
