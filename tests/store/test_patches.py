from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.store.patches import PATCHES, PatchError, json_patch, merge_patch, strategic_patch


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        # The examples of RFC 7386, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(target, patch) == expected


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}, "d": 1}, {"a": {"$patch": "delete"}}, {"d": 1}),
        ({"a": 1, "b": 2}, {"$retainKeys": ["a"], "a": 3}, {"a": 3}),
        ({"a": ["x", "y"]}, {"$deleteFromPrimitiveList/a": ["x"]}, {"a": ["y"]}),
        ({"a": ["x"]}, {"$setElementOrder/a": ["x"], "a": ["z"]}, {"a": ["z"]}),
        (
            {"metadata": {"finalizers": ["x"]}},
            {"metadata": {"finalizers": ["y"]}},
            {"metadata": {"finalizers": ["x", "y"]}},
        ),
        (
            {"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}, {"uid": "2"}]}},
            {"metadata": {"ownerReferences": [{"uid": "1", "name": "b"}, {"uid": "2", "$patch": "delete"}]}},
            {"metadata": {"ownerReferences": [{"uid": "1", "name": "b"}]}},
        ),
    ],
)
def test_strategic_patch(target: Any, patch: Any, expected: Any) -> None:
    assert strategic_patch(target, patch) == expected


@pytest.mark.parametrize("patch", [{"$patch": "explode"}, {"$other": 1}, {"$deleteFromPrimitiveList/a": 1}])
def test_directives_without_meaning_are_refused(patch: Any) -> None:
    with pytest.raises(PatchError):
        strategic_patch({}, patch)


@pytest.mark.parametrize(
    ("target", "operation", "expected"),
    [
        # The examples of RFC 6902, appendix A.
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux"}, {"baz": "qux", "foo": "bar"}),
        (
            {"foo": ["bar", "baz"]},
            {"op": "add", "path": "/foo/1", "value": "qux"},
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, {"op": "remove", "path": "/baz"}, {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, {"op": "replace", "path": "/baz", "value": "boo"}, {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            {"op": "move", "from": "/foo/1", "path": "/foo/3"},
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        ({"baz": "qux"}, {"op": "test", "path": "/baz", "value": "qux"}, {"baz": "qux"}),
        (
            {"foo": "bar"},
            {"op": "add", "path": "/child", "value": {"grandchild": {}}},
            {"foo": "bar", "child": {"grandchild": {}}},
        ),
        ({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": 10}, {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, {"op": "add", "path": "/foo/-", "value": ["abc"]}, {"foo": ["bar", ["abc"]]}),
        ({"a": 1}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": 1, "b": 1}),
        ({"a": 1}, {"op": "replace", "path": "", "value": {"b": 2}}, {"b": 2}),
        ({"a": 1}, {"op": "add", "path": "/b", "value": None}, {"a": 1, "b": None}),
    ],
)
def test_json_patch(target: Any, operation: Any, expected: Any) -> None:
    assert json_patch(target, [operation]) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/baz", "value": "bar"},
        {"op": "test", "path": "/baz", "value": 1},
        {"op": "add", "path": "/baz/bat", "value": "qux"},
        {"op": "add", "path": "/nope/bat", "value": "qux"},
        {"op": "remove", "path": "/nope"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/nope", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "remove", "path": "/list/1"},
        {"op": "move", "from": "/map", "path": "/map/x"},
        {"op": "copy", "path": "/x"},
        {"op": "add", "path": "baz", "value": 1},
        {"op": "add", "path": "/baz"},
        {"op": "spam", "path": "/baz"},
        {"op": ["add"], "path": "/baz"},
        "add",
    ],
)
def test_an_operation_that_fails_is_named(operation: Any) -> None:
    target = {"baz": "qux", "list": [1], "map": {}}

    with pytest.raises(PatchError, match=r"^operation 1: "):
        json_patch(target, [{"op": "test", "path": "/baz", "value": "qux"}, operation])
    assert target == {"baz": "qux", "list": [1], "map": {}}


def test_a_json_patch_is_a_list() -> None:
    with pytest.raises(PatchError):
        json_patch({}, {"op": "add"})


@pytest.mark.parametrize("form", PATCHES)
def test_no_patch_touches_what_it_is_given(form: str) -> None:
    target: dict[str, Any] = {"spec": {"a": [1], "b": {"c": 1}}}
    patch: Any = {"spec": {"b": {"c": 2}}}
    operations = [
        {"op": "replace", "path": "/spec/b/c", "value": 2},
        {"op": "add", "path": "/spec/a/-", "value": 2},
    ]
    PATCHES[form](target, operations if form == "json" else patch)

    assert target == {"spec": {"a": [1], "b": {"c": 1}}}
