"""Resource commands over rules of a test's own.

Owns the running of a command with nothing of the outer environment, and what a folder
of rules holds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from click.testing import CliRunner

from nfq_guard.cli.main import cli

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: projectcalico.org/v3\n"


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str = ""


class Rules:
    """A folder of rules, the current one of the test."""

    def __init__(self, folder: Path) -> None:
        """Keep rules in `rules/` below a folder."""
        self.outer = folder
        self.folder = folder / "rules"
        self.folder.mkdir()

    def run(self, *words: str, given: str | bytes | None = None) -> Said:
        """Run a command; `{rules}` in no word: --rules is added where the command takes it."""
        extra = () if words[0] == "validate" else ("--rules", "rules")
        result = CliRunner().invoke(cli, [*words, *extra], input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def put(self, name: str, text: str) -> None:
        """Write a rule file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def files(self) -> dict[str, str]:
        """Return every file with its text, hidden ones too."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes().decode() for path in paths}


def tier(name: str, order: int = 5) -> str:
    """Return a Tier."""
    return f"{HEAD}kind: Tier\nmetadata:\n  name: {name}\nspec:\n  order: {order}\n"


def endpoint(name: str, *, node: str = "n1") -> str:
    """Return a HostEndpoint of the interface of its name, with comments."""
    return (
        f"# The endpoint {name}.\n{HEAD}kind: HostEndpoint\nmetadata:\n  name: {name}\n  labels:\n    role: web # why\n"
        f"spec:\n  node: {node} # where\n  interfaceName: {name}\n"
    )


def completed(*words: str) -> list[tuple[str, str]]:
    """Return the type and value of what the shell is offered for the last word."""
    typed = ("nfq-guard", *words)
    asked = {
        "_NFQ_GUARD_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(typed),
        "COMP_CWORD": str(len(typed) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nfq_guard"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (line.partition(",") for line in done.stdout.splitlines() if line)
    return [(kind, value) for kind, _, value in lines]
