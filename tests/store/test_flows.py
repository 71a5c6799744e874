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


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("[1]", []),
        ("[1]", [2, 3, {}][:0]),
        ("{a: 1}", {"b": 1}),
        ("{a: 1}", [1]),
        ("{a, b: 1}", {"a": 1, "b": 1}),
        ("[1, # one\n 2]", [1, 2, 3]),
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
