from __future__ import annotations

import pickle

import pytest

from nfq_guard.selector.errors import SHOWN_LENGTH, SelectorError, quoted, show


def test_an_error_prints_its_column_and_keeps_its_parts_through_pickling() -> None:
    error = pickle.loads(pickle.dumps(SelectorError("found x", 3, "a x")))  # noqa: S301 - our own bytes

    assert str(error) == "column 3: found x"
    assert (error.message, error.column, error.text) == ("found x", 3, "a x")
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        ("a", "`a`"),
        ("\n", "a line break"),
        ("\0", "a NUL character"),
        ("a\nb", "`a\\u{a}b`"),
        ("\x1b[31m", "`\\u{1b}[31m`"),
        ("é", "`é`"),
    ],
)
def test_a_piece_of_text_is_shown_on_one_printable_line(piece: str, shown: str) -> None:
    assert show(piece) == shown


def test_a_long_piece_of_text_is_shown_cut() -> None:
    assert show("x" * 100) == "`" + "x" * (SHOWN_LENGTH - 1) + "…`"


def test_a_value_is_quoted_with_the_quote_it_does_not_hold() -> None:
    assert [quoted(value) for value in ("a", "'", '"')] == ['"a"', '"\'"', "'\"'"]


def test_a_value_with_both_quotes_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="both kinds of quotes"):
        quoted("'\"")
