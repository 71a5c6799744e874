from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import HEAD, Said, endpoint

if TYPE_CHECKING:
    from commands import Rules


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (("-p", '{"spec": {"node": "n2"}}'), endpoint("eth0", node="n2")),
        (("-p", "spec: {node: n2}"), endpoint("eth0", node="n2")),
        (
            ("-t", "merge", "-p", '{"metadata": {"labels": {"role": null, "zone": "a"}}}'),
            endpoint("eth0").replace("role: web # why", "zone: a"),
        ),
        (
            ("-t", "json", "-p", '[{"op": "add", "path": "/spec/expectedIPs", "value": ["10.0.0.1"]}]'),
            endpoint("eth0") + "  expectedIPs:\n    - 10.0.0.1\n",
        ),
        (("-t", "json", "-p", '[{"op": "test", "path": "/spec/node", "value": "n1"}]'), endpoint("eth0")),
    ],
)
def test_fields_change_and_all_else_stays(rules: Rules, words: tuple[str, ...], changed: str) -> None:
    rules.put("a.yaml", endpoint("eth0"))

    assert rules.run("patch", "hep", "eth0", *words) == Said(
        0, "Successfully patched 1 'HostEndpoint' resource\n"
    )
    assert rules.files() == {"a.yaml": changed}


def test_what_always_exists_is_declared_by_its_first_patch(rules: Rules) -> None:
    patch = '{"spec": {"defaultEndpointToHostAction": "Accept"}}'

    assert rules.run("patch", "felixconfig", "default", "-p", patch).code == 0
    assert "defaultEndpointToHostAction: Accept" in rules.files()["felixconfiguration-default.yaml"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ("eth1", "-p", "{}"),
            "hit error: resource does not exist: HostEndpoint(eth1) with error: not in the rules\n",
        ),
        (
            ("eth0", "-p", '{"metadata": {"name": "x"}}'),
            "hit error: HostEndpoint(eth0) cannot change its apiVersion, kind, name or namespace\n",
        ),
        (
            ("eth0", "-p", "[1]"),
            "hit error: a strategic patch is an object with the fields to change\n",
        ),
        (
            ("eth0", "-t", "merge", "-p", "node"),
            "hit error: a merge patch is an object with the fields to change\n",
        ),
        (("eth0", "-t", "json", "-p", "{}"), "hit error: a JSON patch is a list of operations\n"),
        (
            ("eth0", "-t", "json", "-p", '[{"op": "remove", "path": "/spec/x"}]'),
            "hit error: operation 0: there is nothing at /spec/x\n",
        ),
        (("eth0", "-p", ""), "hit error: [the patch is empty]\n"),
    ],
)
def test_what_does_not_fit_is_said(rules: Rules, words: tuple[str, ...], error: str) -> None:
    rules.put("a.yaml", endpoint("eth0"))

    assert rules.run("patch", "hep", *words) == Said(1, "", error)
    assert rules.files() == {"a.yaml": endpoint("eth0")}


def test_a_patch_that_makes_the_resource_invalid_is_refused_with_its_place(rules: Rules) -> None:
    rules.put("a.yaml", endpoint("eth0"))
    said = rules.run("patch", "hep", "eth0", "-p", '{"spec": {"nod": 1}}')

    assert said.code == 1
    assert said.err.startswith(
        "hit error: [rules/a.yaml:11:3: error: HostEndpoint(eth0) spec.nod: unknown field"
    )
    assert rules.files() == {"a.yaml": endpoint("eth0")}


def test_an_unreadable_patch_is_refused(rules: Rules) -> None:
    assert rules.run("patch", "hep", "eth0", "-p", "{").err.startswith("hit error: [--patch:")
    assert rules.run("patch", "hep", "eth0", "-p", "{a: 1, a: 2}").code == 1


def test_a_rule_that_goes_takes_its_heading_along(rules: Rules) -> None:
    head = f"{HEAD}kind: GlobalNetworkPolicy\nmetadata: {{name: p}}\nspec:\n  ingress:\n"
    second = "  # rule 2\n  - action: Deny\n"
    rules.put("p.yaml", head + "  # rule 1\n  - action: Allow\n" + second)
    operation = '[{"op": "remove", "path": "/spec/ingress/0"}]'

    assert rules.run("patch", "gnp", "p", "-t", "json", "-p", operation).code == 0
    assert rules.files() == {"p.yaml": head + second}


def test_a_commented_list_in_brackets_keeps_its_comments(rules: Rules) -> None:
    text = f"{HEAD}kind: GlobalNetworkSet\nmetadata: {{name: s}}\nspec:\n  nets: [\n    10.0.0.0/8, # a\n    10.1.0.0/16 # b\n  ]\n"
    rules.put("s.yaml", text)
    operation = '[{"op": "add", "path": "/spec/nets/-", "value": "10.2.0.0/16"}]'

    assert rules.run("patch", "gns", "s", "-t", "json", "-p", operation).code == 0
    assert rules.files() == {"s.yaml": text.replace("16 # b", "16, # b\n    10.2.0.0/16")}
