from __future__ import annotations

from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents
from nfq_guard.store.items import Item, items_of

HEAD = "apiVersion: projectcalico.org/v3\n"


def read(text: str) -> list[Item]:
    return [
        item
        for root in read_documents(Source("a.yaml", text.encode())).roots
        for item in items_of(root, "a.yaml")
    ]


def test_a_document_is_one_resource() -> None:
    (item,) = read(HEAD + "kind: HostEndpoint\nmetadata: {name: a}\n")

    assert (str(item.ref), item.steps, item.position.line) == ("HostEndpoint(a)", (), 1)


def test_lists_are_unfolded_with_the_way_to_each() -> None:
    tier = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: %s}}"
    items = read(f"kind: List\nitems:\n- {tier % 'a'}\n- [{tier % 'b'}]\n")

    assert [(item.ref.name, item.steps) for item in items] == [("a", ("items", 0)), ("b", ("items", 1, 0))]


def test_a_list_of_a_kind_says_kind_and_version_for_its_items() -> None:
    (item,) = read(HEAD + "kind: TierList\nitems:\n- spec: {order: 1}\n  metadata: {name: a}\n")

    assert list(item.data) == ["apiVersion", "kind", "metadata", "spec"]
    assert item.raw.keys() == {"spec", "metadata"}
    assert item.without_implied({**item.data, "spec": {}}).keys() == {"metadata", "spec"}


def test_numbers_are_names_as_text() -> None:
    (item,) = read(HEAD + "kind: NetworkSet\nmetadata: {name: 12, namespace: yes}\n")

    assert item.ref == ("NetworkSet", "true", "12")
    assert item.data["metadata"] == {"name": "12", "namespace": "true"}
    assert item.without_implied(item.data) == item.raw


def test_letter_case_of_keys_does_not_matter() -> None:
    (item,) = read("APIVersion: projectcalico.org/v3\nKind: Tier\nMETADATA: {Name: a}\n")

    assert item.ref == ("Tier", None, "a")
    assert item.data["metadata"] == {"name": "a"}
    assert item.without_implied(item.data) == item.raw


def test_what_is_no_resource_is_left_out() -> None:
    assert read("kind: Tier\nmetadata: {name: a}\n") == []
    assert read(HEAD + "kind: IPPool\nmetadata: {name: a}\n") == []
    assert read(HEAD + "kind: Tier\nmetadata: {}\n") == []
    assert read(HEAD + "kind: Tier\n---\n---\njust text\n") == []
