"""The examples of docs/explain.md print what they show, and its table has every outcome."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pages
import pytest

from nfq_guard.explain.steps import Outcome

if TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.ROOT / "docs" / "explain.md"
SESSIONS = pages.blocks(PAGE, "console")


@pytest.mark.parametrize("block", SESSIONS, ids=lambda block: block.text.splitlines()[0])
def test_the_examples_are_answered_as_shown(tmp_path: Path, block: pages.Block) -> None:
    shutil.copytree(pages.ROOT / "rules", tmp_path / "rules")
    for each in SESSIONS:
        for command, output in pages.steps(each.text):
            if command.startswith("cat "):
                (tmp_path / command.split()[1]).write_text(output)

    with pages.Shell(tmp_path) as shell:
        pages.follow(shell, block.text)


def test_every_outcome_is_explained() -> None:
    rows = pages.rows(pages.section(PAGE, "Why was it dropped?"))

    assert [pages.plain(row[0]) for row in rows][: len(Outcome)] == [str(each) for each in Outcome]
