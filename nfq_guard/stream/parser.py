"""Tokens to a syntax tree.

Owns the grammar: `not` binds tighter than `and`, `and` tighter than `or`; conditions
that stand side by side are joined by `and`, a field and a value by `==`, as tcpdump and
nft have it. Must never raise anything but FilterError, whatever the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from nfq_guard.stream.fields import ALIASES, BARE, FALSE, FIELDS, PAIRS, TRUE, Field, Kind
from nfq_guard.stream.nodes import (
    ORDERING,
    PATTERNS,
    Compare,
    Everything,
    Node,
    Operator,
    all_of,
    any_of,
    opposite,
)
from nfq_guard.stream.tokens import FilterError, Sort, Token, tokenize
from nfq_guard.stream.values import Span, nearest, read_pattern, read_value, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.stream.values import Value

MAX_DEPTH = 32
"""Parentheses in each other. Whoever walks the tree calls itself three times for each at most."""

_OPERATORS = {
    **{str(operator): operator for operator in Operator},
    "=": Operator.EQUAL,
    "eq": Operator.EQUAL,
    "is": Operator.EQUAL,
    "ne": Operator.NOT_EQUAL,
    "lt": Operator.LESS,
    "le": Operator.AT_MOST,
    "gt": Operator.MORE,
    "ge": Operator.AT_LEAST,
    "like": Operator.LIKE,
    "glob": Operator.LIKE,
}
_AND, _OR, _NOT = ("and", "&&"), ("or", "||"), ("not", "!")
_FOREIGN = {"contains": "~", "matches": "~", "notin": "not in"}
"""Operators of other languages, and what is meant here."""
_MISSED = {"<>": "!=", "=~": "~", "~=": "~", "=!": "!="}
"""Two marks in a row, and what is meant by them."""
_GLOB = frozenset("*?")
EXPECTED = "a condition, as in `deny`, `tcp`, `dport == 443` or `src in 10.0.0.0/8`"


def parse_node(text: str) -> Node:
    """Return the tree of a filter; nothing but blanks is everything. Raises FilterError."""
    return _Parser(text).filter()


class _Parser:
    """One parse of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._ahead: list[Token] = []
        self._depth = 0

    # -- tokens -----------------------------------------------------------

    def _peek(self, ahead: int = 0) -> Token:
        while len(self._ahead) <= ahead:
            last = self._ahead[-1] if self._ahead else None
            self._ahead.append(last if last and last.sort is Sort.END else next(self._tokens))
        return self._ahead[ahead]

    def _next(self) -> Token:
        token = self._peek()
        self._ahead.pop(0)
        return token

    def _skip(self, *words: str) -> bool:
        """Return whether the next token is one of these, and go past it if it is."""
        found = self._peek().says(*words)
        if found:
            self._next()
        return found

    def _fail(self, token: Token, message: str) -> NoReturn:
        raise FilterError(message, token.column, self._text)

    # -- conditions -------------------------------------------------------

    def filter(self) -> Node:
        if self._peek().sort is Sort.END:
            return Everything()
        node = self._alternatives()
        token = self._peek()
        if token.sort is not Sort.END:
            self._fail(token, self._not_a_joint(token))
        return node

    def _alternatives(self) -> Node:
        found = [self._conditions()]
        while self._skip(*_OR):
            found.append(self._conditions())
        return any_of(found)

    def _conditions(self) -> Node:
        found = [self._condition()]
        while self._skip(*_AND) or self._begins_condition():
            found.append(self._condition())
        return all_of(found)

    def _begins_condition(self) -> bool:
        """Return whether a condition stands right behind another, without a word between."""
        token = self._peek()
        if token.sort is Sort.WORD:
            return not token.says(*_AND, *_OR) and self._is_known(token)
        return token.says("(", "!")

    def _is_known(self, token: Token) -> bool:
        word = token.value.lower()
        return word == "not" or word in FIELDS or word in ALIASES or word in BARE or _is_address(token.value)

    def _condition(self) -> Node:
        negated = False
        while self._skip(*_NOT):
            negated = not negated
        node = self._group() if self._peek().says("(") else self._comparison()
        return opposite(node) if negated else node

    def _group(self) -> Node:
        opened = self._next()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(opened, f"found more than {MAX_DEPTH} parentheses in each other, expected fewer")
        node = self._alternatives()
        token = self._next()
        if not token.says(")"):
            at_end = f"found the end, expected `and`, `or` or the `)` that closes column {opened.column}"
            self._fail(token, at_end if token.sort is Sort.END else self._not_a_joint(token))
        self._depth -= 1
        return node

    def _not_a_joint(self, token: Token) -> str:
        if token.says(")"):
            return "found `)`, which closes nothing, expected `and`, `or` or the end"
        if token.says(","):
            return "found `,`, expected `and` or `or`; a set of values stands in braces, as in {80, 443}"
        if token.value[:1].isdecimal():
            return f"found {shown(token.text)}, expected `and` or `or`; several values stand in braces, as in {{80, 443}}"
        return f"found {shown(token.text)}, expected `and` or `or`{self._near(token)}"

    def _near(self, token: Token) -> str:
        known = (*FIELDS, *ALIASES, *BARE) if token.sort is Sort.WORD else ()
        return nearest(token.value, known)

    # -- comparisons ------------------------------------------------------

    def _comparison(self) -> Node:
        token = self._next()
        if token.sort is not Sort.WORD or token.says(*_AND, *_OR):
            self._fail(token, f"found {shown(token.text)}, expected {EXPECTED}")
        field = self._field(token)
        if field is not None:
            return self._of_field(field)
        meant = BARE.get(token.value.lower())
        if meant is not None:
            return _equal(meant[0], meant[1])
        if _is_address(token.value):
            return _equal("host", token.value)
        return self._fail(token, self._unknown(token))

    def _field(self, token: Token) -> Field | None:
        word = token.value.lower()
        following = self._peek()
        pair = PAIRS.get((word, following.value.lower())) if following.sort is Sort.WORD else None
        if pair is not None:
            self._next()
            return FIELDS[pair]
        return FIELDS.get(ALIASES.get(word, word))

    def _unknown(self, token: Token) -> str:
        if token.value[0].isdecimal():
            return (
                f"found {shown(token.text)}, which belongs to no field; "
                "several values stand in braces, as in `port in {80, 443}`"
            )
        following = self._peek()
        is_field = following.says(*_OPERATORS, "in", "{")
        known = (*FIELDS, *ALIASES) if is_field else (*FIELDS, *ALIASES, *BARE)
        expected = f"a field ({', '.join(FIELDS)})" if is_field else EXPECTED
        if near := nearest(token.value, known):
            return f"found {shown(token.text)}{near}"
        return f"found {shown(token.text)}, expected {expected}"

    def _of_field(self, field: Field) -> Node:
        token = self._peek()
        if field.kind is Kind.FLAG and not self._is_operator(token) and not token.says(TRUE, FALSE):
            return _equal(field.name, TRUE)
        operator, explicit = self._operator(field, token)
        self._check(field, operator, token)
        if self._skip("{"):
            values = self._set(field, operator, token)
        else:
            value = self._next()
            if not explicit and field.kind is Kind.NAME and _is_pattern(value):
                operator = Operator.LIKE
            values = [self._value(field, operator, value)]
        return Compare(field.name, operator, tuple(values))

    def _is_operator(self, token: Token) -> bool:
        return token.says(*_OPERATORS, "in", "{") or (token.says("not") and self._peek(1).says("in"))

    def _operator(self, field: Field, token: Token) -> tuple[Operator, bool]:
        """Go past the operator and return it, and whether there was one: without, a field equals."""
        if token.says("in") and not (field.name == "direction" and not self._is_value(self._peek(1))):
            self._next()
            return Operator.EQUAL, True
        if token.says("not") and self._peek(1).says("in"):
            self._next()
            self._next()
            return Operator.NOT_EQUAL, True
        if token.says(*_FOREIGN):
            self._fail(token, f"found {shown(token.text)}, expected `{_FOREIGN[token.value.lower()]}`")
        if token.says(*_OPERATORS):
            self._next()
            self._refuse_second_mark(token)
            return _OPERATORS[token.value.lower()], True
        if not self._is_value(token):
            self._fail(
                token, f"found {shown(token.text)} after {field.name}, expected a comparison{_ways(field)}"
            )
        return Operator.EQUAL, False

    def _is_value(self, token: Token) -> bool:
        if token.sort is Sort.WORD:
            return not token.says(*_AND, *_OR, "not")
        return token.sort is Sort.STRING or token.says("{")

    def _refuse_second_mark(self, token: Token) -> None:
        following = self._peek()
        if following.sort is Sort.MARK and not following.says("{") and token.sort is Sort.MARK:
            both = token.text + following.text
            expected = f"`{_MISSED[both]}`" if both in _MISSED else "a value"
            self._fail(following, f"found {shown(both)}, expected {expected}")

    def _check(self, field: Field, operator: Operator, token: Token) -> None:
        if operator in ORDERING and field.kind is not Kind.NUMBER:
            self._fail(
                token, f"found {shown(token.text)}, but {field.name} has no order; expected {_EQUALITIES}"
            )
        if operator in PATTERNS and field.kind not in {Kind.NAME, Kind.WORD}:
            self._fail(
                token, f"found {shown(token.text)}, but {field.name} is no name; expected {_EQUALITIES}"
            )

    def _set(self, field: Field, operator: Operator, token: Token) -> list[Value]:
        """Read `80, 443}`; commas may be left out."""
        if operator in ORDERING:
            self._fail(token, f"found a set after {shown(token.text)}, expected one number")
        values = [self._value(field, operator, self._next())]
        while not self._skip("}"):
            self._skip(",")
            if self._skip("}"):
                break
            values.append(self._value(field, operator, self._next()))
        return values

    def _value(self, field: Field, operator: Operator, token: Token) -> Value:
        if token.sort not in {Sort.WORD, Sort.STRING}:
            self._fail(token, f"found {shown(token.text)}, expected a value for {field.name}")
        if operator not in PATTERNS and field.kind is Kind.NAME and _is_pattern(token):
            self._fail(token, f"found the pattern {shown(token.text)}, expected `~` ahead of it, or quotes")
        read: Callable[[Field, str], Value] = read_pattern if operator in PATTERNS else read_value
        try:
            value = read(field, token.value)
        except ValueError as error:
            self._fail(token, str(error))
        if operator in ORDERING and isinstance(value, Span) and value.first != value.last:
            self._fail(token, f"found the range {shown(token.text)}, expected one number")
        return value


_EQUALITIES = "`==`, `!=` or `in`"


def _ways(field: Field) -> str:
    if field.kind is Kind.NUMBER:
        return ": `==`, `!=`, `<`, `<=`, `>`, `>=` or `in`, and a number"
    return ": `==`, `!=`, `in`" + (" or `~`, and a value" if field.kind is Kind.NAME else ", and a value")


def _equal(field: str, text: str) -> Compare:
    return Compare(field, Operator.EQUAL, (read_value(FIELDS[field], text),))


def _is_pattern(token: Token) -> bool:
    return token.sort is Sort.WORD and not _GLOB.isdisjoint(token.value)


def _is_address(text: str) -> bool:
    """Return whether a word is an address or network by itself: `10.0.0.1`, and not `10`."""
    if "." not in text and ":" not in text:
        return False
    try:
        read_value(FIELDS["host"], text)
    except ValueError:
        return False
    return True
