from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nfq_guard.selector import SelectorCache, SelectorError, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.selector import Selector


def test_a_text_seen_again_is_not_parsed_again() -> None:
    cache = SelectorCache(8)

    first, second = cache.get("has(a)"), cache.get("has(a)")

    assert first is second
    assert (cache.hits, cache.misses, len(cache)) == (1, 1, 1)
    assert first == parse("has(a)")


def test_texts_that_mean_the_same_share_one_selector() -> None:
    cache = SelectorCache(8)

    assert cache.get("has(a)") is cache.get(" ( has( a ) )")
    assert (cache.hits, cache.misses, len(cache)) == (0, 2, 2)


def test_the_least_recently_used_text_is_forgotten_first() -> None:
    cache = SelectorCache(2)
    cache.get("has(a)")
    cache.get("has(b)")
    cache.get("has(a)")
    cache.get("has(c)")

    cache.get("has(a)")
    cache.get("has(b)")

    assert (cache.hits, cache.misses, len(cache)) == (2, 4, 2)


def test_a_selector_still_in_use_is_shared_after_its_text_was_forgotten() -> None:
    cache = SelectorCache(1)
    kept = cache.get("has(a)")
    cache.get("has(b)")

    assert cache.get("has(a)") is kept


def test_a_refused_text_is_not_remembered() -> None:
    cache = SelectorCache(8)

    for _ in range(2):
        with pytest.raises(SelectorError):
            cache.get("a = 'b'")

    assert (cache.hits, cache.misses, len(cache)) == (0, 2, 0)


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SelectorCache(0)


COMBINED: dict[str, Callable[[SelectorCache, Selector, Selector], Selector]] = {
    "(has(a) && has(b))": lambda cache, one, other: cache.conjoin(one, other),
    "!has(a)": lambda cache, one, _: cache.negate(one),
    "has(p.a)": lambda cache, one, _: cache.with_prefix(one, "p.", "member"),
}


@pytest.mark.parametrize("text", COMBINED)
def test_what_was_combined_once_is_not_combined_again(text: str) -> None:
    cache = SelectorCache(8)
    one, other = cache.get("has(a)"), cache.get("has(b)")

    made = COMBINED[text](cache, one, other)

    assert made.canonical == text
    assert COMBINED[text](cache, one, other) is made
    assert cache.get(text) is made, "texts that mean the same share one selector"


def test_prefixes_are_told_apart() -> None:
    cache = SelectorCache(8)
    everything = cache.get("all()")

    assert cache.with_prefix(everything, "p.", "m").canonical == "has(m)"
    assert cache.with_prefix(everything, "p.", "n").canonical == "has(n)"
    assert cache.with_prefix(cache.get("has(a)"), "q.", "m").canonical == "has(q.a)"
