from __future__ import annotations

import pytest
from filter_oracle import NODES
from hypothesis import given

from nfq_guard.model.addresses import parse_net
from nfq_guard.stream.nodes import (
    And,
    Compare,
    Everything,
    Node,
    Not,
    Operator,
    Or,
    all_of,
    any_of,
    opposite,
    render,
)
from nfq_guard.stream.parser import parse_node
from nfq_guard.stream.values import Span

A = Compare("dport", Operator.EQUAL, (Span(443, 443),))
B = Compare("verdict", Operator.EQUAL, ("deny",))
C = Compare("iface", Operator.LIKE, ("eth*",))

RENDERED: dict[str, tuple[Node, str]] = {
    "a comparison": (A, "dport == 443"),
    "a pattern": (C, "iface ~ eth*"),
    "a set": (
        Compare("src", Operator.EQUAL, (parse_net("10.0.0.0/8"), parse_net("fd00::1/128"))),
        "src in {10.0.0.0/8, fd00::1}",
    ),
    "no member of a set": (
        Compare("proto", Operator.NOT_EQUAL, (Span(6, 6), Span(17, 17))),
        "proto not in {tcp, udp}",
    ),
    "one of two patterns": (Compare("policy", Operator.UNLIKE, ("a*", "b*")), "policy !~ {a*, b*}"),
    "alternatives in a conjunction stand in parentheses": (
        And((A, Or((B, C)))),
        "dport == 443 and (verdict == deny or iface ~ eth*)",
    ),
    "a conjunction among alternatives does not": (
        Or((And((A, B)), C)),
        "dport == 443 and verdict == deny or iface ~ eth*",
    ),
    "a comparison is negated as it is": (Not(A), "not dport == 443"),
    "a group in parentheses": (Not(And((A, B))), "not (dport == 443 and verdict == deny)"),
    "everything is no text": (Everything(), ""),
}


@pytest.mark.parametrize(("node", "text"), RENDERED.values(), ids=RENDERED.keys())
def test_canonical_text(node: Node, text: str) -> None:
    assert render(node) == text
    assert parse_node(text) == node


@given(NODES)
def test_what_is_printed_reads_back_as_the_same(node: Node) -> None:
    assert parse_node(render(node)) == node


def test_groups_of_a_kind_become_one() -> None:
    assert all_of([all_of([A, B]), C]) == And((A, B, C))
    assert any_of([A, any_of([B, C])]) == Or((A, B, C))
    assert all_of([A]) == any_of([A]) == A


def test_everything_is_no_part_of_anything() -> None:
    assert all_of([]) == all_of([Everything()]) == Everything()
    assert all_of([Everything(), A]) == A
    assert any_of([A, Everything()]) == Everything()


def test_two_negations_are_none() -> None:
    assert opposite(opposite(A)) == A
