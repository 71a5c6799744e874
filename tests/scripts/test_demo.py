"""The demo itself: what it says is true, it notices when it is not, and it leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from netns import until

ROOT = Path(__file__).resolve().parents[2]

REAL_ROOT = Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", "4294967295"]

pytestmark = pytest.mark.traffic


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of what the demo is made of, to be changed at will."""
    for folder in ("scripts", "rules"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def start(checkout: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(checkout / "scripts" / "lib" / "demo.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = child.communicate(timeout=100)
    return child.returncode, output


def left_behind() -> set[str]:
    """Return the namespaces and folders of demos that are there now."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in listed.splitlines()}
    spaces = {name for name in names if name.startswith(("guarded-", "others-"))}
    return spaces | {path.name for path in Path(tempfile.gettempdir()).glob("nfq-guard-demo-*")}


def test_every_attempt_of_the_shipped_rules_goes_as_expected_and_nothing_is_left_behind() -> None:
    before = left_behind()
    code, output = finish(start(ROOT))

    assert code == 0, output
    assert "Everything as expected" in output
    assert "nfq_guard_policy_verdicts_total" in output
    rows = [line for line in output.splitlines() if line.startswith((" ✓", " ✗", "   attempt"))]
    assert len(rows) > 20
    assert max(map(len, rows)) <= 100
    assert left_behind() <= before


def test_a_difference_is_said_and_makes_the_exit_code(checkout: Path) -> None:
    sheet = checkout / "rules" / "expect" / "worker.jsonl"
    head, *rows = sheet.read_text(encoding="utf-8").splitlines()
    kubelet = next(row for row in rows if json.loads(row)["says"] == "the kubelet's port")
    wrong = kubelet.replace('"allow"', '"deny"')
    sheet.write_text(f"{head}\n{wrong}\n", encoding="utf-8")
    code, output = finish(start(checkout))

    assert code == 1
    assert "differs: the traffic" in output
    assert "differences from what was expected" in output


def test_one_that_is_interrupted_cleans_up(checkout: Path) -> None:
    before = left_behind()
    child = start(checkout)
    until(lambda: left_behind() - before, "the demo has begun")
    child.send_signal(signal.SIGTERM)
    code, _ = finish(child)

    assert code == 128 + signal.SIGTERM
    assert left_behind() <= before


@pytest.mark.skipif(not REAL_ROOT, reason="in a user namespace --keep stays in the foreground")
def test_one_that_is_kept_goes_on_until_it_is_stopped(checkout: Path) -> None:
    before = left_behind()
    code, output = finish(start(checkout, "--keep"))
    kept = left_behind() - before
    try:
        assert code == 0, output
        assert len(kept) == 3
        status = next(line for line in output.splitlines() if " status --control " in line)
        asked = subprocess.run(status.split(), capture_output=True, text=True, check=False)
        assert "enforcing generation" in asked.stdout
        assert output.index("Everything as expected") < output.index("Left running. Try:")
    finally:
        code, stopped = finish(start(checkout, "--stop"))

    assert code == 0
    assert all(what in stopped for what in kept)
    assert "processes" in stopped
    assert left_behind() <= before


def test_the_next_one_removes_what_a_killed_one_left(checkout: Path) -> None:
    before = left_behind()
    child = start(checkout)
    until(lambda: len(left_behind() - before) == 3, "the demo has begun")
    child.kill()
    finish(child)
    assert left_behind() - before

    finish(start(checkout, "--stop"))  # stops kept ones
    code, _ = finish(start(checkout))

    assert code == 0
    assert left_behind() <= before
