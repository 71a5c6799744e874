"""The list of codes against the code that tells them."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from nfq_guard.resources.codes import CODES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TELLERS = frozenset(
    {
        "Finding",
        "KeyFault",
        "Notice",
        "Problem",
        "_Fault",
        "_StopError",
        "_tell",
        "named",
        "problem",
        "refuse",
        "tell",
    }
)
"""Everything that is called with a code among its first four arguments."""

CODE = re.compile(r"[a-z]+(-[a-z]+)*")


def told(path: Path) -> Iterator[str]:
    """Yield the codes that a module passes on."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TELLERS:
                for argument in node.args[:4]:
                    if (
                        isinstance(argument, ast.Constant)
                        and isinstance(argument.value, str)
                        and CODE.fullmatch(argument.value)
                    ):
                        yield argument.value


def test_every_code_that_is_told_is_listed_and_every_listed_one_is_told(root: Path) -> None:
    modules = [*(root / "nfq_guard" / "resources").glob("*.py"), root / "nfq_guard" / "adapters" / "files.py"]
    found = {code for module in modules for code in told(module)}
    built = {"bad-name", "yaml-syntax"}  # a default value, and made by a helper

    assert (found - {"kind"}) | built == set(CODES), "a field named kind is no code"


def test_every_code_is_in_the_docs(root: Path) -> None:
    docs = (root / "docs" / "resources.md").read_text()

    assert [code for code, meaning in CODES.items() if f"| `{code}` | {meaning} |" not in docs] == []
