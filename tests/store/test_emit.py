from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.store import emit
from nfq_guard.store.edit import read_data
from nfq_guard.store.emit import Style
from nfq_guard.store.values import same

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    texts | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e18, 1e18),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eth0", "eth0"),
        ("role == 'web' && has(zone)", "role == 'web' && has(zone)"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("fd00::1/64", "fd00::1/64"),
        ("::1/128", "'::1/128'"),
        ("2001:db8:100::/64", "2001:db8:100::/64"),
        ("2001:db8::", "'2001:db8::'"),
        ("12:30:45", "'12:30:45'"),
        ("1:20:30.5", "'1:20:30.5'"),
        ("1_000", "'1_000'"),
        ("0x1f", "'0x1f'"),
        ("true", "'true'"),
        ("No", "'No'"),
        ("1", "'1'"),
        ("1:30", "'1:30'"),
        ("8000:8100", "'8000:8100'"),
        ("2026-01-01", "'2026-01-01'"),
        ("", "''"),
        ("*", "'*'"),
        ("it's: so", "'it''s: so'"),
        ("a #b", "'a #b'"),
        ("line\nbreak", '"line\\nbreak"'),
        ("next\x85line", '"next\\u0085line"'),
        ("null", "'null'"),
        ("~x", "'~x'"),
        ("k8s.io/name", "k8s.io/name"),
    ],
)
def test_text_gets_quotes_only_where_a_reader_would_take_it_for_something_else(
    text: str, expected: str
) -> None:
    assert emit.scalar(text) == expected


def test_inside_braces_more_needs_quotes() -> None:
    assert emit.flow({"a": "b,c", "d": ["x]", "plain"]}) == "{a: 'b,c', d: ['x]', plain]}"


@given(values, st.sampled_from([Style(2, 0), Style(2, 2), Style(4, 2), Style(1, 0)]))
def test_yaml_reads_back_as_it_was(value: Any, style: Style) -> None:
    assert same(read_data(emit.yaml_text(value, style)), value)


@given(values)
def test_braces_and_json_read_back_as_they_were(value: Any) -> None:
    assert same(read_data(emit.flow(value)), value)
    assert same(read_data(emit.json_text(value)), value)
    assert same(json.loads(emit.json_text(value, None)), value)


@given(texts)
def test_another_yaml_reader_agrees_about_text(text: str) -> None:
    assert yaml.safe_load(emit.yaml_text({"key": text})) == {"key": text}


def test_a_document_is_laid_out_as_calicoctl_does() -> None:
    document = {"kind": "List", "items": [{"a": 1, "b": ["x"]}, {}], "empty": []}

    assert emit.yaml_text(document) == "kind: List\nitems:\n- a: 1\n  b:\n  - x\n- {}\nempty: []\n"


def test_something_empty_is_a_document_too() -> None:
    assert emit.yaml_text([]) == "[]\n"
