from __future__ import annotations

from typing import TYPE_CHECKING

from commands import Said, endpoint, tier

if TYPE_CHECKING:
    from commands import Rules


def test_good_resources(rules: Rules) -> None:
    assert rules.run("validate", "-f", "-", given=tier("a")) == Said(
        0, "Successfully validated 1 'Tier' resource(s)\n"
    )
    assert rules.run("validate", "-f", "-", given=tier("a") + "---\n" + endpoint("e")) == Said(
        0, "Successfully validated 2 resource(s)\n"
    )


def test_a_bad_one_alone(rules: Rules) -> None:
    said = rules.run("validate", "-f", "-", given=endpoint("eth0", node="''"))

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("failed to validate 'HostEndpoint' resource: [<stdin>:9:9: error:")


def test_a_bad_one_among_good_ones(rules: Rules) -> None:
    said = rules.run("validate", "-f", "-", given=tier("a") + "---\n" + endpoint("eth0", node="''"))

    assert (said.code, said.out) == (1, "Partial success: validated the first 1 out of 2 resources:\n")
    assert said.err.startswith("hit error: [<stdin>:16:9: error: HostEndpoint(eth0)")


def test_the_rules_in_force_do_not_matter(rules: Rules) -> None:
    rules.put("bad.yaml", "a: [")

    assert rules.run("validate", "-f", "-", given=tier("a")).code == 0


def test_a_resource_without_a_name_counts(rules: Rules) -> None:
    said = rules.run("validate", "-f", "-", given=tier("a").replace("  name: a", "  labels: {}"))

    assert said.err.startswith("failed to validate 'Tier' resource: [<stdin>:")
    assert "name is required" in said.err


def test_nothing(rules: Rules) -> None:
    assert rules.run("validate", "--skip-empty", "-f", "-", given="") == Said(0, "No resources specified\n")
