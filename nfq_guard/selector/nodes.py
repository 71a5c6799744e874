"""A selector's syntax tree and its canonical text.

Owns the shape that parsing, evaluation and label restrictions share. Nodes are values:
never changed, compared by content, made once per selector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from nfq_guard.selector.errors import quoted


class Operator(StrEnum):
    """How a label's value is compared with one other; the value is the canonical spelling."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    ENDS_WITH = "ends with"


@dataclass(frozen=True, slots=True)
class All:
    """`all()`: true of everything."""


@dataclass(frozen=True, slots=True)
class Global:
    """`global()`: true of everything; where it stands decides what that is."""


@dataclass(frozen=True, slots=True)
class Has:
    """`has(label)`."""

    label: str


@dataclass(frozen=True, slots=True)
class Compare:
    """`label == "value"` and its kin."""

    label: str
    operator: Operator
    value: str


@dataclass(frozen=True, slots=True)
class Member:
    """`label in {…}`, or `label not in {…}` if negated."""

    label: str
    values: tuple[str, ...]
    """Sorted, without doubles: see `member`."""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """`!operand`. Never made of another Not: see `negation`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class And:
    """`(a && b …)`: two or more operands."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """`(a || b …)`: two or more operands."""

    operands: tuple[Node, ...]


Node = All | Global | Has | Compare | Member | Not | And | Or

ALL = All()


def member(label: str, values: list[str], *, negated: bool) -> Member:
    """Return the membership test of a set; code point order is UTF-8's byte order."""
    return Member(label, tuple(sorted(set(values))), negated)


def negation(node: Node) -> Node:
    """Return the opposite of a node, two negations in a row being none.

    Calico counts `!!` away but keeps `!(!x)`, whose text `!!x` then reads back as `x`;
    counting both away makes printing and parsing inverse.
    """
    return node.operand if isinstance(node, Not) else Not(node)


def group(kind: type[And | Or], operands: list[Node]) -> Node:
    """Return operands joined, or the only one as it is."""
    return operands[0] if len(operands) == 1 else kind(tuple(operands))


def render(node: Node) -> str:
    """Return the canonical text (Calico's `String()`), which parses back to the same node."""
    match node:
        case All():
            return "all()"
        case Global():
            return "global()"
        case Has(label):
            return f"has({label})"
        case Compare(label, operator, value):
            return f"{label} {operator} {quoted(value)}"
        case Member(label, values, negated):
            return f"{label} {'not in' if negated else 'in'} {{{', '.join(map(quoted, values))}}}"
        case Not(operand):
            return f"!{render(operand)}"
        case And(operands):
            return f"({' && '.join(map(render, operands))})"
        case Or(operands):
            return f"({' || '.join(map(render, operands))})"


def prefix_labels(node: Node, prefix: str, member: str = "") -> Node:
    """Return the same tree over labels named prefix + label.

    With `member`, the label that everything inside a namespace has, `all()` stands for
    whatever has it and `global()` for whatever has it not (Calico libcalico-go updateprocessors).
    """
    match node:
        case All() if member:
            return Has(member)
        case Global() if member:
            return Not(Has(member))
        case Has(label) | Compare(label) | Member(label):
            return replace(node, label=prefix + label)
        case Not(operand):
            return negation(prefix_labels(operand, prefix, member))
        case And(operands):
            return And(tuple(prefix_labels(operand, prefix, member) for operand in operands))
        case Or(operands):
            return Or(tuple(prefix_labels(operand, prefix, member) for operand in operands))
        case _:
            return node
