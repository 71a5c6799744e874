from __future__ import annotations

import pytest
from hypothesis import given
from selector_oracle import label_maps, nodes, select

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
    group,
    member,
    negation,
    prefix_labels,
    render,
)

A, B = Has("a"), Has("b")


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (ALL, "all()"),
        (Global(), "global()"),
        (A, "has(a)"),
        (Compare("a", Operator.STARTS_WITH, "x"), 'a starts with "x"'),
        (Compare("a", Operator.NOT_EQUAL, '"'), "a != '\"'"),
        (Member("a", ()), "a in {}"),
        (Member("a", ('"', "x"), negated=True), 'a not in {\'"\', "x"}'),
        (Not(Compare("a", Operator.EQUAL, "")), '!a == ""'),
        (And((A, Or((A, B)), Not(And((A, B))))), "(has(a) && (has(a) || has(b)) && !(has(a) && has(b)))"),
    ],
)
def test_a_node_prints_as_calico_prints_it(node: Node, text: str) -> None:
    assert render(node) == text


def test_a_value_that_no_literal_can_hold_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="both kinds of quotes"):
        render(Compare("a", Operator.EQUAL, "'\""))


def test_a_set_sorts_by_bytes_and_drops_doubles() -> None:
    assert member("a", ["é", "b", "B", "\U0001f600", "b"], negated=False).values == (
        "B",
        "b",
        "é",
        "\U0001f600",
    )


def test_negating_twice_gives_the_node_back() -> None:
    assert negation(A) == Not(A)
    assert negation(negation(A)) == A


def test_a_group_of_one_is_that_one() -> None:
    assert group(Or, [A]) == A
    assert group(Or, [A, B]) == Or((A, B))


def test_a_prefix_goes_before_every_label_and_nothing_else() -> None:
    node = Or((Not(A), And((Compare("b", Operator.EQUAL, "b"), Member("a", ("a",)), ALL, Global()))))

    assert render(prefix_labels(node, "pcns.")) == (
        '(!has(pcns.a) || (pcns.b == "b" && pcns.a in {"a"} && all() && global()))'
    )


@given(nodes, label_maps)
def test_a_prefixed_node_selects_prefixed_labels_alike(node: Node, having: dict[str, str]) -> None:
    prefixed = {f"p.{label}": value for label, value in having.items()}

    assert select(prefix_labels(node, "p."), prefixed) == select(node, having)
