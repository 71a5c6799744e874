"""Tokens to a syntax tree, without recursion.

Owns the grammar: `!` binds tighter than `&&`, `&&` tighter than `||`. Must never raise
anything but SelectorError, whatever the text: open parentheses are kept on a list, not
on the stack, and the tree's depth is bounded for those who walk it.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from nfq_guard.selector import hints
from nfq_guard.selector.errors import SelectorError
from nfq_guard.selector.nodes import (
    ALL,
    And,
    Compare,
    Global,
    Has,
    Node,
    Not,
    Operator,
    Or,
    group,
    member,
    negation,
)
from nfq_guard.selector.tokens import Kind, Token, tokenize

MAX_DEPTH = 208
"""Deepest tree. A level takes five characters at least, as in `!(all()||`, so that every
selector within the 1024 characters a resource may hold fits; those who walk the tree call
themselves twice a level at most, and Python's stack has room for 1000 calls."""

COMPARISONS = {
    Kind.EQ: Operator.EQUAL,
    Kind.NE: Operator.NOT_EQUAL,
    Kind.CONTAINS: Operator.CONTAINS,
    Kind.STARTS_WITH: Operator.STARTS_WITH,
    Kind.ENDS_WITH: Operator.ENDS_WITH,
}


def parse_node(text: str) -> Node:
    """Return the tree of a selector; nothing but blanks is `all()`. Raises SelectorError."""
    return _Parser(text).selector()


class _Term(NamedTuple):
    node: Node
    depth: int
    """Of the tree below, a leaf being 1."""


class _Group:
    """What stands between two parentheses so far; the whole selector is one, too."""

    def __init__(self, *, negated: bool, column: int | None) -> None:
        self.negated = negated
        self.column = column
        """Of the opening parenthesis; None for the whole selector."""
        self.alternatives: list[list[_Term]] = [[]]

    def add(self, term: _Term) -> None:
        self.alternatives[-1].append(term)

    def close(self) -> _Term:
        """Return the group as one term."""
        return _join(Or, [_join(And, terms) for terms in self.alternatives])


def _join(kind: type[And | Or], terms: list[_Term]) -> _Term:
    depth = max(term.depth for term in terms) + (len(terms) > 1)
    return _Term(group(kind, [term.node for term in terms]), depth)


class _Parser:
    """One parse of one text; the open groups are its only state."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._whole = _Group(negated=False, column=None)
        self._open = [self._whole]

    def selector(self) -> Node:
        token = self._next()
        if token.kind is Kind.END:
            return ALL
        while True:
            self._operand(token)
            token = self._joint()
            if token.kind is Kind.END:
                return self._close(token).node

    def _next(self) -> Token:
        return next(self._tokens)

    def _operand(self, token: Token) -> None:
        """Read up to the end of the next leaf, opening groups on the way."""
        negated = False
        while token.kind in {Kind.NOT, Kind.LPAREN}:
            if token.kind is Kind.NOT:
                negated = not negated
            else:
                self._open.append(_Group(negated=negated, column=token.column))
                negated = False
            token = self._next()
        self._add(_Term(self._leaf(token), 1), token, negated=negated)

    def _joint(self) -> Token:
        """Read up to the next operand and return its first token, or END."""
        while True:
            token = self._next()
            if token.kind is Kind.AND:
                return self._next_operand()
            if token.kind is Kind.OR:
                self._open[-1].alternatives.append([])
                return self._next_operand()
            if token.kind is Kind.END and self._open[-1] is self._whole:
                return token
            if token.kind is not Kind.RPAREN or self._open[-1] is self._whole:
                self._fail(token, hints.not_a_joint(token.text, self._open[-1].column))
            closed = self._open.pop()
            self._add(closed.close(), token, negated=closed.negated)

    def _next_operand(self) -> Token:
        token = self._next()
        if token.kind is Kind.END:
            self._fail(token, hints.not_an_operand("", string=False))
        return token

    def _add(self, term: _Term, token: Token, *, negated: bool) -> None:
        if negated:
            term = _Term(negation(term.node), term.depth + (-1 if isinstance(term.node, Not) else 1))
        self._bound(term, token)
        self._open[-1].add(term)

    def _close(self, token: Token) -> _Term:
        term = self._whole.close()
        self._bound(term, token)
        return term

    def _bound(self, term: _Term, token: Token) -> None:
        if term.depth > MAX_DEPTH:
            self._fail(token, hints.too_deep(MAX_DEPTH))

    def _leaf(self, token: Token) -> Node:
        if token.kind is Kind.LABEL:
            return self._condition(token.value)
        if token.kind is Kind.HAS:
            return Has(token.value)
        if token.kind is Kind.ALL:
            return ALL
        if token.kind is Kind.GLOBAL:
            return Global()
        return self._fail(token, hints.not_an_operand(token.text, string=token.kind is Kind.STRING))

    def _condition(self, label: str) -> Node:
        token = self._next()
        if token.kind in COMPARISONS:
            return Compare(label, COMPARISONS[token.kind], self._value())
        if token.kind in {Kind.IN, Kind.NOT_IN}:
            return member(label, self._set(), negated=token.kind is Kind.NOT_IN)
        return self._fail(token, hints.not_an_operator(label, token.text))

    def _value(self) -> str:
        token = self._next()
        if token.kind is not Kind.STRING:
            self._fail(token, hints.not_a_value(token.text, label=token.kind is Kind.LABEL))
        return token.value

    def _set(self) -> list[str]:
        """Read `{"a", "b"}`; it may be empty or end in a comma."""
        token = self._next()
        if token.kind is not Kind.LBRACE:
            self._fail(token, hints.not_a_set(token.text, string=token.kind is Kind.STRING))
        values: list[str] = []
        while (token := self._next()).kind is Kind.STRING:
            values.append(token.value)
            if (token := self._next()).kind is not Kind.COMMA:
                break
        if token.kind is not Kind.RBRACE:
            self._fail(token, hints.not_in_set(token.text, label=token.kind is Kind.LABEL))
        return values

    def _fail(self, token: Token, message: str) -> NoReturn:
        raise SelectorError(message, token.column, self._text)
