from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from selector_oracle import nodes, refusal

from nfq_guard.selector.errors import SelectorError
from nfq_guard.selector.evaluate import compile_node
from nfq_guard.selector.nodes import ALL, And, Compare, Global, Has, Member, Node, Not, Operator, Or, render
from nfq_guard.selector.parser import MAX_DEPTH, parse_node
from nfq_guard.selector.restrictions import restrictions_of

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = Has("a"), Has("b"), Has("c")

SHAPES: dict[str, tuple[str, Node]] = {
    "no text is all()": ("", ALL),
    "blanks are all()": (" \t", ALL),
    "all()": (" all() ", ALL),
    "global()": ("global()", Global()),
    "equality": ("a=='x'", Compare("a", Operator.EQUAL, "x")),
    "inequality": ("a != ''", Compare("a", Operator.NOT_EQUAL, "")),
    "substring": ('a contains"x"', Compare("a", Operator.CONTAINS, "x")),
    "prefix": ("a startswith 'x'", Compare("a", Operator.STARTS_WITH, "x")),
    "suffix": ("a ends with 'x'", Compare("a", Operator.ENDS_WITH, "x")),
    "a set is sorted and without doubles": ("a in {'y','x','y'}", Member("a", ("x", "y"))),
    "a set may be empty": ("a not in {}", Member("a", (), negated=True)),
    "a set may end in a comma": ("a in{'x',}", Member("a", ("x",))),
    "&& binds tighter than ||": ("has(a) || has(b) && has(c)", Or((A, And((B, C))))),
    "|| behind && starts anew": ("has(a) && has(b) || has(c)", Or((And((A, B)), C))),
    "a chain is one node": ("has(a) && has(b) && has(c)", And((A, B, C))),
    "! binds tightest": ("!has(a) && has(b)", And((Not(A), B))),
    "! negates a comparison": ("!a == 'x'", Not(Compare("a", Operator.EQUAL, "x"))),
    "an even number of ! is none": ("!! ! !has(a)", A),
    "an odd number of ! is one": ("!!!has(a)", Not(A)),
    "! of a negated group is none": ("!(!(has(a)))", A),
    "parentheses group": ("has(a) && (has(b) || has(c))", And((A, Or((B, C))))),
    "a group is not flattened": ("has(a) && (has(b) && has(c))", And((A, And((B, C))))),
    "superfluous parentheses vanish": ("(((has(a))))", A),
}


@pytest.mark.parametrize(("text", "node"), SHAPES.values(), ids=SHAPES.keys())
def test_text_becomes_the_tree_it_means(text: str, node: Node) -> None:
    assert parse_node(text) == node


@pytest.mark.conformance
def test_every_selector_that_calico_refuses_is_refused_with_a_column(cases_dir: Path) -> None:
    cases: list[dict[str, Any]] = json.loads((cases_dir / "selector.json").read_text())["invalid"]
    refusals = {case["selector"]: refusal(case["selector"]) for case in cases}

    assert [text for text, error in refusals.items() if error is None] == []
    assert all(error and 1 <= error.column <= len(text) + 1 for text, error in refusals.items())
    assert len(cases) >= 42


@given(nodes)
def test_printing_and_parsing_gives_the_same_tree(node: Node) -> None:
    assert parse_node(render(node)) == node


FRAGMENTS = st.lists(
    st.sampled_from(
        """a in not·in == != 'x' " ' { } , ( ) ! && || & = has( has(a) all() global( contains starts·with"""
        """ and é % · \t \n""".replace(" ", "\0")
        .replace("·", " ")
        .split("\0"),
    ),
    max_size=25,
).map("".join)


@given(st.text() | FRAGMENTS)
@example("has(a)&&(" * 1000)
def test_any_text_is_a_selector_or_a_selector_error_and_prints_stably(text: str) -> None:
    error = refusal(text)

    if error is None:
        node = parse_node(text)
        assert parse_node(render(node)) == node
        return
    assert 1 <= error.column <= len(text) + 1
    assert error.message.isprintable()


def test_superfluous_nesting_of_any_depth_is_read() -> None:
    depth = 50 * sys.getrecursionlimit()

    assert parse_node("(" * depth + "has(a)" + ")" * depth) == A
    assert parse_node("!" * depth + "has(a)") == A
    assert parse_node("!(" * depth + "has(a)" + ")" * depth) == A


@pytest.mark.parametrize("text", ["(" * 50_000, "!" * 50_000, "!(" * 50_000, "has(a)&&(" * 50_000])
def test_deep_nesting_cut_off_is_an_ordinary_error(text: str) -> None:
    with pytest.raises(SelectorError, match="found the end"):
        parse_node(text)


@pytest.mark.parametrize("opening", ["all()&&(", "!(all()||", "all()||(all()&&("])
def test_nesting_past_the_limit_is_an_error_that_names_the_limit(opening: str) -> None:
    levels = 300
    text = opening * levels + "all()" + ")" * (opening.count("(") - opening.count("()")) * levels

    with pytest.raises(SelectorError, match=f"more than {MAX_DEPTH} deep"):
        parse_node(text)


def test_the_deepest_selector_a_resource_can_hold_is_read_evaluated_and_printed() -> None:
    levels = 1019 // len("!(a==''||)")
    text = "!(a==''||" * levels + "all()" + ")" * levels

    node = parse_node(text)

    assert compile_node(node)({"a": "x"}) == (levels % 2 == 0)
    assert render(parse_node(render(node))) == render(node)
    assert restrictions_of(node) == {}


def test_nesting_at_the_limit_is_walked_without_overflow() -> None:
    levels = MAX_DEPTH - 1
    node = parse_node("has(a)&&(" * levels + "has(b)" + ")" * levels)

    assert compile_node(node)({"a": "", "b": ""})
    assert not compile_node(node)({"a": ""})
    assert set(restrictions_of(node)) == {"a", "b"}
    assert render(parse_node(render(node))) == render(node)


def test_a_hundred_thousand_alternatives_are_one_node() -> None:
    node = parse_node(" || ".join(["has(a)"] * 100_000))

    assert isinstance(node, Or)
    assert len(node.operands) == 100_000
