from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nfq_guard.resources.source import Source
from nfq_guard.store.draft import Draft, FileChange, Root, StoreError, file_stem
from nfq_guard.store.refs import Ref, ref_of

if TYPE_CHECKING:
    from pathlib import Path

SET = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata:\n  name: {}\n"
FOLDER = Root("rules", frozenset({"globalnetworkset-taken.yaml"}))


def data(name: str, *nets: str) -> dict[str, object]:
    head: dict[str, object] = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkSet",
        "metadata": {"name": name},
    }
    return {**head, "spec": {"nets": list(nets)}} if nets else head


def ref(name: str) -> Ref:
    return ref_of("GlobalNetworkSet", name)


def draft_of(*roots: Root, **files: str) -> Draft:
    return Draft(
        [Source(f"rules/{name}.yaml", text.encode()) for name, text in files.items()], roots or [FOLDER]
    )


def test_nothing_changes_by_itself() -> None:
    assert draft_of(a=SET.format("a"), bad="a: [").changes() == []


def test_a_resource_is_changed_in_its_file() -> None:
    draft = draft_of(a=SET.format("a") + "---\n" + SET.format("b"))
    draft.put(ref("b"), data("b", "10.0.0.0/8"))
    ((name, before, after, remove),) = draft.changes()

    assert (name, remove) == ("rules/a.yaml", False)
    assert before == (SET.format("a") + "---\n" + SET.format("b")).encode()
    assert after == before + b"spec:\n  nets:\n    - 10.0.0.0/8\n"


def test_a_new_one_gets_a_file_of_its_own() -> None:
    draft = draft_of(a=SET.format("a"))
    draft.put(ref("b"), data("b"))

    assert draft.changes() == [
        FileChange(
            "rules/globalnetworkset-b.yaml",
            None,
            b"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata:\n  name: b\n",
        )
    ]


def test_a_new_one_keeps_the_words_it_was_written_in() -> None:
    draft = draft_of()
    draft.put(ref("b"), data("b"), "# mine\n" + SET.format("b"))

    assert draft.changes()[0].after == ("# mine\n" + SET.format("b")).encode()


def test_a_file_that_exists_is_never_taken() -> None:
    draft = draft_of()
    draft.put(ref("taken"), data("taken"))

    assert draft.changes()[0].name == "rules/globalnetworkset-taken-2.yaml"


def test_a_file_as_the_only_root_takes_new_ones_at_its_end() -> None:
    draft = draft_of(Root("rules/a.yaml", None), a=SET.format("a"))
    draft.put(ref("b"), data("b"))

    assert draft.changes()[0].after.decode() == SET.format("a") + "---\n" + SET.format("b")


@pytest.mark.parametrize(
    ("text", "good"),
    [("[]", True), ('{"kind": "List", "items": []}', True), ('{"kind": "Tier"}', False), ("", False)],
)
def test_a_json_file_takes_a_new_one_into_its_list(text: str, *, good: bool) -> None:
    draft = Draft([Source("a.json", text.encode())], [Root("a.json", None)])
    if good:
        draft.put(ref("b"), data("b"))
        assert draft.refs() == [ref("b")]
        assert b'"name": "b"' in draft.changes()[0].after
    else:
        with pytest.raises(StoreError, match="only if it holds a list"):
            draft.put(ref("b"), data("b"))


def test_no_place_for_a_new_one_is_said() -> None:
    with pytest.raises(StoreError, match="no readable rule file"):
        draft_of(Root("rules/bad.yaml", None), bad="a: [").put(ref("b"), data("b"))


def test_the_last_resource_takes_its_file_with_it() -> None:
    draft = draft_of(a=SET.format("a"), b=SET.format("b"))
    draft.remove(ref("a"))

    assert [(change.name, change.remove) for change in draft.changes()] == [("rules/a.yaml", True)]
    assert [source.name for source in draft.sources()] == ["rules/b.yaml"]


def test_the_last_file_of_a_folder_stays_and_is_empty() -> None:
    draft = draft_of(a="# why\n\n" + SET.format("a"))
    draft.remove(ref("a"))

    assert draft.changes() == [
        FileChange("rules/a.yaml", ("# why\n\n" + SET.format("a")).encode(), b"# why\n\n")
    ]


def test_a_file_that_is_named_stays() -> None:
    draft = draft_of(FOLDER, Root("rules/a.yaml", None), a=SET.format("a"), b=SET.format("b"))
    draft.remove(ref("a"))

    assert [(change.after, change.remove) for change in draft.changes()] == [(b"", False)]


def test_an_item_of_a_list_goes_alone() -> None:
    item = "- apiVersion: projectcalico.org/v3\n  kind: GlobalNetworkSet\n  metadata: {name: %s}\n"
    draft = draft_of(a="# list\nkind: List\nitems:\n" + item % "a" + "# b\n" + item % "b")
    draft.remove(ref("a"))

    assert draft.changes()[0].after.decode() == "# list\nkind: List\nitems:\n# b\n" + item % "b"
    assert draft.refs() == [ref("b")]


