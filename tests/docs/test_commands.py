"""The examples of docs/commands.md do what they show."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_prints_what_the_page_shows(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "commands.md").read_text(encoding="utf-8")
    shutil.copytree(root / "rules", tmp_path / "rules", ignore=shutil.ignore_patterns("expect"))
    environment = {**os.environ, "NFQ_GUARD_RULES": "rules", "PYTHONPATH": str(root)}
    examples = [example for block in BLOCK.findall(page) for example in EXAMPLE.findall(block)]

    assert len(examples) > 10
    for command, shown in examples:
        done = subprocess.run(
            ["bash", "-c", f'nfq-guard() {{ "{sys.executable}" -m nfq_guard "$@"; }}; {command}'],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (command, done.stdout) == (command, shown)
