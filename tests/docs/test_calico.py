"""docs/calico.md has a row for everything of Calico's that is here, and every test that it links."""

from __future__ import annotations

import ast
import functools
import re
import typing

import pages
import pytest
from pydantic import BaseModel

from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Stage
from nfq_guard.resources.base import Metadata
from nfq_guard.resources.felix import EFFECTIVE
from nfq_guard.resources.kinds import KINDS

if typing.TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.ROOT / "docs" / "calico.md"
NOT_SUPPORTED = "not supported"
STATES = {"supported", "different on purpose", NOT_SUPPORTED}
ROWS = pages.rows(pages.read(PAGE))
LINK = re.compile(r"\[`(\w+)`\]\(([^)\s]+)\)")
LINKED = sorted({link for row in ROWS for link in LINK.findall(row[3])})

ENFORCED = {name: kind.model for name, kind in KINDS.items()}
"""FelixConfiguration's fields have a list of their own."""
ENVELOPE = {"apiVersion", "kind", "metadata", "spec"}


def named(section: str) -> set[str]:
    """Return what the first cells of a section's rows name as code."""
    text = pages.section(PAGE, section) if section else pages.read(PAGE)
    return {name for row in pages.rows(text) for name in re.findall(r"`([^`]+)`", row[0])}


@functools.cache
def functions_in(file: Path) -> frozenset[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in functions if name.startswith("test_"))


def models(annotation: object) -> typing.Iterator[type[BaseModel]]:
    """Yield the models that a field of this type may hold, and theirs in turn."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    for argument in typing.get_args(annotation):
        yield from models(argument)


def fields_of(model: type[BaseModel]) -> set[str]:
    """Return the fields of all parts of a kind as files spell them, bookkeeping left out."""
    parts = {part for part in models(model) if part.__module__ != Metadata.__module__}
    return {field.alias or name for part in parts for name, field in part.model_fields.items()} - ENVELOPE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_says_whether_it_is_supported_and_what_shows_it(row: list[str]) -> None:
    _, state, _, shown_by = row

    assert state in STATES
    assert LINK.findall(shown_by) or state == NOT_SUPPORTED
    assert LINK.sub("", shown_by).strip() == ""


@pytest.mark.parametrize(("test", "path"), LINKED, ids=[test for test, _ in LINKED])
def test_every_test_that_is_linked_exists(test: str, path: str) -> None:
    file = (PAGE.parent / path).resolve()

    assert file.relative_to(pages.ROOT / "tests").name.startswith("test_")
    assert test in functions_in(file)


def test_every_kind_that_has_an_effect_has_a_row() -> None:
    assert ENFORCED.keys() - named("Resources") == set()


@pytest.mark.parametrize("kind", sorted(ENFORCED.keys() - {"FelixConfiguration"}))
def test_every_field_of_a_kind_has_a_row(kind: str) -> None:
    assert fields_of(ENFORCED[kind]) - named("") == set()


def test_every_setting_of_felix_with_an_effect_has_a_row() -> None:
    assert EFFECTIVE - named("FelixConfiguration") == set()


def test_every_stage_has_a_row() -> None:
    assert set(Stage) - named("Stages") == set()


def test_every_reason_has_a_row() -> None:
    assert set(Reason) == named("Reasons")
