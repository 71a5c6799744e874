from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.selector.errors import SelectorError
from nfq_guard.selector.tokens import MAX_LABEL, Kind, tokenize

if TYPE_CHECKING:
    from pathlib import Path

CALICO_KINDS = {
    "TokLabel": Kind.LABEL,
    "TokStringLiteral": Kind.STRING,
    "TokLBrace": Kind.LBRACE,
    "TokRBrace": Kind.RBRACE,
    "TokComma": Kind.COMMA,
    "TokEq": Kind.EQ,
    "TokNe": Kind.NE,
    "TokIn": Kind.IN,
    "TokNot": Kind.NOT,
    "TokNotIn": Kind.NOT_IN,
    "TokContains": Kind.CONTAINS,
    "TokStartsWith": Kind.STARTS_WITH,
    "TokEndsWith": Kind.ENDS_WITH,
    "TokAll": Kind.ALL,
    "TokHas": Kind.HAS,
    "TokLParen": Kind.LPAREN,
    "TokRParen": Kind.RPAREN,
    "TokAnd": Kind.AND,
    "TokOr": Kind.OR,
    "TokGlobal": Kind.GLOBAL,
    "TokEOF": Kind.END,
}


def kinds(text: str) -> list[Kind]:
    return [token.kind for token in tokenize(text)]


def tokens_or_none(text: str) -> list[tuple[Kind, str]] | None:
    try:
        return [(token.kind, token.value) for token in tokenize(text)]
    except SelectorError:
        return None


@pytest.mark.conformance
def test_every_token_case_of_calico_is_cut_the_same_way(cases_dir: Path) -> None:
    cases: list[dict[str, Any]] = json.loads((cases_dir / "selector.json").read_text())["tokens"]
    expected = [
        (case["input"], [(CALICO_KINDS[one["kind"]], one.get("value", "")) for one in case["tokens"]])
        if case["tokens"] is not None
        else (case["input"], None)
        for case in cases
    ]

    actual = [(case["input"], tokens_or_none(case["input"])) for case in cases]

    assert actual == expected
    assert len(cases) >= 49


@pytest.mark.parametrize("word", ["in", "not", "has", "all", "global", "contains", "starts", "ends", "with"])
def test_a_keyword_is_a_label_where_an_operand_is_expected(word: str) -> None:
    assert tokens_or_none(f"{word} == ''") == [
        (Kind.LABEL, word),
        (Kind.EQ, ""),
        (Kind.STRING, ""),
        (Kind.END, ""),
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("notin", Kind.NOT_IN),
        ("not in", Kind.NOT_IN),
        ("not \t in", Kind.NOT_IN),
        ("startswith", Kind.STARTS_WITH),
        ("starts\twith", Kind.STARTS_WITH),
        ("ends  with", Kind.ENDS_WITH),
        ("contains", Kind.CONTAINS),
    ],
)
def test_any_number_of_blanks_may_stand_between_an_operators_two_words(text: str, kind: Kind) -> None:
    assert kinds(f'a {text}"x"')[1] is kind


@pytest.mark.parametrize("text", ["has( \ta\t )", "all(\t )", "global(  )"])
def test_blanks_may_stand_inside_the_parentheses_of_a_call(text: str) -> None:
    assert len(kinds(text)) == 2


def test_columns_count_characters_from_one_and_the_end_is_one_past_the_last() -> None:
    tokens = list(tokenize(" a == 'é' &&\thas( b ) "))

    assert [token.column for token in tokens] == [2, 4, 7, 11, 14, 23]
    assert [token.text for token in tokens] == ["a", "==", "'é'", "&&", "has( b )", ""]


def test_a_string_may_hold_the_other_quote_and_line_breaks_and_backslashes() -> None:
    assert [token.value for token in tokenize("""a=='"\n\\'""")][2] == '"\n\\'


@pytest.mark.parametrize("text", ["{} == ''", "has({})"])
def test_a_label_name_may_have_512_characters_and_no_more(text: str) -> None:
    assert kinds(text.format("x" * MAX_LABEL))[-1] is Kind.END

    with pytest.raises(SelectorError, match=f"label name of {MAX_LABEL + 1} characters"):
        list(tokenize(text.format("x" * (MAX_LABEL + 1))))


def test_tokens_before_the_offending_text_come_out_first() -> None:
    stream = tokenize("a %")

    assert next(stream).kind is Kind.LABEL
    with pytest.raises(SelectorError) as raised:
        next(stream)
    assert raised.value.column == 3


def test_a_lone_surrogate_is_refused_because_it_has_no_bytes() -> None:
    with pytest.raises(SelectorError, match=r"half a character \(U\+D800\)") as raised:
        list(tokenize("a == '\ud800'"))

    assert raised.value.column == 7


@given(st.text())
def test_any_text_ends_in_an_end_token_or_a_selector_error_inside_the_text(text: str) -> None:
    tokens = tokens_or_none(text)

    if tokens is None:
        with pytest.raises(SelectorError) as raised:
            list(tokenize(text))
        assert 1 <= raised.value.column <= len(text) + 1
        return
    assert tokens[-1] == (Kind.END, "")
    assert all(token.text == text[token.column - 1 :][: len(token.text)] for token in tokenize(text))
