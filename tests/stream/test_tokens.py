from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.stream.tokens import MAX_LENGTH, FilterError, Sort, Token, tokenize

W, S, M, E = Sort.WORD, Sort.STRING, Sort.MARK, Sort.END

TOKENS = {
    "words are parted by blanks": (
        "tcp  dport\n443",
        [(W, "tcp", 1), (W, "dport", 6), (W, "443", 12), (E, "", 15)],
    ),
    "marks part words": (
        "a==1&&b",
        [(W, "a", 1), (M, "==", 2), (W, "1", 4), (M, "&&", 5), (W, "b", 7), (E, "", 8)],
    ),
    "marks are as long as they can be": ("!~<=!", [(M, "!~", 1), (M, "<=", 3), (M, "!", 5), (E, "", 6)]),
    "addresses, ranges and patterns are words": (
        "fd00::/8 1-2 eth* [ab]?",
        [(W, "fd00::/8", 1), (W, "1-2", 10), (W, "eth*", 14), (W, "[ab]?", 19), (E, "", 24)],
    ),
    "quotes keep blanks": ('"a b" \'c"\'', [(S, "a b", 1), (S, 'c"', 7), (E, "", 11)]),
    "a backslash keeps a quote": (r'"a\"\\"', [(S, 'a"\\', 1), (E, "", 8)]),
}


@pytest.mark.parametrize(("text", "expected"), TOKENS.values(), ids=TOKENS.keys())
def test_tokens(text: str, expected: list[tuple[Sort, str, int]]) -> None:
    assert [token[:3] for token in tokenize(text)] == expected


STRAY = {
    "an open quote": ('a == "b', 6, 'found a " that no second " closes'),
    "a single &": ("a & b", 3, "found a single `&`, expected `&&`"),
    "a single |": ("a | b", 3, "found a single `|`, expected `||`"),
    "too long a text": (
        "a" * (MAX_LENGTH + 1),
        MAX_LENGTH + 1,
        "found 4097 characters, expected at most 4096",
    ),
}


@pytest.mark.parametrize(("text", "column", "message"), STRAY.values(), ids=STRAY.keys())
def test_text_that_is_no_token_is_refused(text: str, column: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        list(tokenize(text))

    assert (caught.value.column, caught.value.message) == (column, message)
    assert str(caught.value) == f"column {column}: {message}"


@given(st.text(max_size=60))
def test_nothing_of_a_text_but_blanks_is_left_out(text: str) -> None:
    try:
        tokens = list(tokenize(text))
    except FilterError:
        return
    rest = text
    for token in reversed(tokens):
        assert rest[token.column - 1 :].rstrip() == token.text
        rest = rest[: token.column - 1]
    assert rest.strip() == ""


def test_a_token_says_its_word_in_any_letter_case_and_a_string_says_none() -> None:
    assert Token(W, "AND", 1, "AND").says("or", "and")
    assert not Token(S, "and", 1, '"and"').says("and")


def test_an_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(FilterError("found", 3, "text")))  # noqa: S301 - our own bytes

    assert (error.message, error.column, error.text) == ("found", 3, "text")
