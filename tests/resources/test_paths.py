"""Field paths and their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.resources.paths import format_path, locate, nodes, parse_path
from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents

if TYPE_CHECKING:
    from nfq_guard.resources.base import Path

TEXTS: dict[str, Path] = {
    "": (),
    "spec": ("spec",),
    "spec.ingress[0].source.nets[12]": ("spec", "ingress", 0, "source", "nets", 12),
    'metadata.labels["example.org/a.b"]': ("metadata", "labels", "example.org/a.b"),
    'a["say \\"hi\\" \\\\"]': ("a", 'say "hi" \\'),
    '["<<"].x': ("<<", "x"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_paths_as_text(text: str) -> None:
    assert format_path(TEXTS[text]) == text
    assert parse_path(text) == TEXTS[text]


@given(st.lists(st.integers(0, 99) | st.text(max_size=40), max_size=5).map(tuple))
def test_a_path_reads_back_as_it_was(path: Path) -> None:
    assert parse_path(format_path(path)) == path


def test_places() -> None:
    root = read_documents(Source("x", b"a:\n  b: [1,\n  2]\nc:\n")).roots[0]

    places = {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", "b", 1): (3, 3),
        ("a", "b", 9): (2, 3),
        ("a", "x"): (1, 1),
        ("c", "d", "e"): (4, 1),
        ("nowhere",): (1, 1),
    }
    assert {path: locate(root, path) for path in places} == places
    assert locate(root, ("a", "b"), key=True) == (2, 3)


def test_what_aliases_share_is_visited_once() -> None:
    root = read_documents(Source("x", b"a: &a [1, 2]\nb: *a\n")).roots[0]

    assert len(list(nodes(root))) == 4
