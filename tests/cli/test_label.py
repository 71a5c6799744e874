from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Said, endpoint, tier

if TYPE_CHECKING:
    from commands import Rules


@pytest.mark.parametrize(
    ("words", "done", "changed"),
    [
        (("zone=a",), "set label zone on", endpoint("eth0").replace("# why\n", "# why\n    zone: a\n")),
        (
            ("role=db", "--overwrite"),
            "updated label role on",
            endpoint("eth0").replace("role: web", "role: db"),
        ),
        (("role=web",), "updated label role on", endpoint("eth0")),
        (
            ("flag=true",),
            "set label flag on",
            endpoint("eth0").replace("# why\n", "# why\n    flag: 'true'\n"),
        ),
        (
            ("role", "--remove"),
            "removed label role from",
            endpoint("eth0").replace("  labels:\n    role: web # why\n", ""),
        ),
    ],
)
def test_labels(rules: Rules, words: tuple[str, ...], done: str, changed: str) -> None:
    rules.put("a.yaml", endpoint("eth0"))

    assert rules.run("label", "hep", "eth0", *words) == Said(0, f"Successfully {done} hep eth0\n")
    assert rules.files() == {"a.yaml": changed}


def test_the_first_label_makes_its_mapping(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.run("label", "tier", "a", "x=z")

    assert rules.files() == {"a.yaml": tier("a").replace("name: a\n", "name: a\n  labels:\n    x: z\n")}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ("role=db",),
            "failed to update label of hep eth0, key role is already present. please use '--overwrite' to set a new value.\n",
        ),
        (("zone", "--remove"), "cannot remove label of hep eth0, key zone does not exist\n"),
        (("zone",), "invalid label zone\n"),
        (("a=b=c",), "invalid label a=b=c\n"),
    ],
)
def test_what_cannot_be_done_is_said(rules: Rules, words: tuple[str, ...], error: str) -> None:
    rules.put("a.yaml", endpoint("eth0"))

    assert rules.run("label", "hep", "eth0", *words) == Said(1, "", error)
    assert rules.files() == {"a.yaml": endpoint("eth0")}


def test_a_label_that_is_none_is_refused_with_its_place(rules: Rules) -> None:
    rules.put("a.yaml", endpoint("eth0"))
    said = rules.run("label", "hep", "eth0", "-bad-=x")

    assert said.code == 2, "it looks like an option"
    said = rules.run("label", "hep", "eth0", "bad-=x")
    assert said.code == 1
    assert said.err.startswith("failed to update hep eth0, label not changed: [rules/a.yaml:8:5: error:")


def test_one_that_does_not_exist_is_an_error(rules: Rules) -> None:
    assert rules.run("label", "hep", "x", "a=b") == Said(
        1,
        "",
        "failed to get hep x, error resource does not exist: HostEndpoint(x) with error: not in the rules\n",
    )


def test_overwriting_and_removing_together_are_wrong_usage(rules: Rules) -> None:
    assert rules.run("label", "hep", "x", "a=b", "--overwrite", "--remove").code == 2


def test_the_rest_of_the_file_stays_as_it_is_written(rules: Rules) -> None:
    text = "Kind: NetworkSet\napiVersion: projectcalico.org/v3\nMetadata:\n  name: 12\n  namespace: 7\n"
    rules.put("a.yaml", text)

    assert rules.run("label", "netset", "12", "x=z", "-n", "7").code == 0
    assert rules.files() == {"a.yaml": text + "  labels:\n    x: z\n"}
