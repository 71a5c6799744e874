"""What selectors are asked about."""

from __future__ import annotations

import pytest

from nfq_guard.resources import EntityRule
from nfq_guard.resources.labels import Scope, scoped, wanted
from nfq_guard.selector import SelectorCache

IN_NAMESPACE = "has(projectcalico.org/namespace)"
WANTED: dict[str, tuple[dict[str, str], tuple[str | None, str | None]]] = {
    "nothing asked": ({}, (None, None)),
    "a selector": ({"selector": "a=='1'"}, ('a == "1"', None)),
    "a negative one": ({"notSelector": "has( a )"}, (None, "has(a)")),
    "both are asked of one endpoint": (
        {"selector": "has(a)", "notSelector": "has(b)"},
        ("(has(a) && !has(b))", None),
    ),
    "any namespace": ({"namespaceSelector": "all()"}, (IN_NAMESPACE, None)),
    "no namespace": ({"namespaceSelector": "global()"}, (f"!{IN_NAMESPACE}", None)),
    "a namespace's labels": (
        {"namespaceSelector": "team == 'x' || has(y)"},
        ('(pcns.team == "x" || has(pcns.y))', None),
    ),
    "a namespace's labels and the endpoint's": (
        {"selector": "has(a)", "namespaceSelector": "has(b)"},
        ("(has(a) && has(pcns.b))", None),
    ),
    "a namespace, and not some endpoints in it": (
        {"namespaceSelector": "all()", "notSelector": "has(b)"},
        (f"({IN_NAMESPACE} && !has(b))", None),
    ),
}


@pytest.mark.parametrize("case", WANTED)
def test_what_one_side_of_a_rule_asks_for(case: str) -> None:
    fields, expected = WANTED[case]

    positive, negative = wanted(EntityRule.model_validate(fields), SelectorCache())

    assert (positive and positive.canonical, negative and negative.canonical) == expected


def test_ports_and_nets_are_not_asked_of_labels() -> None:
    entity = EntityRule.model_validate(
        {"nets": ["10.0.0.0/8"], "notNets": ["10.1.0.0/16"], "ports": ["http"]}
    )

    assert wanted(entity, SelectorCache()) == (None, None)


SCOPED = {
    "all()": "has(l)",
    " all( ) ": "has(l)",
    "global()": "!has(l)",
    "!all()": "!has(l)",
    "a == 'x' && all()": '(p.a == "x" && has(l))',
    "a == 'x' || !global()": '(p.a == "x" || has(l))',
}


@pytest.mark.parametrize("text", SCOPED)
def test_a_scope_asks_for_its_label_where_it_says_all_and_else_for_labels_behind_a_prefix(text: str) -> None:
    assert scoped(SelectorCache(), text, Scope("l", "p.")).canonical == SCOPED[text]
