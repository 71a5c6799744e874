"""Links lead somewhere, commands exist with the flags they are shown with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pages
import pytest

from nfq_guard.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.relative_to(pages.ROOT).as_posix())
_SHOWN = re.compile(r"(?<![\w/-])nfq-guard +(?P<words>[^|;&\n`<>]*)")
_FLAG = re.compile(r"(?<!\S)--[a-z-]+")
_SCRIPT = re.compile(r"(?:\./|\b)(?P<script>(?:scripts|\.ci)/[\w.-]+)")


@PAGES
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = [link for link in pages.links(page) if not leads_somewhere(page, link)]

    assert broken == []


def leads_somewhere(page: Path, link: str) -> bool:
    """Return whether a link's target is there; the web is taken at its word."""
    if link.startswith("https://"):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in pages.anchors(target))


def test_every_page_is_in_the_index() -> None:
    index = pages.ROOT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in pages.links(index)}

    assert [page for page in index.parent.glob("*.md") if page not in listed | {index}] == []


def shown_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of ours that a page shows, with its flags."""
    for match in _SHOWN.finditer(commands_of(page)):
        words = match["words"].split()
        if words and re.fullmatch(r"[a-z]+", words[0]):
            yield words[0], _FLAG.findall(match["words"])


def commands_of(page: Path) -> str:
    """Return what a page shows as to be typed: code blocks, and code in its sentences."""
    typed = [block.text for block in pages.blocks(page, "sh", "console")]
    return "\n".join([*typed, *re.findall(r"`([^`\n]+)`", pages.prose(page))])


@PAGES
def test_commands_exist_and_have_the_flags_they_are_shown_with(page: Path) -> None:
    context = click.Context(cli)
    for name, flags in shown_commands(page):
        command = cli.get_command(context, name)
        assert command is not None, f"there is no nfq-guard {name}"
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(flags) - known == set(), f"nfq-guard {name}"


@PAGES
def test_scripts_that_are_named_exist(page: Path) -> None:
    named = {match["script"].rstrip(".") for match in _SCRIPT.finditer(pages.read(page))}

    assert [script for script in sorted(named) if not (pages.ROOT / script).exists()] == []
