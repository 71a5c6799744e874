"""An index gives what asking one by one gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selector_oracle import label_maps, nodes

from nfq_guard.selector.index import LabelIndex, SelectorIndex, demand_of, keys_of
from nfq_guard.selector.selector import Selector, parse

selectors = nodes.map(Selector.of)


@given(st.lists(label_maps, max_size=8), st.lists(selectors, min_size=1, max_size=4))
def test_things_with_labels_are_found_as_by_asking_each(
    things: list[dict[str, str]], asked: list[Selector]
) -> None:
    index = LabelIndex((labels, place) for place, labels in enumerate(things))

    for selector in asked:
        expected = [place for place, labels in enumerate(things) if selector.matches(labels)]
        assert list(index.select(selector)) == expected


@given(st.lists(selectors, max_size=8), st.lists(label_maps, min_size=1, max_size=4))
def test_things_with_selectors_are_found_as_by_asking_each(
    things: list[Selector], asked: list[dict[str, str]]
) -> None:
    index = SelectorIndex((selector, keys_of(selector), place) for place, selector in enumerate(things))

    for labels in asked:
        expected = [place for place, selector in enumerate(things) if selector.matches(labels)]
        assert list(index.selecting(labels)) == expected


KEYS = {
    "all()": (None,),
    "!has(a)": (None,),
    "a != 'x'": (None,),
    "has(a) || has(b)": (None,),
    "has(a)": ("a",),
    "a contains 'x'": ("a",),
    "a == 'x'": (("a", "x"),),
    "has(b) && a == 'x'": (("a", "x"),),
    "a == 'x' && a == 'y'": (),
    "a == 'x' && b in {'y', 'z'}": (("a", "x"),),
}


@pytest.mark.parametrize("text", KEYS)
def test_a_selector_is_filed_under_the_narrowest_that_it_demands(text: str) -> None:
    assert keys_of(parse(text)) == KEYS[text]


def test_each_of_several_values_is_a_key() -> None:
    selector = parse("a in {'x', 'y'}")

    assert set(keys_of(selector)) == {("a", "x"), ("a", "y")}
    assert demand_of(selector) == ("a", {"x", "y"})


class Counted(dict[str, str]):
    """Labels that count how often they are looked at."""

    looks = 0

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        type(self).looks += 1
        return super().get(key, default)


def test_who_has_another_value_is_not_asked() -> None:
    things = [Counted(set=f"s{number}") for number in range(1000)]
    index = LabelIndex((labels, labels["set"]) for labels in things)
    list(index.select(parse("set == 's0'")))
    Counted.looks = 0

    for number in range(100):
        assert list(index.select(parse(f"set == 's{number}'"))) == [f"s{number}"]

    assert Counted.looks == 100
