"""Random selectors, and the plainest evaluation of them that can be right.

`select` is written from Calico's table of operators and never made faster: the compiled
predicates are compared with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from nfq_guard.selector.errors import SelectorError
from nfq_guard.selector.nodes import (
    ALL,
    And,
    Compare,
    Global,
    Has,
    Member,
    Node,
    Not,
    Operator,
    Or,
    member,
    negation,
)
from nfq_guard.selector.parser import parse_node

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELS = ("a", "b", "in", "not", "has", "all", "contains", "k8s.io/app-name_1", "0", "-")
"""Few, so that labels meet; among them every word that is an operator elsewhere."""

VALUES = ("", "a", "b", "ab", "ba", "aba", "'", '"', " ", "é", "\U0001f600", "all()", "a && b", "\n")

labels = st.sampled_from(LABELS)
values = st.sampled_from(VALUES) | st.text(st.characters(exclude_characters="'", codec="utf-8"), max_size=4)
label_maps = st.dictionaries(labels, values, max_size=4)

leaves: st.SearchStrategy[Node] = st.one_of(
    st.just(ALL),
    st.just(Global()),
    labels.map(Has),
    st.builds(Compare, labels, st.sampled_from(Operator), values),
    st.builds(member, labels, st.lists(values, max_size=4), negated=st.booleans()),
)


def _branches(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    many = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return inner.map(negation) | many.map(And) | many.map(Or)


nodes: st.SearchStrategy[Node] = st.recursive(leaves, _branches, max_leaves=12)


def select(node: Node, having: Mapping[str, str]) -> bool:
    """Return whether labels are selected, read off the table of operators."""
    if isinstance(node, Not):
        return not select(node.operand, having)
    if isinstance(node, And):
        return all(select(operand, having) for operand in node.operands)
    if isinstance(node, Or):
        return any(select(operand, having) for operand in node.operands)
    if isinstance(node, Has):
        return node.label in having
    if isinstance(node, Member):
        if node.label not in having:
            return node.negated
        return (having[node.label] in node.values) != node.negated
    if isinstance(node, Compare):
        return _compare(node, having)
    return True


def _compare(node: Compare, having: Mapping[str, str]) -> bool:
    if node.label not in having:
        return node.operator is Operator.NOT_EQUAL
    # Calico compares bytes.
    found, wanted = having[node.label].encode(), node.value.encode()
    return {
        Operator.EQUAL: found == wanted,
        Operator.NOT_EQUAL: found != wanted,
        Operator.CONTAINS: wanted in found,
        Operator.STARTS_WITH: found[: len(wanted)] == wanted,
        Operator.ENDS_WITH: found[max(len(found) - len(wanted), 0) :] == wanted,
    }[node.operator]


def refusal(text: str) -> SelectorError | None:
    """Return the error of a text outside the language; None for a selector."""
    try:
        parse_node(text)
    except SelectorError as error:
        return error
    return None
