"""Imports point one way, the core does no I/O, and every module has its test."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "nfq_guard"
TESTS = ROOT / "tests"

MAY_IMPORT = {
    "model": set(),
    "selector": {"model"},
    "packet": {"model"},
    "engine": {"model", "packet"},
    "stream": {"model", "packet", "engine"},
    "resources": {"model", "selector", "engine"},
    "compile": {"model", "selector", "resources", "engine"},
    "explain": {"model", "selector", "resources", "compile", "engine"},
    "store": {"model", "resources"},
    "kernel": {"model", "engine"},
    "adapters": {"model", "selector", "resources", "store", "packet", "engine", "kernel"},
    "daemon": {
        *("model", "selector", "resources", "compile", "packet", "engine", "stream", "kernel", "adapters"),
    },
    "cli": {
        *("model", "selector", "resources", "compile", "store", "packet", "engine", "kernel"),
        *("explain", "stream", "adapters", "daemon"),
    },
}
"""Part of nfq_guard -> parts it may import, besides itself. `__version__` is everybody's."""

PURE = (
    *("model", "selector", "packet", "engine", "stream", "resources", "compile", "explain"),
    *("store", "kernel"),
)
OUTSIDE = {
    *("asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select"),
    *("selectors", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time"),
    *("click", "netfilterqueue", "prometheus_client", "pyroute2", "rich", "scapy", "textual", "watchfiles"),
}
"""What would let a decision depend on more than its inputs."""

NOT_MODULES = {"__init__.py", "__main__.py"}


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    """Return the dotted names that a file imports, those for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            # `from nfq_guard import packet` imports a part, not the package.
            found.update(
                f"{module}.{alias.name}" if module == "nfq_guard" else module for alias in node.names
            )
    return frozenset(found)


def sources() -> list[Path]:
    """Return every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """Return the part of nfq_guard that a module belongs to: its folder, or its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def does_something(path: Path) -> bool:
    """Return whether a module has any function: declarations alone need no test."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, functions) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def named(path: Path) -> str:
    """Return a test id."""
    return path.relative_to(ROOT).as_posix()


PARTS = [path for path in sources() if part_of(path) in MAY_IMPORT]


@pytest.mark.parametrize("path", PARTS, ids=named)
def test_a_module_imports_only_what_lies_below_it(path: Path) -> None:
    part = part_of(path)
    imported = {name.split(".")[1] for name in imports_of(path) if name.startswith("nfq_guard.")}

    assert imported - MAY_IMPORT[part] - {part, "__version__"} == set()


@pytest.mark.parametrize("path", [path for path in PARTS if part_of(path) in PURE], ids=named)
def test_a_pure_module_reaches_for_nothing_outside(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert {name.split(".")[0] for name in imports_of(path)} & OUTSIDE == set()
    assert called & {"open", "print", "input", "eval", "exec"} == set()


def test_every_part_has_its_place_in_the_order() -> None:
    parts = {part_of(path) for path in sources() if path.name not in NOT_MODULES or path.parent != PACKAGE}

    assert parts == MAY_IMPORT.keys()


def test_every_module_that_does_something_has_a_test_module_in_the_same_place() -> None:
    expected = [
        (TESTS / path.relative_to(PACKAGE)).with_name(f"test_{path.name}")
        for path in sources()
        if path.name not in NOT_MODULES and does_something(path)
    ]

    missing = "\n".join(named(test) for test in expected if not test.is_file())

    assert missing == ""


@pytest.mark.parametrize("path", sources(), ids=named)
def test_a_module_says_what_it_owns_and_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    assert text.count("\n") <= 400
