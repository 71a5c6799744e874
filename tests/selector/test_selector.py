from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from selector_oracle import label_maps, nodes

from nfq_guard.selector import Selector, SelectorError, conjoin, negate, parse
from nfq_guard.selector.parser import MAX_DEPTH
from nfq_guard.selector.restrictions import PRESENT

if TYPE_CHECKING:
    from pathlib import Path

    from nfq_guard.selector.nodes import Node


def load(cases_dir: Path, group: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((cases_dir / "selector.json").read_text())[group]
    return cases


@pytest.mark.conformance
def test_every_canonical_text_and_uid_of_calico_comes_out(cases_dir: Path) -> None:
    expected = [(case["input"], case["canonical"], case["uid"]) for case in load(cases_dir, "canonical")]

    actual = [(text, parse(text).canonical, parse(text).uid) for text, _, _ in expected]

    assert actual == expected
    assert len(expected) >= 17


@pytest.mark.conformance
def test_the_canonical_text_of_every_valid_case_is_its_own_canonical_text(cases_dir: Path) -> None:
    texts = [case["selector"] for group in ("eval", "label_restrictions") for case in load(cases_dir, group)]

    canonical = [parse(text).canonical for text in texts]

    assert [parse(text).canonical for text in canonical] == canonical


def test_selectors_are_equal_by_meaning_of_their_text_and_work_as_keys() -> None:
    one, other = parse("a in {'y', 'x'}"), parse(' (a in{"x","y","x"}) ')

    assert one == other
    assert {one: 1}[other] == 1
    assert one != parse("a in {'x'}")
    assert str(one) == 'a in {"x", "y"}'


@given(nodes, label_maps)
def test_a_pickled_selector_comes_back_whole(node: Node, having: dict[str, str]) -> None:
    before = Selector.of(node)

    after = pickle.loads(pickle.dumps(before))  # noqa: S301 - our own bytes

    assert after == before
    assert after.uid == before.uid
    assert after.matches(having) == before.matches(having)


def test_the_deepest_selector_can_be_pickled() -> None:
    levels = MAX_DEPTH - 1
    deepest = parse("has(a)&&(" * levels + "has(b)" + ")" * levels)

    assert pickle.loads(pickle.dumps(deepest)) == deepest  # noqa: S301 - our own bytes


@given(nodes, nodes, label_maps)
def test_combinations_select_what_their_names_say(one: Node, other: Node, having: dict[str, str]) -> None:
    left, right = Selector.of(one), Selector.of(other)

    assert conjoin(left, right).matches(having) == (left.matches(having) and right.matches(having))
    assert negate(left).matches(having) == (not left.matches(having))
    assert parse(conjoin(left, negate(right)).canonical) == conjoin(left, negate(right))


def test_a_selector_with_its_negative_reads_as_calico_joins_them() -> None:
    assert conjoin(parse("a == 'x'"), negate(parse("has(b) || has(c)"))).canonical == (
        '(a == "x" && !(has(b) || has(c)))'
    )


def test_a_prefix_renames_every_label() -> None:
    prefixed = parse("a == 'a' && !has(b)").with_prefix("pcns.")

    assert prefixed.canonical == '(pcns.a == "a" && !has(pcns.b))'
    assert prefixed.matches({"pcns.a": "a", "b": ""})


def test_restrictions_are_those_of_the_tree() -> None:
    assert parse("has(a) && b != 'x'").restrictions() == {"a": PRESENT}


def test_text_outside_the_language_is_refused() -> None:
    with pytest.raises(SelectorError) as raised:
        parse("a = 'b'")

    assert (raised.value.text, raised.value.column) == ("a = 'b'", 3)
