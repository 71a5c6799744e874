"""YAML text to trees: aliases, merge keys, tags, and keys. The bounds are tested in test_load."""

from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.resources.decode import to_python
from nfq_guard.resources.scalars import PlainScalar
from nfq_guard.resources.source import MAX_DEPTH, Source
from nfq_guard.resources.tree import read_documents


def plain(value: Any) -> Any:
    """Return decoded data with unquoted scalars as their values."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, PlainScalar) else value


def read(text: str) -> Any:
    """Return the documents of a text as data; nothing may be wrong with it."""
    documents = read_documents(Source("t.yaml", text.encode()))
    assert (documents.problems, documents.faults) == ([], [])
    return [plain(to_python(root)) for root in documents.roots]


def codes(text: str) -> list[str]:
    """Return the codes of all that is wrong with a text."""
    _, problems, faults, _ = read_documents(Source("t.yaml", text.encode()))
    return [problem.code for problem in problems] + [fault.code for fault in faults]


def test_quoted_values_are_text_and_plain_ones_what_they_look_like() -> None:
    assert read("- 80\n- '80'\n- \"yes\"\n- yes\n- |\n  80\n- 1:30\n") == [
        [80, "80", "yes", True, "80\n", "1:30"]
    ]


def test_tags_that_say_what_a_value_is() -> None:
    assert read("[!!str 80, !!int 80, ! 80, !!bool yes, !!float 1.5, !!seq [], !!map {}]") == [
        ["80", 80, "80", True, 1.5, [], {}]
    ]
    assert codes("[!!int x, !!set {}, !own x, !!timestamp 2020-01-01]") == ["bad-tag"] * 4


def test_aliases_stand_for_what_they_name() -> None:
    assert read("a: &a {x: 1}\nb: [*a, *a]\n") == [{"a": {"x": 1}, "b": [{"x": 1}, {"x": 1}]}]
    assert read("&k key: 1\nother: *k\n") == [{"key": 1, "other": "key"}]
    assert codes("a: *nowhere") == ["bad-alias"]
    assert codes("a: &a 1\n---\nb: *a\n") == ["bad-alias"], "anchors end with their document"


def test_merge_keys_give_way_to_what_is_written_out() -> None:
    text = "a: &a {x: 1, w: 1}\nb: &b {w: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {'<<': 1}\n"

    assert read(text)[0]["c"] == {"x": 3, "w": 1, "z": 2}
    assert read(text)[0]["d"] == {"<<": 1}, "quoted, it is a key like any other"
    assert codes("a: {<<: [1]}") == ["bad-key"]


def test_keys_that_are_no_text() -> None:
    assert codes("{[a]: 1}") == ["bad-key"]
    assert codes("{~: 1}") == ["bad-key"]
    assert codes("{a: 1, 'a': 2}") == ["duplicate-key"]
    assert codes("{on: 1}") == ["unquoted-value"]
    assert codes("{1: a, '1': b}") == ["duplicate-key"]


def test_depth_is_counted_through_aliases() -> None:
    half = MAX_DEPTH // 2 + 1
    text = "a: &a " + "[" * half + "]" * half + "\nb: " + "[" * half + "*a" + "]" * half

    assert codes(text) == ["too-deep"]


def test_places_count_characters_not_bytes() -> None:
    root = read_documents(Source("t.yaml", "{ä: {b: 1}}".encode())).roots[0]

    assert root.column == 1
    assert root.get("ä").value.get("b").value.column == 9  # type: ignore[attr-defined]


NO_TEXT: dict[str, tuple[bytes, tuple[int, int]]] = {
    "a NUL byte": (b"a: 1\nb\xc3\xa9: \0", (2, 5)),
    "a byte that begins no character": ("\ufeffa: 1\nb: é\n".encode() + b"c: \xe9\n", (3, 4)),
    "a character that ends early": (b"a: \xc3", (1, 4)),
    "a control character": (b"a: 1\r\nb: \x07", (2, 4)),
}


@pytest.mark.parametrize("case", NO_TEXT)
def test_what_is_no_text_is_told_at_its_place(case: str) -> None:
    data, place = NO_TEXT[case]
    (problem,) = read_documents(Source("t.yaml", data)).problems

    assert (problem.code, (problem.position.line, problem.position.column)) == ("not-text", place)
