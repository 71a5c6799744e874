"""The table in docs/kernel.md is the table that is rendered."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pages
import pytest

if TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.ROOT / "docs" / "kernel.md"
FACTS = '{"node": "worker-1", "interfaces": {"eth0": ["192.0.2.10"]}}'


@pytest.fixture
def rendered(tmp_path: Path) -> str:
    """Return the table of the shipped rules."""
    shutil.copytree(pages.ROOT / "rules", tmp_path / "rules")
    (tmp_path / "host.json").write_text(FACTS)
    with pages.Shell(tmp_path) as shell:
        return shell.run("nfq-guard render --rules rules --facts host.json")


def test_every_part_that_is_shown_is_rendered_so(rendered: str) -> None:
    for block in pages.blocks(PAGE, "nft"):
        for part in block.text.strip().split("\n\n"):
            assert "".join(f"\t{line}\n" for line in part.splitlines()) in rendered


def test_every_chain_of_a_stage_that_is_shown_is_one_that_a_kernel_has_loaded() -> None:
    goldens = [path.read_text() for path in (pages.ROOT / "tests" / "golden").glob("*.nft")]
    shown = [block.text.strip() for block in pages.blocks(PAGE, "text")]

    assert shown
    for part in shown:
        lines = "".join(f"\t{line}\n" for line in part.splitlines())
        assert any(lines in golden for golden in goldens)


def test_every_part_that_is_rendered_is_spoken_of(rendered: str) -> None:
    text = pages.read(PAGE)
    names = re.findall(r"^\t(?:chain|set) (\w+) {", rendered, re.MULTILINE)
    counters = re.findall(r"^\tcounter (\w+) {", rendered, re.MULTILINE)

    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
    assert [name for name in counters if f"`{name}`" not in text] == []
