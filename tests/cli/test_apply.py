from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import HEAD, Said, endpoint, tier

if TYPE_CHECKING:
    from commands import Rules

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_documentations_own_example(rules: Rules) -> None:
    shown = rules.run("get", "felixconfig", "default", "-o", "yaml", "--export")
    changed = shown.out + "  defaultEndpointToHostAction: Accept\n"

    assert rules.run("apply", "-f", "-", given=changed) == Said(
        0, "Successfully applied 1 'FelixConfiguration' resource(s)\n"
    )
    assert rules.files() == {"felixconfiguration-default.yaml": changed}


def test_an_existing_file_is_edited_where_it_is(rules: Rules) -> None:
    rules.put("hosts.yaml", endpoint("eth0") + "---\n" + endpoint("eth1"))
    wanted = endpoint("eth1", node="n2")

    assert (
        rules.run("apply", "-f", "-", given=wanted).out
        == "Successfully applied 1 'HostEndpoint' resource(s)\n"
    )
    assert rules.files() == {"hosts.yaml": endpoint("eth0") + "---\n" + wanted}


def test_a_new_resource_keeps_its_comments_in_a_file_of_its_own(rules: Rules) -> None:
    (rules.outer / "new.yaml").write_text(tier("a") + "---\n" + endpoint("eth0"), encoding="utf-8")
    said = rules.run("apply", "-f", "new.yaml")

    assert said == Said(0, "Successfully applied 2 resource(s)\n")
    assert rules.files() == {"tier-a.yaml": tier("a"), "hostendpoint-eth0.yaml": endpoint("eth0")}


def test_an_invalid_resource_is_refused_with_every_problem_and_its_place(rules: Rules) -> None:
    bad = endpoint("eth0", node="'N 1'").replace(
        "interfaceName: eth0", "interfaceName: 'much too long a name'"
    )
    (rules.outer / "bad.yaml").write_text(bad, encoding="utf-8")
    said = rules.run("apply", "-f", "bad.yaml")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(
        "failed to apply 'HostEndpoint' resource: [bad.yaml:9:9: error: HostEndpoint(eth0)"
    )
    assert "\nbad.yaml:10:18: error:" in said.err
    assert rules.files() == {}


def test_one_bad_resource_keeps_the_good_ones_out(rules: Rules) -> None:
    said = rules.run("apply", "-f", "-", given=tier("a") + "---\n" + endpoint("eth0", node="''"))

    assert said.code == 1
    assert said.err.startswith("failed to apply any resources: [<stdin>:")
    assert rules.files() == {}


def test_rules_that_are_not_valid_as_a_whole_take_no_change(rules: Rules) -> None:
    rules.put("bad.yaml", endpoint("eth9", node="''"))
    said = rules.run("apply", "-f", "-", given=tier("a"))

    assert said.code == 1
    assert said.err.startswith(
        "failed to apply 'Tier' resource: [rules/bad.yaml:9:9: error: HostEndpoint(eth9)"
    )
    assert rules.files().keys() == {"bad.yaml"}


def test_an_apply_that_mends_the_rules_is_taken(rules: Rules) -> None:
    rules.put("bad.yaml", endpoint("eth9", node="''"))

    assert rules.run("apply", "-f", "-", given=endpoint("eth9")).code == 0
    assert rules.files() == {"bad.yaml": endpoint("eth9")}


UNKNOWN = "failed to execute command: unknown resource type"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("kind: [", "failed to execute command: <stdin>:"),
        (
            HEAD + "kind: IPPool\nmetadata: {name: a}\n",
            f"{UNKNOWN} (IPPool) and/or version (projectcalico.org/v3): <stdin>:2:7: error:",
        ),
        (
            HEAD.replace("v3", "v1") + "kind: Tier\nmetadata: {name: a}\n",
            f"{UNKNOWN} (Tier) and/or version (projectcalico.org/v1): <stdin>:1:13: error:",
        ),
        (
            "kind: IPPool\nmetadata: {name: a}\n",
            f"{UNKNOWN} (IPPool) and/or version (): <stdin>:1:7: error:",
        ),
        (
            tier("a") + "  colour: blue\n",
            "failed to execute command: <stdin>:7:3: error: Tier(a) spec.colour: unknown field",
        ),
        ("metadata: {name: a}\n", "failed to execute command: <stdin>:1:1: error: kind: kind is required"),
        ("", "no resources specified in file -"),
    ],
)
def test_what_cannot_be_decoded_is_a_bad_file(rules: Rules, given: str, said: str) -> None:
    answer = rules.run("apply", "-f", "-", given=given)

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(said)


def test_nothing_to_do_can_be_allowed(rules: Rules) -> None:
    assert rules.run("apply", "--skip-empty", "-f", "-", given="# nothing\n") == Said(
        0, "No resources specified\n"
    )


def test_warnings_about_what_was_applied_are_shown(rules: Rules) -> None:
    policy = HEAD + "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {tier: unknown}\n"
    said = rules.run("apply", "-f", "-", given=policy)

    assert said.code == 0
    assert "the tier unknown is not declared" in said.err


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("kind", ["hep", "gnp", "gns", "felixconfig", "profile", "tier", "np"])
def test_applying_what_get_prints_changes_nothing(rules: Rules, kind: str, form: str) -> None:
    for path in sorted((ROOT / "rules").glob("*.yaml")):
        rules.put(path.name, path.read_text(encoding="utf-8"))
    before = rules.files()
    shown = rules.run("get", kind, "-o", form)

    assert rules.run("apply", "--skip-empty", "-f", "-", given=shown.out).code == 0
    assert rules.files() == before


def test_a_namespace_is_written_into_what_has_none(rules: Rules) -> None:
    nets = HEAD + "kind: NetworkSet\nmetadata:\n  name: a # here\n"

    assert rules.run("apply", "-n", "prod", "-f", "-", given=nets).code == 0
    assert rules.files() == {"networkset-prod-a.yaml": nets + "  namespace: prod\n"}


def test_a_folder_among_the_paths_takes_new_files(rules: Rules) -> None:
    rules.put("all.yaml", tier("a"))
    said = rules.run("apply", "--rules", "rules/all.yaml", "-f", "-", given=tier("b"))

    assert said.code == 0
    assert rules.files() == {"all.yaml": tier("a"), "tier-b.yaml": tier("b")}
