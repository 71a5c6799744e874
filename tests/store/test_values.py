from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents
from nfq_guard.store.values import data_of, fingerprint, same, without_nulls


def read(text: str, *, nulls: bool = False) -> Any:
    (root,) = read_documents(Source("a.yaml", text.encode())).roots
    return data_of(root, nulls=nulls)


def test_scalars_are_what_calico_reads() -> None:
    assert read("[yes, 010, 1.5, '1', x, 2.0]") == [True, 8, 1.5, "1", "x", 2.0]


def test_what_json_cannot_write_is_text() -> None:
    assert read("[.inf, -.inf, .nan]") == ["+Inf", "-Inf", "NaN"]


def test_a_key_without_value_is_not_there_but_an_item_is() -> None:
    assert read("{a: null, b: [null, 1]}") == {"b": [None, 1]}


def test_a_label_without_value_is_there_with_the_empty_text() -> None:
    assert read("{labels: {a: , b: x}, spec: {labelsToApply: {c: ~}, order: ~}}") == {
        "labels": {"a": "", "b": "x"},
        "spec": {"labelsToApply": {"c": ""}},
    }
    assert read("{labels: ~}") == {}
    assert read("{labels: {a: null}}", nulls=True) == {"labels": {"a": None}}


def test_a_patch_keeps_its_nulls() -> None:
    assert read("{a: null}", nulls=True) == {"a": None}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        (0, False, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        (None, False, False),
        ({}, [], False),
        ("a", "a", True),
    ],
)
def test_same_means_the_same_to_a_decoder(one: Any, other: Any, *, expected: bool) -> None:
    assert same(one, other) is expected
    assert same(other, one) is expected


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})


def test_nulls_go_from_mappings_at_any_depth() -> None:
    assert without_nulls({"a": None, "b": [{"c": None}, None]}) == {"b": [{}, None]}
