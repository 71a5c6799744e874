"""A folder of rules for the tests of resource commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Rules

from nfq_guard.daemon.settings import CONFIG_VARIABLE, KEYS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rules:
    """Return an empty folder `rules` in the current folder, and no setting from outside."""
    for variable in (CONFIG_VARIABLE, *(key.variable for key in KEYS)):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return Rules(tmp_path)
