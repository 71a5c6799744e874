"""The edits themselves; that they are right is shown in test_edit.py."""

from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.store.changes import Changes
from nfq_guard.store.edit import read_data, style_of
from nfq_guard.store.mend import mend
from nfq_guard.store.spans import CannotMendError, read_spans


def mended(text: str, new: Any) -> str:
    changes = Changes(text)
    root = read_spans(text)[0].root
    mend(changes, style_of(root), root, read_data(text), new)
    return changes.result()


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("a: 1 # x\nb: 2\n", {"a": 9, "b": 2}, "a: 9 # x\nb: 2\n"),
        ("a: 1\nb: 2\n", {"b": 2}, "b: 2\n"),
        ("a: 1\nb: 2\n", {"a": 1, "c": 3, "b": 2}, "a: 1\nc: 3\nb: 2\n"),
        ("a:\n    b: 1\n", {"a": {"b": 1, "c": {"d": 1}}}, "a:\n    b: 1\n    c:\n        d: 1\n"),
        ("a:\n- 1\n- 3\n", {"a": [1, 2, 3]}, "a:\n- 1\n- 2\n- 3\n"),
        ("a:\n- 1\n- 3\n", {"a": [0, 1, 3]}, "a:\n- 0\n- 1\n- 3\n"),
        ("a:\n- 1\n- 2\n- 3\n", {"a": [3]}, "a:\n- 3\n"),
        ("a:\n- x: 1 # keep\n  z: 2\n", {"a": [{"x": 1, "z": 3}]}, "a:\n- x: 1 # keep\n  z: 3\n"),
        ("- - 1\n  - 2\n- 3\n", [[1, 5], 3], "- - 1\n  - 5\n- 3\n"),
        ("a:\nb: 1\n", {"a": [1], "b": 1}, "a:\n  - 1\nb: 1\n"),
        ('"a" : 1\n', {"a": 2}, '"a" : 2\n'),
    ],
)
def test_only_what_differs_changes(text: str, new: Any, expected: str) -> None:
    assert mended(text, new) == expected


RULES = (
    "a:\n  # 1\n  - x: 1\n    # of 1\n  # 2\n  # more\n  - x: 2\n\n  # all below\n\n  # 3\n  - x: 3\n# end\n"
)
ONE, TWO, THREE = {"x": 1}, {"x": 2}, {"x": 3}


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        (RULES, {"a": [TWO, THREE]}, RULES.replace("  # 1\n  - x: 1\n    # of 1\n", "")),
        (RULES, {"a": [ONE, THREE]}, RULES.replace("  # 2\n  # more\n  - x: 2\n", "")),
        (RULES, {"a": [ONE, TWO]}, RULES.replace("  # 3\n  - x: 3\n", "")),
        (RULES, {"a": [ONE, 7, TWO, THREE]}, RULES.replace("# of 1\n", "# of 1\n  - 7\n")),
        (RULES, {"a": [ONE, TWO, THREE, 7]}, RULES.replace("x: 3\n", "x: 3\n  - 7\n")),
        ("# file\n- 1\n# b\n- 2\n", [2], "# file\n# b\n- 2\n"),
        ("a: 1\n# b\nb:\n  c: 2\n  # of c\n# d\nd: 3\n", {"a": 1, "d": 3}, "a: 1\n# d\nd: 3\n"),
        ("x:\n  # x\n  a: 1\n  b: 2\n", {"x": {"b": 2}}, "x:\n  # x\n  b: 2\n"),
    ],
)
def test_what_goes_takes_its_own_comments_along(text: str, new: Any, expected: str) -> None:
    assert mended(text, new) == expected


@pytest.mark.parametrize(
    ("text", "new"),
    [("a: 1\n", {}), ("a: 1\n", [1]), ("a: 1\n", {"b": 1}), ("&x a: 1\n", {"a": 2}), ("- 1\n", [])],
)
def test_what_stays_in_no_part_is_not_mended(text: str, new: Any) -> None:
    with pytest.raises(CannotMendError):
        mended(text, new)
