"""The set-up: installs once, notices that it did, repairs what was cut short.

Runs the real script with a stand-in for Python and pip that only writes down what it is
told: the real ones have run when these tests run, and would take the network each time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "requirements-bench.txt", "requirements-dev.txt", "requirements-build.txt")

PYTHON = f"""#!/bin/bash
# A Python that makes hollow environments.
if [ "$1 $2 $3" = "-m venv --clear" ]; then
    echo "venv" >>"$CALLS"
    rm -rf "$4"; mkdir -p "$4/bin"
    printf '#!/bin/bash\\necho "pip ${{*##*/}}" >>"$CALLS"; [ -z "$BROKEN" ]\\n' >"$4/bin/pip"
    printf '#!/bin/bash\\ntrue\\n' | tee "$4/bin/python" "$4/bin/promtool" >"$4/bin/nfq-guard"
    chmod +x "$4"/bin/*
    exit
fi
exec {sys.executable} "$@"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with nothing set up, and a Python beside it."""
    made = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", made / "scripts")
    for name in ("pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, made / name)
    python = tmp_path / "python"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    return made


def bash(checkout: Path, script: str, **variables: str) -> tuple[int, str, list[str]]:
    """Run a script after the set-up's functions; return exit code, messages, and what was called."""
    calls = checkout.parent / "calls"
    calls.write_text("", encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . scripts/lib/setup.sh; {script}"],
        cwd=checkout,
        env={
            **os.environ,
            "PYTHON": str(checkout.parent / "python"),
            "CALLS": str(calls),
            "BROKEN": "",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr, calls.read_text(encoding="utf-8").splitlines()


def installed(calls: list[str]) -> list[str]:
    """Return what pip was told to install, in order."""
    return [call.split()[-1] for call in calls if call.startswith("pip")]


def test_the_first_call_installs_the_build_tools_then_the_lock_then_the_program(checkout: Path) -> None:
    code, _, calls = bash(checkout, "setup_guard runtime")

    assert code == 0
    assert calls[0] == "venv"
    assert installed(calls) == ["requirements-build.txt", "requirements.txt", "checkout"]
    assert all("--require-hashes" in call for call in calls if "requirements" in call)
    assert "--no-build-isolation" in calls[2]


def test_the_second_call_does_nothing_and_takes_no_time(checkout: Path) -> None:
    bash(checkout, "setup_guard dev")
    started = time.monotonic()
    code, said, calls = bash(checkout, "setup_guard dev")

    assert (code, said, calls) == (0, "", [])
    assert time.monotonic() - started < 2


def test_what_the_tests_need_includes_what_the_demo_needs(checkout: Path) -> None:
    bash(checkout, "setup_guard dev")
    _, _, calls = bash(checkout, "setup_guard runtime")

    assert calls == []


def test_what_the_demo_needs_is_added_to_not_thrown_away(checkout: Path) -> None:
    bash(checkout, "setup_guard runtime")
    _, _, calls = bash(checkout, "setup_guard dev")

    assert installed(calls) == ["requirements-build.txt", "requirements-dev.txt", "checkout"]
    assert "venv" not in calls


@pytest.mark.parametrize(
    ("have", "want", "added"),
    [
        ("runtime", "bench", ["requirements-build.txt", "requirements-bench.txt", "checkout"]),
        ("bench", "runtime", []),
        ("bench", "dev", ["requirements-build.txt", "requirements-dev.txt", "checkout"]),
        ("dev", "bench", []),
    ],
)
def test_what_charts_need_stands_between_the_program_and_the_tests(
    checkout: Path, have: str, want: str, added: list[str]
) -> None:
    bash(checkout, f"setup_guard {have}")
    _, _, calls = bash(checkout, f"setup_guard {want}")

    assert installed(calls) == added


@pytest.mark.parametrize("changed", ["pyproject.toml", *LOCKS])
def test_a_changed_file_is_installed_again(checkout: Path, changed: str) -> None:
    bash(checkout, "setup_guard dev")
    with (checkout / changed).open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    _, _, calls = bash(checkout, "setup_guard dev")

    assert installed(calls)[-1] == "checkout"


def test_an_install_that_was_cut_short_is_repaired_from_the_start(checkout: Path) -> None:
    code, said, _ = bash(checkout, "setup_guard dev", BROKEN="yes")
    assert code == 3
    assert "pip could not install what the lock files pin" in said

    code, _, calls = bash(checkout, "setup_guard dev")
    assert (code, calls[0]) == (0, "venv")


def test_missing_packages_without_root_are_named_with_the_command(checkout: Path) -> None:
    script = (
        "packages_missing() { echo nftables; echo conntrack; }; id() { echo 1000; }; setup_debian_packages"
    )
    code, said, _ = bash(checkout, script)

    assert code == 3
    assert "apt-get install --no-install-recommends nftables conntrack" in said


def test_packages_that_fail_at_first_are_tried_with_new_lists(checkout: Path) -> None:
    script = """
        apt-get() { echo "apt-get $*" >>"$CALLS"; [[ "$*" == *update* ]] || [ "$(grep -c install "$CALLS")" -gt 1 ]; }
        install_packages nftables
    """
    code, _, calls = bash(checkout, script)

    assert code == 0
    assert [call.split()[-1] for call in calls] == ["nftables", "update", "nftables"]


def test_packages_that_cannot_be_had_stop_the_set_up_with_a_reason(checkout: Path) -> None:
    code, said, _ = bash(
        checkout, 'apt-get() { echo "E: no network"; return 100; }; install_packages nftables'
    )

    assert code == 3
    assert "E: no network" in said
    assert "apt-get could not install: nftables" in said


def test_another_system_gets_the_list_of_what_is_needed(checkout: Path) -> None:
    script = 'command() { case "$2" in dpkg-query | nft) return 1 ;; *) builtin command "$@" ;; esac; }'
    code, said, _ = bash(checkout, f"{script}; setup_debian_packages")

    assert code == 3
    assert "Missing commands: nft" in said


def test_no_python_that_is_new_enough_is_said(checkout: Path) -> None:
    code, said, _ = bash(checkout, "setup_python", PYTHON="/bin/false")

    assert code == 3
    assert "No Python 3.11 or newer" in said


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_package_with_hashes_and_names_no_place_to_get_it(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]

    assert lines
    for line in lines:
        name, *hashes = line.split()
        assert "==" in name
        assert hashes
        assert all(each.startswith("--hash=sha256:") for each in hashes)
    assert "://" not in text


@pytest.mark.parametrize(
    "script",
    [
        *("scripts/bench", "scripts/demo", "scripts/pictures", "scripts/test", "scripts/lock"),
        *("scripts/lib/setup.sh", ".ci/run"),
    ],
)
def test_a_script_is_well_formed(script: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