def test_several_changes_of_one_list_follow_each_other() -> None:
    item = "- apiVersion: projectcalico.org/v3\n  kind: GlobalNetworkSet\n  metadata: {name: %s}\n"
    draft = draft_of(a="kind: List\nitems:\n" + item % "a" + item % "b" + item % "c")
    draft.remove(ref("a"))
    draft.put(ref("c"), data("c", "10.0.0.1"))
    draft.remove(ref("b"))

    assert draft.refs() == [ref("c")]
    assert b"10.0.0.1" in draft.changes()[0].after


def test_what_cannot_be_changed_alone_is_refused_by_name() -> None:
    base = "apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet"
    draft = draft_of(
        a=f"items:\n- {{{base}, metadata: {{name: a, labels: &l {{x: z}}}}}}\n- {{{base}, metadata: {{name: b, labels: *l}}}}\nkind: List\n"
    )

    draft.remove(ref("a"))

    with pytest.raises(StoreError, match=r"rules/a.yaml: GlobalNetworkSet\(a\) cannot be changed"):
        draft.changes()


def test_what_is_declared_twice_is_not_changed_but_named_with_its_places() -> None:
    draft = draft_of(a=SET.format("x"), b=SET.format("y") + "---\n" + SET.format("x"))

    with pytest.raises(
        StoreError,
        match=r"^GlobalNetworkSet\(x\) is declared 2 times, at rules/a.yaml:1:1 and at rules/b.yaml:6:1; "
        r"only one can stay: nfq-guard delete -f rules/a.yaml deletes the one there$",
    ):
        draft.put(ref("x"), data("x", "10.0.0.0/8"))
    with pytest.raises(StoreError, match="edit the files by hand"):
        draft_of(a=SET.format("x") + "---\n" + SET.format("x")).remove(ref("x"), "rules/a.yaml")


@pytest.mark.parametrize(("file", "left"), [("a", "b"), ("b", "a")])
def test_of_what_is_declared_twice_one_goes_and_the_other_is_the_resource(file: str, left: str) -> None:
    item = SET.format("x").replace("\n", "\n  ").rstrip(" ")
    lists = {"a": f"# a\n- {item}", "b": f"# b\n- {item}- {item.replace('x', 'z')}"}
    draft = draft_of(**lists)
    draft.remove(ref("x"), f"rules/{file}.yaml")
    draft.settle()

    assert [str(position) for position in draft.positions(ref("x"))] == [f"rules/{left}.yaml:2:3"]
    draft.remove(ref("x"))
    draft.settle()
    assert draft.refs() == [ref("z")]


def test_files_that_cannot_be_read_are_named() -> None:
    assert draft_of(a=SET.format("a"), bad="a: [").unreadable() == ["rules/bad.yaml"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eth0", "globalnetworkset-eth0"),
        ("Tier.X", "globalnetworkset-tier.x"),
        ("../../etc/passwd", "globalnetworkset-..-..-etc-passwd"),
        ("a/b\0c", "globalnetworkset-a-b-c"),
    ],
)
def test_a_file_name_is_never_a_path(name: str, expected: str) -> None:
    assert file_stem(ref(name)) == expected


def test_long_names_are_cut_and_stay_different() -> None:
    one, other = file_stem(ref("x" * 250 + "1")), file_stem(ref("x" * 250 + "2"))

    assert one != other
    assert max(len(one), len(other)) < 240


def test_a_namespace_is_part_of_the_file_name() -> None:
    assert file_stem(ref_of("NetworkSet", "a", "prod")) == "networkset-prod-a"


def contents(source: Source) -> dict[Ref, dict[str, Any]]:
    """Every resource of a file."""
    draft = Draft([source], [])
    return {ref: item.data for ref in draft.refs() if (item := draft.get(ref)) is not None}


@pytest.mark.conformance
def test_a_label_set_and_removed_leaves_every_manifest_as_it_was(cases_dir: Path) -> None:
    index = json.loads((cases_dir / "yaml_manifests" / "index.json").read_text(encoding="utf-8"))
    seen = 0
    for path in sorted((cases_dir / "yaml_manifests").rglob("*.yaml")):
        source = Source(path.name, path.read_bytes())
        for ref in Draft([source], []).refs():
            draft = Draft([source], [])
            item = draft.get(ref)
            assert item is not None
            old = item.data
            labels = {**(old["metadata"].get("labels") or {}), "added": "label"}
            draft.put(ref, {**old, "metadata": {**old["metadata"], "labels": labels}})
            (change,) = draft.changes()
            assert len(change.after.splitlines()) - len(source.data.splitlines()) in {0, 1, 2}, path
            draft.put(ref, old)
            assert draft.changes() == [], path
            seen += 1
    assert seen > len(index) / 4


@pytest.mark.conformance
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lines", "windows-lines"])
def test_a_resource_of_a_manifest_goes_and_comes_back_and_the_others_stay(
    cases_dir: Path, newline: bytes
) -> None:
    for path in sorted((cases_dir / "yaml_manifests").rglob("*.yaml")):
        source = Source(path.name, path.read_bytes().replace(b"\n", newline))
        whole = contents(source)
        for ref, data in whole.items():
            draft = Draft([source], [Root(path.name, None)])
            draft.remove(ref)
            (left,) = draft.sources()
            assert contents(left) == {each: rest for each, rest in whole.items() if each != ref}, path
            draft.put(ref, data)
            (back,) = draft.sources()
            assert contents(back) == whole, path
