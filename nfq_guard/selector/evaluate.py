"""A syntax tree to a predicate over labels.

Owns what each operator means, above all for a label that is missing: `!=` and `not in`
are true of it, every other comparison is false (Calico).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nfq_guard.selector.nodes import All, And, Compare, Global, Has, Member, Node, Not, Operator, Or

Labels = Mapping[str, str]
Predicate = Callable[[Labels], bool]


def compile_node(node: Node) -> Predicate:
    """Return a predicate that holds of the labels the node selects.

    Closures, one call per node: operators are looked up here, once, and not per evaluation.
    """
    match node:
        case All() | Global():
            return _always
        case Has(label):
            return lambda labels: label in labels
        case Compare(label, operator, value):
            return COMPARISONS[operator](label, value)
        case Member(label, values, negated):
            return _member(label, frozenset(values), negated=negated)
        case Not(operand):
            inner = compile_node(operand)
            return lambda labels: not inner(labels)
        case And(operands):
            return _every([compile_node(operand) for operand in operands])
        case Or(operands):
            return _some([compile_node(operand) for operand in operands])


def _always(_labels: Labels) -> bool:
    return True


def _equal(label: str, value: str) -> Predicate:
    return lambda labels: labels.get(label) == value


def _not_equal(label: str, value: str) -> Predicate:
    return lambda labels: labels.get(label) != value


def _contains(label: str, value: str) -> Predicate:
    return lambda labels: (found := labels.get(label)) is not None and value in found


def _starts_with(label: str, value: str) -> Predicate:
    return lambda labels: (found := labels.get(label)) is not None and found.startswith(value)


def _ends_with(label: str, value: str) -> Predicate:
    return lambda labels: (found := labels.get(label)) is not None and found.endswith(value)


COMPARISONS: Mapping[Operator, Callable[[str, str], Predicate]] = {
    Operator.EQUAL: _equal,
    Operator.NOT_EQUAL: _not_equal,
    Operator.CONTAINS: _contains,
    Operator.STARTS_WITH: _starts_with,
    Operator.ENDS_WITH: _ends_with,
}


def _member(label: str, values: frozenset[str], *, negated: bool) -> Predicate:
    # A missing label reads as None, which is in no set of strings: `in` false, `not in` true.
    if negated:
        return lambda labels: labels.get(label) not in values
    return lambda labels: labels.get(label) in values


def _every(predicates: list[Predicate]) -> Predicate:
    # Plain loops: `all` over a generator costs a second stack frame a level, and more time.
    def holds(labels: Labels) -> bool:
        for predicate in predicates:  # noqa: SIM110 - see above
            if not predicate(labels):
                return False
        return True

    return holds


def _some(predicates: list[Predicate]) -> Predicate:
    def holds(labels: Labels) -> bool:
        for predicate in predicates:  # noqa: SIM110 - see above
            if predicate(labels):
                return True
        return False

    return holds
