"""What every part of a resource has in common: strict decoding, and faults between fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from parts import errors_of, faults
from pydantic import ValidationError

from nfq_guard.resources.base import (
    Finding,
    Metadata,
    OmitEmpty,
    Resource,
    Strict,
    bad_annotations,
    camel,
    duplicates,
)
from nfq_guard.resources.fields import Integer, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMEL = {
    "node": "node",
    "interface_name": "interfaceName",
    "default_endpoint_to_host_action": "defaultEndpointToHostAction",
    "route_table_ranges": "routeTableRanges",
}


@pytest.mark.parametrize("name", CAMEL)
def test_fields_are_spelt_as_calico_spells_them(name: str) -> None:
    assert camel(name) == CAMEL[name]


class Inner(Strict):
    """A part that checks its fields against each other."""

    low: Integer = 0
    high_end: Integer = 9

    def findings(self) -> Iterator[Finding]:
        """Check the order."""
        if self.low > self.high_end:
            yield Finding(("highEnd",), "out-of-range", "runs backwards", (("low",),))
            yield Finding((), "conflict", "nothing in between")


class Outer(Strict):
    """A part that has parts."""

    title: Text = ""
    inner: Inner = Inner()
    more: tuple[Inner, ...] = ()


SPELLINGS: dict[str, tuple[dict[str, int], tuple[int, int]]] = {
    "as Calico spells them": ({"low": 1, "highEnd": 2}, (1, 2)),
    "in other letter case": ({"LOW": 1, "highend": 2}, (1, 2)),
    "not at all": ({}, (0, 9)),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_fields_may_be_given(case: str) -> None:
    fields, expected = SPELLINGS[case]
    part = Inner.model_validate(fields)

    assert (part.low, part.high_end) == expected


class Loose(OmitEmpty):
    """A part in which an empty text says nothing."""

    word: Text = "default"
    needed: Text


EMPTY: dict[str, tuple[dict[str, str], list[tuple[str, str]]]] = {
    "as if it were not there": ({"word": "", "needed": "x"}, []),
    "also where it is needed": ({"needed": ""}, [("needed", "missing")]),
}


@pytest.mark.parametrize("case", EMPTY)
def test_an_empty_text_is(case: str) -> None:
    fields, expected = EMPTY[case]

    assert faults(Loose, fields) == expected
    assert Loose.model_validate({**fields, "needed": "x"}).word == "default"


class Labelled(Strict):
    """A part with a mapping of texts."""

    order: Integer = 7
    labels: dict[Text, Text] = {}  # noqa: RUF012 - pydantic copies defaults


def test_null_leaves_a_field_as_it_is_and_is_the_empty_text_in_a_mapping_of_texts() -> None:
    part = Labelled.model_validate({"Order": None, "labels": {"a": None, "b": "x"}})

    assert (part.order, part.labels) == (7, {"a": "", "b": "x"})
    assert Labelled.model_validate({"labels": None}).labels == {}


def test_null_does_not_make_an_unknown_field_known() -> None:
    assert faults(Labelled, {"colour": None}) == [("colour", "extra_forbidden")]


UNKNOWN: dict[str, dict[str, int]] = {
    "middle": {"middle": 1},
    "high_end": {"high_end": 1},
    "Low": {"low": 1, "Low": 2},
}


@pytest.mark.parametrize("field", UNKNOWN)
def test_what_calico_does_not_know_is_refused(field: str) -> None:
    assert faults(Inner, UNKNOWN[field]) == [(field, "extra_forbidden")]


def test_a_part_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Inner().low = 1  # type: ignore[misc]


def test_every_fault_between_fields_is_told_at_its_place_however_deep_the_part_stands() -> None:
    bad = {"low": 5, "highEnd": 4}

    assert faults(Outer, {"inner": bad, "more": [{}, bad]}) == [
        ("inner.highEnd", "out-of-range"),
        ("inner", "conflict"),
        ("more[1].highEnd", "out-of-range"),
        ("more[1]", "conflict"),
    ]


def test_a_fault_brings_the_finding_with_the_fields_that_it_may_be_about() -> None:
    (error, _) = errors_of(Outer, {"inner": {"low": 10}})

    assert error["ctx"]["message"] == "runs backwards"
    assert error["ctx"]["finding"].needs == (("low",),)


def test_fields_are_not_checked_against_each_other_while_one_is_bad_by_itself() -> None:
    assert faults(Inner, {"low": "x", "highEnd": -1}) == [("low", "wrong-type")]


DUPLICATES: dict[str, tuple[list[object], list[tuple[int, str]]]] = {
    "a set": (["a", "b", "A"], []),
    "an empty one": ([], []),
    "twice": (["a", "b", "a"], [(2, "item 0")]),
    "three times: both are told against the first": (["x", "a", "a", "a"], [(2, "item 1"), (3, "item 1")]),
    "two pairs": (["a", "b", "b", "a"], [(2, "item 1"), (3, "item 0")]),
}


@pytest.mark.parametrize("case", DUPLICATES)
def test_items_that_a_list_repeats(case: str) -> None:
    items, expected = DUPLICATES[case]
    found = list(duplicates("nets", items))

    assert [finding.path for finding in found] == [("nets", index) for index, _ in expected]
    assert [first in finding.message for finding, (_, first) in zip(found, expected, strict=True)] == [
        True for _ in expected
    ]


def test_annotations_that_are_too_large_are_told_of_the_whole_field() -> None:
    found = list(bad_annotations({"bad key": "x" * 300_000, "good": ""}))

    assert [finding.path for finding in found] == [("annotations", "bad key"), ("annotations",)]


METADATA: dict[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "a name is enough": ({"name": "a"}, []),
    "a name is needed": ({}, [("name", "missing")]),
    "what Kubernetes adds is taken": (
        {
            "name": "a",
            "uid": "u",
            "generation": 3,
            "creationTimestamp": "2024-01-01T00:00:00Z",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "controller": True}],
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
            "finalizers": ["f"],
        },
        [],
    ),
    "labels are text": ({"name": "a", "labels": {"a": ["b"]}}, [("labels.a", "wrong-type")]),
    "labels and annotations are both checked": (
        {"name": "a", "labels": {"b d": "", "ok": "-"}, "annotations": {"-": ""}},
        [('labels["b d"]', "bad-label"), ("labels.ok", "bad-label"), ("annotations.-", "bad-annotation")],
    ),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata(case: str) -> None:
    fields, expected = METADATA[case]

    assert faults(Metadata, fields) == expected


def test_a_resource_needs_its_metadata_only() -> None:
    assert Resource.model_validate({"metadata": {"name": "a"}}).api_version == "projectcalico.org/v3"
    assert faults(Resource, {}) == [("metadata", "missing")]
