"""The sentences of selector errors: what was found, what was expected, how to mend it.

Owns the tables of common mistakes. Must never decide whether text is right: it is asked
only once text is known to be wrong.
"""

from __future__ import annotations

from string import ascii_letters, digits

from nfq_guard.selector.errors import quoted, show

OPERATORS = "`==`, `!=`, `in`, `not in`, `contains`, `starts with` or `ends with`"
OPERAND = "a label name, `has(label)`, `all()`, `global()`, `!` or `(`"
JOINT = "`&&`, `||` or the end"

WORDS_FOR_MARKS = {"and": "&&", "or": "||"}
"""Words from other languages, in any case, and what is meant here."""

CALL_WORDS = frozenset({"has", "all", "global"})

OPERATOR_FOR = {
    "is": "==",
    "eq": "==",
    "equals": "==",
    "ne": "!=",
    "neq": "!=",
    "like": "contains",
    "includes": "contains",
    "in": "in",
    "not": "not in",
    "notin": "not in",
    "contains": "contains",
    "starts": "starts with",
    "startswith": "starts with",
    "ends": "ends with",
    "endswith": "ends with",
}
"""What somebody who wrote this word (in any case) after a label wants."""

STRAY = {
    "===": "found `===`, expected `==`",
    "=~": "found `=~`, expected `==`; there are no regular expressions, see `contains`",
    "=": "found `=`, expected `==`",
    "&": "found a single `&`, expected `&&`",
    "|": "found a single `|`, expected `||`",
    "<>": "found `<>`, expected `!=`",
    "~": "found `~`, expected an operator; to negate, write `!`",
    "*": "found `*`, which is no operator or name; to select everything, write `all()`",
    "[": 'found `[`; a set of values stands in braces, as in {"a", "b"}',
    "\n": "found a line break, expected a selector on one line (a value in quotes may hold one)",
    "\r": "found a carriage return, expected a selector on one line",
    '"': 'found a `"` that no second `"` closes; a value stands between two of the same quotes',
    "'": "found a `'` that no second `'` closes; a value stands between two of the same quotes",
}
"""Sentences for text that is no token, by how it begins; the first that fits counts."""

LONGEST_STRAY = max(map(len, STRAY))

TYPOGRAPHIC_QUOTES = frozenset(
    "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}`\N{ACUTE ACCENT}"
    "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}"
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
)
"""What word processors make of quotes."""

BLANKS = frozenset(" \t")
NAME_CHARACTERS = frozenset(ascii_letters + digits + "_./-")


def stray(rest: str) -> str:
    """Return what to say about text that is no token."""
    for start, sentence in STRAY.items():
        if rest.startswith(start):
            return sentence
    found = show(rest[0])
    if rest[0] in TYPOGRAPHIC_QUOTES:
        return f"found the quote U+{ord(rest[0]):04X}, expected a plain `'` or `\"`"
    if rest[0].isspace():
        return f"found the blank {found}, expected only spaces and tabs between words"
    return f"found {found}, which has no meaning in a selector; values stand in quotes"


def half_character(char: str) -> str:
    """Return what to say about a lone surrogate."""
    return f"found half a character (U+{ord(char):04X}), expected valid Unicode text"


def label_too_long(label: str, limit: int) -> str:
    """Return what to say about an overlong label name."""
    return f"found a label name of {len(label)} characters, {show(label)}, expected at most {limit}"


def unclosed_call(text: str, at: int, call: str) -> tuple[str, int]:
    """Return what to say about `has(`, `all(` or `global(` that does not go on as it must, and where.

    `at` and the place returned are indices, the former right behind the parenthesis.
    """
    at = _skip(text, at, BLANKS)
    if call != "has(":
        return f"found {_at(text, at)}, expected the `)` of `{call})`, which takes nothing", at
    end = _skip(text, at, NAME_CHARACTERS)
    if end > at:
        end = _skip(text, end, BLANKS)
        return f"found {_at(text, end)}, expected the `)` that closes `has(`", end
    return f"found {_at(text, at)}, expected a label name without quotes, as in `has(label)`", at


def _skip(text: str, at: int, characters: frozenset[str]) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _at(text: str, at: int) -> str:
    return show(text[at]) if at < len(text) else "the end"


def unknown_operator(label: str, word: str) -> str:
    """Return what to say about a word after a label that is no operator."""
    if label.lower() == "not":
        return (
            f"found {show(word)} after {show(label)}, expected an operator; to negate, write `!` in its place"
        )
    meant = OPERATOR_FOR.get(word.lower())
    if meant is not None:
        return f"found {show(word)}, expected {show(meant)}"
    return f"found {show(word)} after the label {show(label)}, expected {OPERATORS}"


def not_an_operand(found: str, *, string: bool) -> str:
    """Return what to say about a token where an operand must begin."""
    if string:
        return f"found the quoted {show(found)}, expected a label name; label names have no quotes"
    if not found:
        return f"found the end, expected {OPERAND}"
    return f"found {show(found)}, expected {OPERAND}"


def not_an_operator(label: str, found: str) -> str:
    """Return what to say about a token after a label that is no operator."""
    if found.startswith("(") and label in CALL_WORDS:
        return f"found a blank between `{label}` and `(`, expected `{label}(` as one word"
    if not found:
        return f"found the end after the label {show(label)}, expected {OPERATORS}"
    return f"found {show(found)} after the label {show(label)}, expected {OPERATORS}"


def not_a_value(found: str, *, label: bool) -> str:
    """Return what to say about a token where a quoted value must stand."""
    if label:
        return f"found {show(found)}, expected a value in quotes; write {show(quoted(found))}"
    return f"found {show(found) if found else 'the end'}, expected a value in quotes"


def not_a_set(found: str, *, string: bool) -> str:
    """Return what to say about a token after `in` that opens no set."""
    if string:
        return f"found {show(found)}, expected a set of values in braces; write {show('{' + found + '}')}"
    what = show(found) if found else "the end"
    return f'found {what}, expected a set of values in braces, as in {{"a", "b"}}'


def not_in_set(found: str, *, label: bool) -> str:
    """Return what to say about a token inside braces that belongs nowhere there."""
    if label:
        return not_a_value(found, label=True)
    what = show(found) if found else "the end"
    return f"found {what}, expected a value in quotes, `,` or the `}}` that closes the set"


def not_a_joint(found: str, opened: int | None) -> str:
    """Return what to say about a token behind a complete expression.

    `opened` is the column of the innermost open parenthesis, if there is one.
    """
    mark = WORDS_FOR_MARKS.get(found.lower())
    if mark is not None:
        return f"found {show(found)}, expected {show(mark)}"
    if opened is not None:
        what = show(found) if found else "the end"
        return f"found {what}, expected `&&`, `||` or the `)` that closes column {opened}"
    if found == ")":
        return "found `)`, which closes nothing, expected " + JOINT
    if found == ",":
        return "found `,`, expected `&&`: conditions are not listed but joined"
    return f"found {show(found)}, expected {JOINT}"


def too_deep(limit: int) -> str:
    """Return what to say about nesting past the limit."""
    return f"found conditions nested more than {limit} deep, expected a flatter selector"
