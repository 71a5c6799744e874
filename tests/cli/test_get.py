from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from commands import HEAD, Said, endpoint, tier

if TYPE_CHECKING:
    from commands import Rules

NETS = HEAD + "kind: NetworkSet\nmetadata: {{name: {}, namespace: {}}}\n"


@pytest.fixture
def some(rules: Rules) -> Rules:
    rules.put("b.yaml", endpoint("eth1") + "---\n" + endpoint("eth0"))
    rules.put("a.yaml", tier("a"))
    return rules


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("hep",), "NAME   NODE\neth0   n1\neth1   n1\n"),
        (("hep", "eth1"), "NAME   NODE\neth1   n1\n"),
        (
            ("HostEndpoints", "-o", "wide"),
            "NAME   NODE   INTERFACE   IPS   PROFILES\neth0   n1     eth0\neth1   n1     eth1\n",
        ),
        (
            ("hep", "-o", "custom-columns=INTERFACE,name"),
            "INTERFACE   NAME\neth0        eth0\neth1        eth1\n",
        ),
        (
            ("tier", "-o", "wide"),
            "NAME            ORDER\na               5\ndefault         1000000\nkube-admin      1000\nkube-baseline   10000000\n",
        ),
        (("np",), "NAME   TIER\n"),
        (("tier", "a", "-o", "yaml"), tier("a")),
        (("felixconfig", "-o", "custom-columns=NAME"), "NAME\ndefault\n"),
        (("np", "-o", "yaml"), HEAD + "kind: NetworkPolicyList\nitems: []\n"),
    ],
)
def test_tables_and_yaml(some: Rules, words: tuple[str, ...], out: str) -> None:
    assert some.run("get", *words) == Said(0, out)


def test_one_is_an_object_several_are_a_list_and_all_are_a_list_kind(some: Rules) -> None:
    def kinds(*words: str) -> object:
        shown = json.loads(some.run("get", *words, "-o", "json").out)
        return [each["kind"] for each in shown] if isinstance(shown, list) else shown["kind"]

    assert kinds("hep", "eth0") == "HostEndpoint"
    assert kinds("hep", "eth0", "eth1") == ["HostEndpoint", "HostEndpoint"]
    assert kinds("hep") == "HostEndpointList"


def test_those_that_a_file_names_are_shown_as_they_are_in_the_rules(some: Rules) -> None:
    given = tier("a", 99) + "---\n" + endpoint("eth0")

    assert some.run("get", "-f", "-", "-o", "custom-columns=NAME", given=given) == Said(
        0, "NAME\na\n\nNAME\neth0\n"
    )
    assert some.run("get", "-f", "-", "-o", "yaml", given=tier("a", 99)).out == tier("a")


def test_one_that_does_not_exist_is_an_error_beside_those_that_do(some: Rules) -> None:
    assert some.run("get", "hep", "eth0", "nope") == Said(
        1,
        "NAME   NODE\neth0   n1\n",
        "resource does not exist: HostEndpoint(nope) with error: not in the rules\n",
    )
    assert some.run("get", "hep", "nope", "-o", "yaml").out == ""


def test_namespaces(rules: Rules) -> None:
    rules.put("all.yaml", NETS.format("a", "default") + "---\n" + NETS.format("b", "prod"))

    assert rules.run("get", "netsets").out == "NAME\na\n"
    assert rules.run("get", "netsets", "-n", "prod").out == "NAMESPACE   NAME\nprod        b\n"
    assert rules.run("get", "netsets", "-A").out == "NAMESPACE   NAME\ndefault     a\nprod        b\n"
    assert rules.run("get", "netsets", "b").code == 1
    assert rules.run("get", "netsets", "b", "-n", "prod").code == 0


def test_export_leaves_out_what_belongs_to_one_cluster(rules: Rules) -> None:
    rules.put(
        "a.yaml", HEAD + "kind: NetworkSet\nmetadata: {name: a, namespace: x, uid: u, resourceVersion: '7'}\n"
    )

    assert rules.run("get", "netset", "a", "-n", "x", "--export", "-o", "yaml").out == (
        HEAD + "kind: NetworkSet\nmetadata:\n  name: a\n"
    )
    assert "resourceVersion" in rules.run("get", "netset", "-n", "x", "--export", "-o", "yaml").out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("pods",), "resource type 'pods' is not supported\n"),
        (("hep", "-o", "xml"), "unrecognized output format 'xml'\n"),
        (("hep", "-o", "custom-columns="), "need to specify at least one column\n"),
        (
            ("hep", "-o", "go-template={{.}}"),
            "go-template is not supported; use -o json or -o custom-columns=...\n",
        ),
        (("hep", "-A"), "HostEndpoint is not namespaced\n"),
        (("hep", "-n", "x"), "HostEndpoint is not namespaced\n"),
        (
            ("np", "-A", "-n", "x"),
            "cannot use both --namespace and --all-namespaces flags at the same time\n",
        ),
        (("np", "x", "-A"), "cannot use --all-namespaces flag for getting a single resource\n"),
        (("hep", ""), "resource name may not be empty\n"),
    ],
)
def test_what_cannot_be_shown_is_said(some: Rules, words: tuple[str, ...], error: str) -> None:
    assert some.run("get", *words) == Said(1, "", error)


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_shown(some: Rules) -> None:
    some.put("broken.yaml", "a: [")

    assert some.run("get", "tier", "a") == Said(
        1, "NAME\na\n", "rules/broken.yaml: not shown, cannot be read; see nfq-guard check\n"
    )


def test_nothing_named_is_wrong_usage(rules: Rules) -> None:
    assert rules.run("get").code == 2


def test_a_policy_is_shown_changed_and_deleted_by_its_name_with_the_tier(rules: Rules) -> None:
    rules.put("p.yaml", f"{HEAD}kind: GlobalNetworkPolicy\nmetadata: {{name: admin}}\nspec: {{order: 1}}\n")
    kind = "globalnetworkpolicies.projectcalico.org"

    assert rules.run("get", kind, "default.admin") == Said(0, "NAME\nadmin\n")
    assert rules.run("label", kind, "default.admin", "a=b").code == 0
    assert rules.run("patch", kind, "default.admin", "-p", '{"spec": {"order": 2}}').code == 0
    assert "order: 2" in rules.files()["p.yaml"]
    assert rules.run("delete", kind, "default.admin").code == 0
