from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from netns import until

from nfq_guard.adapters.command import KernelError, Running, expect, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tool_gets_its_input_and_gives_its_output() -> None:
    assert run("cat", stdin="text\n") == (0, "text\n", "")


def test_an_exit_status_is_reported_not_raised() -> None:
    done = run("sh", "-c", "echo why >&2; exit 3")
    assert (done.status, done.complaint) == (3, "why")


def test_expect_raises_with_the_tools_own_words() -> None:
    with pytest.raises(KernelError, match="sh -c echo why >&2; exit 3: why"):
        expect("sh", "-c", "echo why >&2; exit 3")


def test_expect_raises_with_the_exit_status_of_a_silent_tool() -> None:
    with pytest.raises(KernelError, match="false: exit status 1"):
        expect("false")


def test_expect_returns_the_output() -> None:
    assert expect("echo", "word") == "word\n"


def test_a_missing_tool_is_an_error_with_its_name() -> None:
    with pytest.raises(KernelError, match="no-such-tool cannot be run: No such file"):
        run("no-such-tool")


def test_a_tool_that_does_not_end_is_ended() -> None:
    with pytest.raises(KernelError, match=r"sleep did not finish within 0\.05 s"):
        run("sleep", "60", timeout=0.05)


def test_arguments_are_not_read_by_a_shell() -> None:
    assert expect("echo", "$(id); *").strip() == "$(id); *"


def test_tools_speak_english_and_are_found_in_sbin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("PATH", os.defpath)
    assert expect("sh", "-c", "echo $LC_ALL $PATH") == f"C {os.defpath}:/usr/sbin:/sbin\n"


def test_a_long_complaint_is_cut() -> None:
    done = run("sh", "-c", "head -c 9000 /dev/zero | tr '\\0' x >&2; exit 1")
    assert len(done.complaint) == 2000


def test_a_tool_runs_beside_us_until_it_is_asked_for(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    running = Running("sh", "-c", f"touch {mark}; echo done")

    until(mark.exists)
    assert running.finish() == (0, "done\n", "")


def test_a_tool_that_nobody_asks_any_more_is_ended() -> None:
    running = Running("sleep", "60")

    running.end()
    running.end()

    assert running._process.returncode == -signal.SIGKILL
