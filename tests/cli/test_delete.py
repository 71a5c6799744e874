from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import HEAD, Said, endpoint, tier

if TYPE_CHECKING:
    from commands import Rules

ITEM = "- apiVersion: projectcalico.org/v3\n  kind: Tier # {0}\n  metadata: {{name: {0}}}\n"


def test_a_resource_goes_by_kind_and_name_with_its_file(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("b.yaml", tier("b"))

    assert rules.run("delete", "tier", "a") == Said(0, "Successfully deleted 1 'Tier' resource(s)\n")
    assert rules.files() == {"b.yaml": tier("b")}


def test_one_document_goes_and_the_others_stay_byte_for_byte(rules: Rules) -> None:
    rules.put("all.yaml", tier("a") + "---\n" + endpoint("eth0") + "---\n" + tier("b"))
    rules.run("delete", "hep", "eth0")

    assert rules.files() == {"all.yaml": tier("a") + "---\n" + tier("b")}


def test_one_item_of_a_list_goes_and_the_others_stay_byte_for_byte(rules: Rules) -> None:
    rules.put("all.yaml", "# all\nitems:\n" + "".join(map(ITEM.format, "abc")) + "kind: List\n")
    rules.run("delete", "tiers", "b")

    assert rules.files() == {"all.yaml": "# all\nitems:\n" + "".join(map(ITEM.format, "ac")) + "kind: List\n"}


def test_those_that_files_name_go_even_if_they_are_not_valid(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("b.yaml", tier("b"))

    assert rules.run("delete", "-f", "-", given=tier("a").replace("order: 5", "colour: blue")).code == 0
    assert rules.files() == {"b.yaml": tier("b")}


def test_one_that_does_not_exist_is_an_error_and_the_others_go(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("keep.yaml", tier("keep"))

    assert rules.run("delete", "tier", "a", "x") == Said(
        1,
        "Successfully deleted 1 'Tier' resource(s)\n",
        "Failed to delete 'Tier' resource: resource does not exist: Tier(x) with error: not in the rules\n",
    )
    assert rules.files() == {"keep.yaml": tier("keep")}


def test_those_that_do_not_exist_can_be_left_out(rules: Rules) -> None:
    assert rules.run("delete", "-s", "tier", "x") == Said(0, "Successfully deleted 1 'Tier' resource(s)\n")


def test_the_rules_never_become_a_folder_without_files(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.run("delete", "tier", "a")

    assert rules.files() == {"a.yaml": ""}
    assert rules.run("apply", "-f", "-", given=tier("b")).code == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("tier",), "resource name may not be empty\n"),
        (("tier", ""), "resource name may not be empty\n"),
        (("pods", "x"), "resource type 'pods' is not supported\n"),
        (("tier", "x", "-n", "y"), "Tier is not namespaced\n"),
        (
            ("tier", "default"),
            (
                "Failed to delete 'Tier' resource: operation delete is not supported on Tier(default): "
                "Cannot delete default tier: it always exists\n"
            ),
        ),
    ],
)
def test_what_cannot_be_deleted_is_said(rules: Rules, words: tuple[str, ...], error: str) -> None:
    assert rules.run("delete", *words) == Said(1, "", error)


def test_what_two_files_declare_goes_from_one_of_them(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("b.yaml", tier("a", 6))
    by_name = rules.run("delete", "tier", "a")

    assert by_name.code == 1
    assert "nfq-guard delete -f rules/b.yaml deletes the one there" in by_name.err
    assert rules.run("delete", "-f", "./rules/../rules/b.yaml") == Said(
        0,
        "Successfully deleted 1 'Tier' resource(s)\n",
        "Tier(a) is still declared at rules/a.yaml:1:1\n",
    )
    assert rules.files() == {"a.yaml": tier("a")}


def test_kind_and_file_together_are_wrong_usage(rules: Rules) -> None:
    assert rules.run("delete").code == 2
    assert rules.run("delete", "tier", "a", "-f", "-").code == 2


def test_a_namespace_chooses_among_equal_names(rules: Rules) -> None:
    nets = HEAD + "kind: NetworkSet\nmetadata: {{name: a, namespace: {}}}\n"
    rules.put("x.yaml", nets.format("x"))
    rules.put("y.yaml", nets.format("y"))
    rules.run("delete", "netset", "a", "-n", "x")

    assert rules.files() == {"y.yaml": nets.format("y")}
