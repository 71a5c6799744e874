"""Who writes is known by the kernel, whatever was heard of it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from nfq_guard.adapters.writers import may_be_written

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_written_while_somebody_has_it_open_for_writing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"

    for mode in ("w", "a", "r+"):
        with file.open(mode):
            assert may_be_written(str(file))
        with file.open():
            assert not may_be_written(str(file))


def test_other_processes_count(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    program = f"import sys; file = open({str(file)!r}, 'w'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        assert may_be_written(str(file))
        child.communicate()

    assert not may_be_written(str(file))


def test_what_is_gone_is_written_by_nobody_and_what_cannot_be_asked_about_may_be(tmp_path: Path) -> None:
    assert not may_be_written(str(tmp_path / "gone"))
    assert may_be_written(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    assert may_be_written(str(tmp_path / "pipe"))
