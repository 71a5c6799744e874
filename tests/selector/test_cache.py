from __future__ import annotations

import pytest

from nfq_guard.selector import SelectorCache, SelectorError, parse


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
