"""A folder of rules for the tests of resource commands, and a guard that tells for those of `top`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Rules
from events import ALLOW_SSH, END_OF_TIER
from statuses import status
from told import Telling

from nfq_guard.daemon.settings import CONFIG_VARIABLE, KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rules:
    """Return an empty folder `rules` in the current folder, and no setting from outside."""
    for variable in (CONFIG_VARIABLE, *(key.variable for key in KEYS)):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return Rules(tmp_path)


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Telling]:
    """Return what answers as a guard with two rules does; nothing is recorded yet."""
    made = Telling(str(tmp_path / "control.sock"))
    made.legends = {3: (ALLOW_SSH, END_OF_TIER)}
    made.status = status(allow=10)
    with made:
        yield made
    made.close()
