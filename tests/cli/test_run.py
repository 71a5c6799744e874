from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from guarded import Daemon, endpoint
from netns import pair

from nfq_guard.cli.main import Exit, cli
from nfq_guard.daemon.settings import KEYS

if TYPE_CHECKING:
    from pathlib import Path


def test_help_names_every_setting() -> None:
    output = CliRunner().invoke(cli, ["run", "--help"]).output

    assert [key.flag for key in KEYS if key.flag not in output] == []


def test_help_does_not_load_the_daemon() -> None:
    code = (
        "import sys\n"
        "from nfq_guard.cli.main import cli\n"
        "cli.main(['run', '--help'], standalone_mode=False)\n"
        "assert 'nfq_guard.daemon.controller' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fail-mode", "ajar"],
        ["--queue", "70000"],
        ["--metrics", "nowhere"],
        ["--config", "/none"],
        ["extra"],
    ],
    ids=["fail mode", "queue", "metrics address", "file", "argument"],
)
def test_bad_flags_are_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["run", *arguments]).exit_code == Exit.USAGE


@pytest.mark.netns
def test_a_clean_stop_is_good(tmp_path: Path) -> None:
    with pair() as (guarded, _), Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(endpoint())
        daemon.start()
        daemon.signal(signal.SIGTERM)

        assert daemon.wait() == Exit.GOOD
        assert daemon.table() == ""


@pytest.mark.netns
def test_invalid_rules_at_the_start_are_a_no_and_the_kernel_stays_as_it_was(tmp_path: Path) -> None:
    with pair() as (guarded, _), Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write("kind: Nonsense")
        daemon.start(wait=False)

        assert daemon.wait() == Exit.NO
        assert daemon.table() == ""
        assert "rules.yaml" in daemon.log


def test_rules_that_are_not_there_are_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    there, state = tmp_path / "there", tmp_path / "state"
    there.mkdir()
    paths = [argument for name in ("there", "a", "b") for argument in ("--rules", str(tmp_path / name))]
    arguments = ["run", *paths, "--state", str(state), "--control", str(tmp_path / "run" / "control.sock")]
    result = subprocess.run(
        [sys.executable, "-m", "nfq_guard", *arguments], capture_output=True, text=True, check=False
    )

    assert result.returncode == Exit.NO
    assert result.stderr.count("there is no such file or folder") == 2
    assert list(tmp_path.iterdir()) == [there]
