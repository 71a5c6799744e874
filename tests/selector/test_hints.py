"""Every sentence an operator can be shown about a selector has a case here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nfq_guard.selector.errors import SelectorError
from nfq_guard.selector.hints import JOINT, OPERAND, OPERATORS, STRAY, TYPOGRAPHIC_QUOTES
from nfq_guard.selector.parser import parse_node

PROBLEMS: dict[str, tuple[str, int, str]] = {
    "one equals sign": ("a = 'b'", 3, "found `=`, expected `==`"),
    "three equals signs": ("a === 'b'", 3, "found `===`, expected `==`"),
    "a regular expression": (
        "a =~ 'b'",
        3,
        "found `=~`, expected `==`; there are no regular expressions, see `contains`",
    ),
    "one ampersand": ("has(a) & has(b)", 8, "found a single `&`, expected `&&`"),
    "one bar": ("has(a) | has(b)", 8, "found a single `|`, expected `||`"),
    "the other not-equals": ("a <> 'b'", 3, "found `<>`, expected `!=`"),
    "a tilde": ("~has(a)", 1, "found `~`, expected an operator; to negate, write `!`"),
    "a star": ("*", 1, "found `*`, which is no operator or name; to select everything, write `all()`"),
    "square brackets": (
        "a in ['b']",
        6,
        'found `[`; a set of values stands in braces, as in {"a", "b"}',
    ),
    "a line break": (
        "has(a)\n&& has(b)",
        7,
        "found a line break, expected a selector on one line (a value in quotes may hold one)",
    ),
    "a carriage return": ("has(a)\r", 7, "found a carriage return, expected a selector on one line"),
    "an open double quote": (
        "a == \"b'",
        6,
        'found a `"` that no second `"` closes; a value stands between two of the same quotes',
    ),
    "an open single quote": (
        "a == 'b\"",
        6,
        "found a `'` that no second `'` closes; a value stands between two of the same quotes",
    ),
    "a word processor's quotes": (
        "a == \N{LEFT DOUBLE QUOTATION MARK}b",
        6,
        "found the quote U+201C, expected a plain `'` or `\"`",
    ),
    "a no-break space": (
        "a\N{NO-BREAK SPACE}== 'b'",
        2,
        "found the blank `\\u{a0}`, expected only spaces and tabs between words",
    ),
    "a sign without meaning": (
        "a == %",
        6,
        "found `%`, which has no meaning in a selector; values stand in quotes",
    ),
    "a letter no name may have": (
        "é == 'b'",
        1,
        "found `é`, which has no meaning in a selector; values stand in quotes",
    ),
    "has without closing": ("has(foo", 8, "found the end, expected the `)` that closes `has(`"),
    "has of two labels": ("has(a b)", 7, "found `b`, expected the `)` that closes `has(`"),
    "has of nothing": ("has()", 5, "found `)`, expected a label name without quotes, as in `has(label)`"),
    "has of a quoted label": (
        "has( 'a')",
        6,
        "found `'`, expected a label name without quotes, as in `has(label)`",
    ),
    "all without closing": ("all(", 5, "found the end, expected the `)` of `all()`, which takes nothing"),
    "all of something": ("all( a)", 6, "found `a`, expected the `)` of `all()`, which takes nothing"),
    "global of something": ("global(1)", 8, "found `1`, expected the `)` of `global()`, which takes nothing"),
    "a blank before the parenthesis": (
        "all ()",
        5,
        "found a blank between `all` and `(`, expected `all(` as one word",
    ),
    "not as a word": (
        "not a == 'b'",
        5,
        "found `a` after `not`, expected an operator; to negate, write `!` in its place",
    ),
    "an operator in capitals": ("a IN {'b'}", 3, "found `IN`, expected `in`"),
    "an operator cut short": ("a starts 'b'", 3, "found `starts`, expected `starts with`"),
    "an operator of another language": ("a like 'b'", 3, "found `like`, expected `contains`"),
    "no operator at all": ("a b", 3, f"found `b` after the label `a`, expected {OPERATORS}"),
    "a label alone": ("a", 2, f"found the end after the label `a`, expected {OPERATORS}"),
    "a label and a value": ("a 'b'", 3, f"found `'b'` after the label `a`, expected {OPERATORS}"),
    "a quoted label": (
        "'a' == 'b'",
        1,
        "found the quoted `'a'`, expected a label name; label names have no quotes",
    ),
    "nothing behind an operator": ("has(a) &&", 10, f"found the end, expected {OPERAND}"),
    "nothing between parentheses": ("()", 2, f"found `)`, expected {OPERAND}"),
    "nothing behind an exclamation mark": ("!", 2, f"found the end, expected {OPERAND}"),
    "an unquoted value": ("a == b", 6, 'found `b`, expected a value in quotes; write `"b"`'),
    "a missing value": ("a != ||", 6, "found `||`, expected a value in quotes"),
    "a value cut off": ("a contains", 11, "found the end, expected a value in quotes"),
    "a value in the place of a set": (
        "a in 'b'",
        6,
        "found `'b'`, expected a set of values in braces; write `{'b'}`",
    ),
    "parentheses around a set": (
        "a in ('b')",
        6,
        'found `(`, expected a set of values in braces, as in {"a", "b"}',
    ),
    "a missing set": (
        "a not in",
        9,
        'found the end, expected a set of values in braces, as in {"a", "b"}',
    ),
    "an unquoted value in a set": ("a in {b}", 7, 'found `b`, expected a value in quotes; write `"b"`'),
    "two commas in a set": (
        "a in {'b',,}",
        11,
        "found `,`, expected a value in quotes, `,` or the `}` that closes the set",
    ),
    "a set cut off": (
        "a in {'b'",
        10,
        "found the end, expected a value in quotes, `,` or the `}` that closes the set",
    ),
    "the word and": ("has(a) and has(b)", 8, "found `and`, expected `&&`"),
    "the word or in capitals": ("has(a) OR has(b)", 8, "found `OR`, expected `||`"),
    "a comma between conditions": (
        "a=='b', c=='d'",
        7,
        "found `,`, expected `&&`: conditions are not listed but joined",
    ),
    "a parenthesis too many": ("has(a))", 7, f"found `)`, which closes nothing, expected {JOINT}"),
    "a parenthesis too few": (
        " (has(a)",
        9,
        "found the end, expected `&&`, `||` or the `)` that closes column 2",
    ),
    "something behind the end": ("has(a) has(b)", 8, f"found `has(b)`, expected {JOINT}"),
    "something behind an inner end": (
        "(has(a) b)",
        9,
        "found `b`, expected `&&`, `||` or the `)` that closes column 1",
    ),
}


@pytest.mark.parametrize(("text", "column", "message"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_the_message_says_what_was_found_and_expected_and_where(text: str, column: int, message: str) -> None:
    with pytest.raises(SelectorError) as raised:
        parse_node(text)

    assert (raised.value.column, raised.value.message) == (column, message)


def test_every_sentence_about_stray_text_has_a_case() -> None:
    messages = {message for _, _, message in PROBLEMS.values()}

    assert set(STRAY.values()) <= messages


@pytest.mark.parametrize("quote", sorted(TYPOGRAPHIC_QUOTES))
def test_every_typographic_quote_is_named(quote: str) -> None:
    with pytest.raises(SelectorError, match="expected a plain"):
        parse_node(f"a == {quote}b{quote}")


def test_a_long_piece_of_text_is_cut_in_the_message() -> None:
    with pytest.raises(SelectorError) as raised:
        parse_node("a == " + "b" * 500)

    assert len(raised.value.message) < 150


def test_the_mistakes_shown_in_the_docs_get_the_message_shown_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "selectors.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| (column \d.+) \| `(.+?)` \|$", page, re.MULTILINE)

    for written, message, mended in rows:
        with pytest.raises(SelectorError) as raised:
            parse_node(written)
        assert str(raised.value) == message
        parse_node(mended)

    assert len(rows) >= 7
