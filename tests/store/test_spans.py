from __future__ import annotations

import pytest

from nfq_guard.store.spans import CannotMendError, Form, find, key_name, named_pairs, read_spans

TEXT = """# head
a: &x 1 # one
b:
- é
- k: |
    text

  # inside
  l: 2
c: {d: [1, *x]}
---
second: 1
"""


def shown(*steps: str | int) -> str:
    span = find(read_spans(TEXT)[0].root, steps)
    assert span is not None
    return TEXT[span.start : span.end]


def test_every_part_knows_its_characters() -> None:
    assert shown("a") == "&x 1"
    assert shown("b", 0) == "é"
    assert shown("c") == "{d: [1, *x]}"
    assert shown("c", "d", 1) == "*x"


def test_a_block_ends_with_its_last_value_not_with_what_follows() -> None:
    assert shown("b").endswith("l: 2")
    assert shown("b", 1, "k") == "|\n    text"


def test_documents_know_where_they_begin() -> None:
    first, second = read_spans(TEXT)

    assert (first.explicit, second.explicit) == (False, True)
    assert TEXT[second.start :] == "---\nsecond: 1\n"


def test_an_alias_is_not_what_it_stands_for() -> None:
    span = find(read_spans(TEXT)[0].root, ("c", "d", 1))

    assert span is not None
    assert span.form is Form.ALIAS


def test_what_is_not_there_is_not_found() -> None:
    root = read_spans(TEXT)[0].root

    assert find(root, ("b", 7)) is None
    assert find(root, ("none",)) is None
    assert find(root, ("c", "d", 1, "e")) is None


def test_keys_are_named_as_the_decoder_names_them() -> None:
    root = read_spans("yes: 1\n'010': 2\n010: 3\n<<: {}\n~: 4\n")[0].root

    assert [key_name(key) for key, _ in root.pairs] == ["true", "010", "8", None, None]


@pytest.mark.parametrize("text", ["a: 1\n<<: {}\n", "a: 1\na: 2\n", "? [a]\n: 1\n", "&x a: 1\n"])
def test_keys_that_are_no_plain_names_are_too_intricate(text: str) -> None:
    with pytest.raises(CannotMendError):
        named_pairs(read_spans(text)[0].root)
