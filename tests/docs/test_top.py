"""What docs/top.md says of keys, options and bounds is what the screen does."""

from __future__ import annotations

import pages
from textual.binding import Binding

from nfq_guard.cli.screen import board, feed
from nfq_guard.cli.screen.app import Top
from nfq_guard.stream import tally

PAGE = pages.ROOT / "docs" / "top.md"


def test_every_key_is_explained_and_no_other() -> None:
    explained = [
        key.strip()
        for row in pages.rows(pages.section(PAGE, "Keys"))
        for key in pages.plain(row[0]).split(",")
    ]
    bound = [
        key
        for binding in Top.BINDINGS
        if isinstance(binding, Binding)
        for key in (binding.key_display or binding.key).split(",")
    ]

    assert sorted(explained) == sorted(bound)


def test_the_bounds_are_those_of_the_code() -> None:
    text = " ".join(pages.read(PAGE).split())

    assert (board.RATE_SECONDS, tally.SECONDS, tally.LATEST) == (5.0, 60.0, 200)
    assert "those of the last five seconds" in text
    assert "in the last 60 seconds" in text
    assert f"the last {tally.LATEST}" in text
    assert "up to two thousand verdicts a second" in text
    assert feed.MOST / feed.PAUSE == 2000
    assert f"Each column knows {tally.CAPACITY} keys for every five seconds" in text
    assert tally.SECONDS / tally.SLICES == 5
    assert board.HISTORY == 120


def test_the_picture_is_there_and_fetches_nothing() -> None:
    picture = (pages.ROOT / "docs" / "top.svg").read_text(encoding="utf-8")

    assert "nfq-guard" in picture
    assert 'url("http' not in picture
    assert "@font-face" not in picture
