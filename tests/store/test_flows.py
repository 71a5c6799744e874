from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.store.changes import Changes
from nfq_guard.store.edit import read_data
from nfq_guard.store.flows import Flows, aligned
from nfq_guard.store.spans import CannotMendError, read_spans


def mended(text: str, new: Any) -> str:
    changes = Changes(text)
    Flows(changes).part(read_spans(text)[0].root, read_data(text), new)
    return changes.result()


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("[1, 2, 3]", [1, 3], "[1, 3]"),
        ("[1, 2, 3]", [3], "[3]"),
        ("[1, 2]", [0, 1, 2, 3], "[0, 1, 2, 3]"),
        ("[1,2]", [1, 2, 3], "[1,2,3]"),
        ("[\n  1,\n  2\n]", [1, 2, 3], "[\n  1,\n  2,\n  3\n]"),
        ("[1, 2,]", [1, 2, 3], "[1, 2, 3,]"),
        ('{"a": 1}', {"a": 1, "b": "x"}, '{"a": 1, "b": "x"}'),
        ('{\n  "a": 1\n}', {"a": 1, "b": []}, '{\n  "a": 1,\n  "b": []\n}'),
        ('{"a": {"b": [1]}}', {"a": {"b": [2]}}, '{"a": {"b": [2]}}'),
        ('{"a": {"b": [1]}}', {"a": 5}, '{"a": 5}'),
        ('{"a": 1, "b": 2, "c": 3}', {"c": 3, "d": 4}, '{"c": 3, "d": 4}'),
    ],
)
def test_commas_go_where_they_belong(text: str, new: Any, expected: str) -> None:
    assert mended(text, new) == expected
    assert read_data(expected) == new


LINES = "[\n  1, # one\n  # two\n  2,\n  3 # three\n]"


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        (LINES, [1, 2, 4], LINES.replace("3", "4", 1)),
        (LINES, [1, 2, 3, 4, 5], LINES.replace("3 # three", "3, # three\n  4,\n  5")),
        (LINES, [1, 9, 2, 3], LINES.replace("# one", "# one\n  9,")),
        (LINES, [0, 1, 2, 3], LINES.replace("  1,", "  0,\n  1,")),
        (LINES, [2, 3], LINES.replace("  1, # one\n", "")),
        (LINES, [1, 3], LINES.replace("  # two\n  2,\n", "")),
        (LINES, [1, 2], LINES.replace("  3 # three\n", "")),
        ("[\n  1, # one\n]", [1, 2], "[\n  1, # one\n  2,\n]"),
        ("[\r\n 1, # one\r\n 2\r\n]", [1, 2, 3], "[\r\n 1, # one\r\n 2,\r\n 3\r\n]"),
        (
            "{\n  a: 1, # one\n  b: [1]\n}",
            {"b": [1], "c": 2},
            '{\n  b: [1],\n  "c": 2\n}',
        ),
        ("[1, # one\n 2]", [1, 3], "[1, # one\n 3]"),
    ],
)
def test_comments_of_what_stays_stay(text: str, new: Any, expected: str) -> None:
    assert mended(text, new) == expected
    assert read_data(expected) == new


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("[1]", []),
        ("[1]", [2, 3, {}][:0]),
        ("{a: 1}", {"b": 1}),
        ("{a: 1}", [1]),
        ("{a, b: 1}", {"a": 1, "b": 1}),
        ("[1, # one\n 2]", [1, 2, 3]),
        ("[\n 1, 2, # both\n 3\n]", [1, 2]),
        ("[\n 1, # one\n 2]", [1, 2, 3]),
        ("&x [1]", [2]),
    ],
)
def test_what_is_too_intricate_is_left_alone(text: str, new: Any) -> None:
    with pytest.raises(CannotMendError):
        mended(text, new)


def test_lists_are_matched_so_that_little_changes() -> None:
    assert aligned([1, 2, 3], [1, 3]) == (True, [], [1], [])
    assert aligned([1, 2], [1, 9]) == (True, [(1, 1)], [], [])
    assert aligned([1], [1, 2, 3]) == (True, [], [], [(0, [1, 2])])
    assert aligned([1], [0, 1]) == (True, [], [], [(-1, [0])])
    assert not aligned([1], []).kept


def test_huge_lists_are_not_matched_item_by_item() -> None:
    with pytest.raises(CannotMendError):
        aligned(list(range(30_000)), list(range(30_000)))
