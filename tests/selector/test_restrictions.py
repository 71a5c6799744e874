from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from selector_oracle import label_maps, nodes, select

from nfq_guard.selector.parser import parse_node
from nfq_guard.selector.restrictions import PRESENT, Restriction, restrictions_of

if TYPE_CHECKING:
    from pathlib import Path

    from nfq_guard.selector.nodes import Node


def from_case(fields: dict[str, Any]) -> Restriction:
    values = fields.get("mustHaveOneOfValues")
    return Restriction(
        fields.get("mustBePresent", False),
        fields.get("mustBeAbsent", False),
        None if values is None else frozenset(values),
    )


@pytest.mark.conformance
def test_every_label_restriction_case_of_calico_is_derived_alike(cases_dir: Path) -> None:
    cases: list[dict[str, Any]] = json.loads((cases_dir / "selector.json").read_text())["label_restrictions"]
    expected = [
        (case["selector"], {label: from_case(fields) for label, fields in case["restrictions"].items()})
        for case in cases
    ]

    actual = [(text, restrictions_of(parse_node(text))) for text, _ in expected]

    assert actual == expected
    assert len(cases) >= 32


def fulfils(having: dict[str, str], label: str, restriction: Restriction) -> bool:
    if restriction.present and label not in having:
        return False
    if restriction.absent and label in having:
        return False
    return restriction.values is None or having.get(label) in restriction.values


@given(nodes, label_maps)
def test_labels_that_are_selected_fulfil_every_restriction(node: Node, having: dict[str, str]) -> None:
    if not select(node, having):
        return

    assert all(fulfils(having, label, one) for label, one in restrictions_of(node).items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!has(a) || !has(a)", {"a": Restriction(absent=True)}),
        ("!has(a) || has(a)", {}),
        ("a in {} || a == 'x'", {"a": Restriction(present=True, values=frozenset({"x"}))}),
        ("has(a) || has(a) || has(b)", {}),
        ("(has(a) && has(b)) || has(a)", {"a": PRESENT}),
        ("!(has(a) && has(b))", {}),
    ],
)
def test_alternatives_keep_what_they_share(text: str, expected: dict[str, Restriction]) -> None:
    assert restrictions_of(parse_node(text)) == expected
