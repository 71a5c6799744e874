"""The contracts in docs/decide.md are those of the commands."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pages
import pytest

from nfq_guard.cli import flows
from nfq_guard.model.decision import Decision, Reason, Verdict

if TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.ROOT / "docs" / "decide.md"
SESSIONS = pages.blocks(PAGE, "console")


def lay_files(folder: Path) -> None:
    """Write the files that sessions show with `cat`."""
    for block in SESSIONS:
        for command, output in pages.steps(block.text):
            words = command.split()
            if words[0] == "cat":
                (folder / words[1]).write_text(output)


@pytest.mark.parametrize("block", SESSIONS, ids=lambda block: block.text.splitlines()[0])
def test_the_examples_are_answered_as_shown(tmp_path: Path, block: pages.Block) -> None:
    shutil.copytree(pages.ROOT / "rules", tmp_path / "rules")
    lay_files(tmp_path)

    with pages.Shell(tmp_path) as shell:
        pages.follow(shell, block.text)


def test_every_reason_is_explained() -> None:
    explained = [pages.plain(row[0]) for row in pages.rows(pages.section(PAGE, "Reasons"))]

    assert sorted(explained) == sorted(Reason)


def test_every_key_of_a_flow_is_explained() -> None:
    table = pages.rows(pages.section(PAGE, "A flow"))
    explained = {key.strip() for row in table for key in pages.plain(row[0]).split(",")}

    assert explained == flows.KEYS


def test_every_key_of_a_verdict_is_explained_in_order() -> None:
    table = pages.rows(pages.section(PAGE, "A verdict"))
    answer = flows.verdict_object(Decision(Verdict.ALLOW, Reason.UNMANAGED))

    assert [pages.plain(row[0]) for row in table] == list(answer)
