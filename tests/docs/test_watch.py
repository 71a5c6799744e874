"""What docs/watch.md says of filters, keys and lines is what the command does."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pages
import pytest
from events import PING, denied, event, logged, packet

from nfq_guard.cli.explaining import Explaining, Source
from nfq_guard.daemon.settings import Settings
from nfq_guard.model.flow import TCP
from nfq_guard.stream.counted import Counted, Labels
from nfq_guard.stream.fields import FIELDS, Kind
from nfq_guard.stream.filter import parse_filter
from nfq_guard.stream.lines import Columns, counted_document, document
from nfq_guard.stream.parser import MAX_DEPTH
from nfq_guard.stream.tokens import MAX_LENGTH

if TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.ROOT / "docs" / "watch.md"
FILTERS = [line for block in pages.blocks(PAGE, "filter") for line in block.text.splitlines()]
ROWS = [row for row in pages.rows(pages.section(PAGE, "Filters")) if len(row) == 4]
SESSIONS = [block for block in pages.blocks(PAGE, "console") if "Error" in block.text]
SECOND = 1_767_225_601_000_000_000
COUNTED = Counted(Labels("failsafe", "allow", "ingress", "normal"), 12)


@pytest.mark.parametrize("text", FILTERS)
def test_every_filter_that_is_shown_is_read(text: str) -> None:
    assert parse_filter(parse_filter(text).canonical) == parse_filter(text)


def test_every_field_is_explained_with_its_comparisons() -> None:
    compared = {
        Kind.WORD: "`==` `!=` `in` `~`",
        Kind.NAME: "`==` `!=` `in` `~`",
        Kind.NUMBER: "all but `~`",
        Kind.ADDRESS: "`==` `!=` `in`",
        Kind.FLAG: "`==` `!=`",
    }

    assert [row[:3] for row in ROWS] == [
        [f"`{field.name}`", field.help, compared[field.kind]] for field in FIELDS.values()
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_values_of_a_field_are_values(row: list[str]) -> None:
    name = pages.plain(row[0])
    for value in re.findall(r"`([^`]+)`", row[3]):
        parse_filter(f"{name} == {value}")


def test_words_that_are_listed_are_all_there_are() -> None:
    for row in ROWS:
        field = FIELDS[pages.plain(row[0])]
        listed = set(re.findall(r"`([^`]+)`", row[3]))
        if field.kind is Kind.WORD and listed:
            assert listed == set(field.words.values())


def test_the_bounds_are_those_of_the_parser() -> None:
    assert f"at most {MAX_LENGTH} characters and {MAX_DEPTH} parentheses" in pages.read(PAGE)


@pytest.mark.parametrize("block", SESSIONS, ids=lambda block: block.text.splitlines()[0])
def test_errors_are_told_as_shown(tmp_path: Path, block: pages.Block) -> None:
    with pages.Shell(tmp_path) as shell:
        pages.follow(shell, block.text)


def test_lines_are_as_shown() -> None:
    (block,) = pages.blocks(PAGE, "text", section="Watching verdicts")
    stranger = packet("203.0.113.99", "192.0.2.10", TCP, 40000, 22)
    columns = Columns()

    assert block.text.splitlines() == [
        columns.line(event()),
        columns.line(logged(packet=stranger)),
        columns.line(denied(packet=stranger)),
        columns.line(denied(packet=PING)),
        columns.counted(COUNTED.event(SECOND), COUNTED.packets),
    ]


def test_explanations_are_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(pages.ROOT / "rules", tmp_path / "rules")
    monkeypatch.chdir(tmp_path)
    facts = json.dumps({"node": "worker-1", "interfaces": {"eth0": ["192.0.2.10", "2001:db8:77::10"]}})
    explaining = Explaining(Source(("rules",), ("host.json", facts), Settings()))

    for block, port in zip(pages.blocks(PAGE, "text", section="Why"), (9100, 10250), strict=True):
        one = denied(packet=packet("203.0.113.99", "192.0.2.10", TCP, 40000, port))
        verdict, *lines = block.text.splitlines()
        assert " ".join(verdict.split()) == " ".join(Columns().line(one).split())
        assert lines == [f"  {line}" for line in explaining.lines_of(one)]


def test_objects_are_as_shown() -> None:
    (block,) = pages.blocks(PAGE, "json")

    assert block.text.splitlines() == [
        json.dumps(document(event())),
        json.dumps(document(logged())),
        json.dumps(counted_document(COUNTED.event(SECOND), COUNTED.packets)),
    ]


def test_every_key_of_an_object_is_explained_in_order() -> None:
    table = [row for row in pages.rows(pages.section(PAGE, "JSON")) if len(row) == 2]
    explained = [key.strip() for row in table for key in pages.plain(row[0]).split(",")]

    assert explained == [*document(event()), "explanation", "counted"]
