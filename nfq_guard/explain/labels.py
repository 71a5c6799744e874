"""Why labels do not satisfy a selector.

Owns the choice of what to blame in an expression, and guesses at slips of the pen. That it
is not satisfied, the selector says.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from nfq_guard.selector import Selector
from nfq_guard.selector.nodes import And, Compare, Has, Member, Not, Operator, Or, render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nfq_guard.selector.nodes import Node

    Labels = Mapping[str, str]

_ALIKE = 0.6
"""How alike two words are of which one may be meant for the other (difflib's ratio)."""


def why_not(selector: Selector, labels: Labels) -> str:
    """Return what of a selector some labels do not fulfil; empty if they fulfil all of it."""
    return "; ".join(_blamed(selector.node, labels))


def slip(selector: Selector, labels: Labels) -> str:
    """Return what may have been meant: a value or a name in the selector that is nearly what the labels have."""
    for leaf in _leaves(selector.node):
        if Selector.of(leaf).matches(labels):
            continue
        if isinstance(leaf, Compare | Member) and leaf.label in labels:
            found = labels[leaf.label]
            near = get_close_matches(found, _values(leaf), 1, _ALIKE)
            if near:
                return f"{leaf.label} is {found!r}, and {near[0]!r} is wanted: is one of them a slip?"
        elif isinstance(leaf, Compare | Member | Has):
            near = get_close_matches(leaf.label, [name for name in labels if name != leaf.label], 1, _ALIKE)
            if near:
                return (
                    f"there is a label {near[0]!r}, and {leaf.label!r} is asked for: is one of them a slip?"
                )
    return ""


def _blamed(node: Node, labels: Labels) -> Iterator[str]:
    if _holds(node, labels):
        return
    match node:
        case And(operands):
            for operand in operands:
                yield from _blamed(operand, labels)
        case Or(operands):
            yield " and ".join(
                f"({text})" for operand in operands if (text := "; ".join(_blamed(operand, labels)))
            )
        case Compare(label) | Member(label):
            has = f"label {label} is {labels[label]!r}" if label in labels else f"there is no label {label}"
            yield f"{has}, {render(node)} is wanted"
        case Has(label):
            yield f"there is no label {label}"
        case Not(operand):
            yield f"{render(operand)} is true of it"
        case _:
            yield f"{render(node)} is not true of it"


def _holds(node: Node, labels: Labels) -> bool:
    return Selector.of(node).matches(labels)


def _leaves(node: Node) -> Iterator[Node]:
    match node:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from _leaves(operand)
        case Not():
            return
        case _:
            yield node


def _values(leaf: Compare | Member) -> Iterable[str]:
    if isinstance(leaf, Member):
        return () if leaf.negated else leaf.values
    return (leaf.value,) if leaf.operator is Operator.EQUAL else ()
