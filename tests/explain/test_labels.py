"""What of a selector labels do not fulfil."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import labels, selectors

from nfq_guard.explain.labels import slip, why_not
from nfq_guard.selector import parse

WEB = {"role": "web", "zone": "a1"}


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("role == 'db'", "label role is 'web', role == \"db\" is wanted"),
        ("role in {'db', 'cache'}", 'label role is \'web\', role in {"cache", "db"} is wanted'),
        ("has(team)", "there is no label team"),
        ("team == 'a'", 'there is no label team, team == "a" is wanted'),
        ("role == 'web' && team == 'a'", 'there is no label team, team == "a" is wanted'),
        ("!has(zone)", "has(zone) is true of it"),
        (
            "role == 'db' || has(team)",
            "(label role is 'web', role == \"db\" is wanted) and (there is no label team)",
        ),
        ("global() && !all()", "all() is true of it"),
        ("role == 'web'", ""),
    ],
)
def test_only_what_fails_is_blamed(selector: str, said: str) -> None:
    assert why_not(parse(selector), WEB) == said


@given(selectors, labels)
def test_something_is_blamed_whenever_a_selector_does_not_match(
    selector: str, given_labels: dict[str, str]
) -> None:
    found = parse(selector)

    assert bool(why_not(found, given_labels)) is not found.matches(given_labels)


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("role == 'wbe'", "role is 'web', and 'wbe' is wanted"),
        ("rol == 'web'", "there is a label 'role', and 'rol' is asked for"),
        ("role in {'wob', 'db'}", "role is 'web', and 'wob' is wanted"),
        ("role == 'database'", ""),
        ("role not in {'web'}", ""),
        ("role == 'web'", ""),
        ("!(role == 'wbe')", ""),
    ],
)
def test_a_slip_is_guessed_where_words_are_nearly_the_same(selector: str, said: str) -> None:
    found = slip(parse(selector), WEB)

    assert found.startswith(said)
    assert bool(found) is bool(said)


@given(st.text(max_size=5))
def test_a_value_with_any_text_can_be_blamed(value: str) -> None:
    assert "role" in why_not(parse("role == 'never'"), {"role": value})
