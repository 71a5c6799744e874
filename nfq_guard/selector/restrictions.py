"""What a selector demands of single labels: a bound to index endpoints by.

Owns a necessary condition only: labels a selector matches meet every restriction, labels
that meet them all need not match. Must never be used in the place of evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.selector.nodes import And, Compare, Has, Member, Node, Not, Operator, Or

if TYPE_CHECKING:
    from collections.abc import Mapping


class Restriction(NamedTuple):
    """What one label must be for the selector to match at all."""

    present: bool = False
    absent: bool = False
    """Both true: the selector matches nothing."""
    values: frozenset[str] | None = None
    """The label must have one of these; None: any value; empty: the selector matches nothing."""


NONE = Restriction()
PRESENT = Restriction(present=True)


def restrictions_of(node: Node) -> Mapping[str, Restriction]:
    """Return by label what the node demands; a label that may be anything is not in it.

    As Calico derives them: `!` keeps nothing but the absence that `!has(label)` asks for.
    """
    match node:
        case Has(label):
            return {label: PRESENT}
        case Compare(label, Operator.EQUAL, value):
            return {label: Restriction(present=True, values=frozenset({value}))}
        case Compare(label, Operator.CONTAINS | Operator.STARTS_WITH | Operator.ENDS_WITH):
            return {label: PRESENT}
        case Member(label, values, negated=False):
            return {label: Restriction(present=True, values=frozenset(values))}
        case Not(Has(label)):
            return {label: Restriction(absent=True)}
        case And(operands):
            return _all_of([restrictions_of(operand) for operand in operands])
        case Or(operands):
            return _any_of([restrictions_of(operand) for operand in operands])
        case _:
            return {}


def _all_of(parts: list[Mapping[str, Restriction]]) -> Mapping[str, Restriction]:
    found: dict[str, Restriction] = {}
    for part in parts:
        for label, restriction in part.items():
            found[label] = _both(found.get(label, NONE), restriction)
    return found


def _any_of(parts: list[Mapping[str, Restriction]]) -> Mapping[str, Restriction]:
    found = parts[0]
    for part in parts[1:]:
        merged = {label: _either(one, part.get(label, NONE)) for label, one in found.items()}
        found = {label: one for label, one in merged.items() if one != NONE}
    return found


def _both(one: Restriction, other: Restriction) -> Restriction:
    values = one.values
    if values is None:
        values = other.values
    elif other.values is not None:
        values &= other.values
    return Restriction(one.present or other.present, one.absent or other.absent, values)


def _either(one: Restriction, other: Restriction) -> Restriction:
    values = None if one.values is None or other.values is None else one.values | other.values
    return Restriction(one.present and other.present, one.absent and other.absent, values)
