from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import HEAD, endpoint, tier

from nfq_guard.cli.inputs import Given, read_wanted
from nfq_guard.cli.reports import RefusedError

if TYPE_CHECKING:
    from commands import Rules

NETS = HEAD + "kind: NetworkSet\nmetadata: {name: a}\n"


def given(filename: str, *, recursive: bool = False, skip_empty: bool = False, namespace: str = "") -> Given:
    return Given(filename, recursive, skip_empty, namespace)


def names(what: Given) -> list[str]:
    return [wanted.ref.name for wanted in read_wanted(what)[0]]


def test_a_folder_is_read_and_those_in_it_only_if_asked(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("b.json", '{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "b"}}')
    rules.put("c.txt", tier("c"))
    rules.put("deep/d.yml", tier("d"))

    assert names(given("rules")) == ["a", "b"]
    assert names(given("rules", recursive=True)) == ["a", "b", "d"]


def test_an_empty_file_or_folder_is_refused_by_name(rules: Rules) -> None:
    rules.put("a.txt", "# nothing\n")

    with pytest.raises(RefusedError, match=r"no resources specified in directory rules"):
        read_wanted(given("rules"))
    with pytest.raises(RefusedError, match=r"no resources specified in file rules/a.txt"):
        read_wanted(given("rules/a.txt"))
    assert read_wanted(given("rules", skip_empty=True)) == ([], [])


def test_a_folder_with_an_empty_file_is_refused_by_that_file(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("b.yaml", "# nothing\n")

    with pytest.raises(RefusedError, match=r"no resources specified in file rules/b.yaml"):
        read_wanted(given("rules"))
    assert names(given("rules", skip_empty=True)) == ["a"]


def test_a_file_that_is_not_there_is_refused(rules: Rules) -> None:
    with pytest.raises(
        RefusedError, match=r"^failed to execute command: none.yaml: error: cannot be read: no such"
    ):
        read_wanted(given("none.yaml"))


def test_a_namespace_must_not_contradict_the_file(rules: Rules) -> None:
    rules.put("a.yaml", NETS.replace("name: a", "name: a, namespace: x"))

    with pytest.raises(RefusedError, match=r"resource namespace does not match client namespace. x != y"):
        read_wanted(given("rules", namespace="y"))
    assert read_wanted(given("rules", namespace="x"))[0][0].ref.namespace == "x"


def test_a_namespace_is_for_kinds_that_have_one(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))

    with pytest.raises(RefusedError, match=r"Tier is not namespaced"):
        read_wanted(given("rules", namespace="x"))


def test_a_document_keeps_its_words_and_an_item_of_a_list_does_not(rules: Rules) -> None:
    item = "\n".join("  " + line for line in endpoint("eth1").splitlines())
    rules.put("a.yaml", "---\n" + endpoint("eth0"))
    rules.put("b.yaml", "kind: List\nitems:\n-\n" + item + "\n")
    rules.put("c.json", '{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "b"}}')

    assert [wanted.text for wanted in read_wanted(given("rules"))[0]] == [endpoint("eth0"), None, None]


def test_the_namespace_is_written_into_the_words(rules: Rules) -> None:
    rules.put("a.yaml", NETS + "# end\n")
    (wanted,), _ = read_wanted(given("rules", namespace="x"))

    assert wanted.text == NETS.replace("name: a", "name: a, namespace: x") + "# end\n"
    assert wanted.data["metadata"]["namespace"] == "x"


def test_what_is_wrong_is_told_unless_only_names_matter(rules: Rules) -> None:
    rules.put("a.yaml", endpoint("eth0", node="''"))
    rules.put("b.yaml", tier("b").replace("order", "colour"))

    with pytest.raises(RefusedError, match=r"failed to execute command"):
        read_wanted(given("rules"))
    assert [each.ref.name for each in read_wanted(given("rules"), check=False)[0]] == ["eth0", "b"]
    assert [problem.field for problem in read_wanted(given("rules/a.yaml"))[1]] == ["spec.node"]


def test_keys_in_other_letter_case_are_understood(rules: Rules) -> None:
    rules.put("a.yaml", "APIVersion: projectcalico.org/v3\nKIND: NetworkSet\nMETADATA: {Name: a}\n")

    (wanted,), problems = read_wanted(given("rules/a.yaml", namespace="b"))

    assert problems == []
    assert wanted.ref == ("NetworkSet", "b", "a")
    assert wanted.data["metadata"] == {"name": "a", "namespace": "b"}


def test_a_namespace_that_is_no_text_stops_nothing_that_does_not_check(rules: Rules) -> None:
    rules.put("a.yaml", HEAD + "kind: NetworkSet\nmetadata: {name: a, namespace: {b: c}}\n")

    (wanted,), _ = read_wanted(given("rules/a.yaml"), check=False)

    assert wanted.ref == ("NetworkSet", "default", "a")
    with pytest.raises(RefusedError, match="namespace"):
        read_wanted(given("rules/a.yaml"))
