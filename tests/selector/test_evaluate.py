from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from selector_oracle import label_maps, nodes, select

from nfq_guard.selector.evaluate import compile_node
from nfq_guard.selector.parser import parse_node

if TYPE_CHECKING:
    from pathlib import Path

    from nfq_guard.selector.nodes import Node


@pytest.mark.conformance
def test_every_evaluation_case_of_calico_gives_the_same_answer(cases_dir: Path) -> None:
    cases: list[dict[str, Any]] = json.loads((cases_dir / "selector.json").read_text())["eval"]
    expected = [(case["selector"], case["labels"], case["expected"]) for case in cases]

    actual = [(text, having, compile_node(parse_node(text))(having)) for text, having, _ in expected]

    assert actual == expected
    assert len(cases) >= 98


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("a == ''", False),
        ("a != ''", True),
        ("a in {''}", False),
        ("a not in {''}", True),
        ("a contains ''", False),
        ("a starts with ''", False),
        ("a ends with ''", False),
        ("has(a)", False),
        ("all()", True),
        ("global()", True),
    ],
)
def test_only_the_negative_operators_and_the_constants_are_true_of_a_missing_label(
    text: str, *, missing: bool
) -> None:
    assert compile_node(parse_node(text))({"b": ""}) is missing


@pytest.mark.parametrize("text", ["a contains ''", "a starts with ''", "a ends with ''", "has(a)", "a == ''"])
def test_a_label_with_an_empty_value_is_present(text: str) -> None:
    assert compile_node(parse_node(text))({"a": ""}) is True


@pytest.mark.parametrize("having", [{}, {"a": ""}, {"a": "x"}])
def test_no_value_is_in_the_empty_set(having: dict[str, str]) -> None:
    assert compile_node(parse_node("a in {}"))(having) is False
    assert compile_node(parse_node("a not in {}"))(having) is True


def test_values_are_compared_exactly_with_no_case_folding_or_unicode_normal_form() -> None:
    assert compile_node(parse_node("a == 'X'"))({"a": "x"}) is False
    assert compile_node(parse_node("a == 'é'"))({"a": "e\N{COMBINING ACUTE ACCENT}"}) is False


@given(nodes, label_maps)
def test_the_compiled_predicate_agrees_with_the_plain_evaluation(node: Node, having: dict[str, str]) -> None:
    assert compile_node(node)(having) is select(node, having)
