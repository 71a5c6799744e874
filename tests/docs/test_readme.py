"""What the README shows is what happens."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pages
import pytest
from netns import NETNS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = pages.ROOT / "README.md"
OFFLINE, LIVE = "Ask before you load", "Watch it work"
CURL = """#!/usr/bin/env python3
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[-1], timeout=5).read().decode(), end="")
"""
"""For machines without it: the tour needs no more of it than this."""
TOUR = ("tour-host", "tour-peer")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a copy of the shipped rules, as the tour begins."""
    shutil.copytree(pages.ROOT / "rules", tmp_path / "rules")
    return tmp_path


def test_asking_before_loading_prints_what_it_says(folder: Path) -> None:
    with pages.Shell(folder) as shell:
        for block in pages.blocks(README, "console", section=OFFLINE):
            pages.follow(shell, block.text)


@pytest.fixture
def renamed() -> Iterator[dict[str, str]]:
    """Yield names for the tour's namespaces that nobody else uses, and remove what has them afterwards."""
    names = {name: f"{name}-{os.getpid()}" for name in TOUR}
    yield names
    with pages.Shell(pages.ROOT) as shell:
        for name in names.values():
            if (NETNS_FOLDER / name).exists():
                shell.run(f"kill -9 $(ip netns pids {name}); ip netns delete {name}")


@pytest.mark.netns
@pytest.mark.traffic
def test_the_tour_goes_as_it_says(folder: Path, renamed: dict[str, str]) -> None:
    if shutil.which("curl") is None:
        tools = folder / "tools"
        tools.mkdir()
        (tools / "curl").write_text(CURL)
        (tools / "curl").chmod(0o755)
    with pages.Shell(folder, 'PATH="$PWD/tools:$PATH"') as shell:
        for block in pages.blocks(README, "sh", "console", section=LIVE):
            text = block.text
            for name, other in renamed.items():
                text = text.replace(name, other)
            text = text.replace("/tmp/tour", "rules")  # noqa: S108 - the README's folder
            if block.language == "sh":
                assert shell.run(text) == ""
            else:
                pages.follow(shell, text, patience=20)
    assert not any((NETNS_FOLDER / name).exists() for name in renamed.values())
