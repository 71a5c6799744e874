"""A filter's syntax tree and its canonical text.

Owns the shape that parsing and evaluation share. Nodes are values: never changed,
compared by content. Made by `all_of`, `any_of` and `opposite`, a tree has no node right
below one of its own kind, so that printing and parsing are inverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nfq_guard.stream.fields import FIELDS
from nfq_guard.stream.values import written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.stream.values import Value


class Operator(StrEnum):
    """How a field is compared; the value is the canonical spelling."""

    EQUAL = "=="
    """Something that the event has of the field is among the values."""
    NOT_EQUAL = "!="
    """The event has the field, and nothing of it is among the values."""
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "~"
    """As EQUAL, with shell patterns for values."""
    UNLIKE = "!~"


ORDERING = frozenset({Operator.LESS, Operator.AT_MOST, Operator.MORE, Operator.AT_LEAST})
PATTERNS = frozenset({Operator.LIKE, Operator.UNLIKE})
NEGATED = frozenset({Operator.NOT_EQUAL, Operator.UNLIKE})


@dataclass(frozen=True, slots=True)
class Compare:
    """`dport == 443`, `src in {10.0.0.0/8, fd00::/8}`: one field and its values."""

    field: str
    operator: Operator
    values: tuple[Value, ...]
    """At least one; just one, an exact number, for the operators that order."""


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """`a and b …`: two or more operands."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """`a or b …`: two or more operands."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Everything:
    """No condition at all: the filter of an empty text. Never part of another node."""


Node = Compare | Not | And | Or | Everything


def all_of(operands: Iterable[Node]) -> Node:
    """Return what is true where all operands are; of none: everything."""
    flat = [node for operand in operands for node in _flat(And, operand) if node != Everything()]
    if not flat:
        return Everything()
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(operands: Iterable[Node]) -> Node:
    """Return what is true where any of one or more operands is."""
    flat = [node for operand in operands for node in _flat(Or, operand)]
    if Everything() in flat:
        return Everything()
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def opposite(node: Node) -> Node:
    """Return the opposite of a condition; two in a row are none."""
    return node.operand if isinstance(node, Not) else Not(node)


def _flat(kind: type[And | Or], node: Node) -> Iterator[Node]:
    if isinstance(node, kind):
        yield from node.operands
    else:
        yield node


def render(node: Node) -> str:
    """Return the canonical text, which reads back as the same node."""
    match node:
        case Compare():
            return _comparison(node)
        case Not(operand):
            inner = render(operand)
            return f"not {inner}" if isinstance(operand, Compare) else f"not ({inner})"
        case And(operands):
            parts = (f"({render(each)})" if isinstance(each, Or) else render(each) for each in operands)
            return " and ".join(parts)
        case Or(operands):
            return " or ".join(map(render, operands))
        case Everything():
            return ""


def _comparison(node: Compare) -> str:
    field, operator = FIELDS[node.field], node.operator
    texts = [written(field, value, pattern=operator in PATTERNS) for value in node.values]
    if len(texts) == 1:
        return f"{field.name} {operator} {texts[0]}"
    word = {Operator.EQUAL: "in", Operator.NOT_EQUAL: "not in"}.get(operator, str(operator))
    return f"{field.name} {word} {{{', '.join(texts)}}}"
