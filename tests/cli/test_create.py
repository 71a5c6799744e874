from __future__ import annotations

from typing import TYPE_CHECKING

from commands import Said, endpoint, tier

if TYPE_CHECKING:
    from commands import Rules


def test_new_resources_are_created(rules: Rules) -> None:
    assert rules.run("create", "-f", "-", given=tier("a") + "---\n" + tier("b")) == Said(
        0, "Successfully created 2 'Tier' resource(s)\n"
    )


def test_one_that_exists_is_an_error_and_stays(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))

    assert rules.run("create", "-f", "-", given=tier("a", 9)) == Said(
        1,
        "",
        "failed to create 'Tier' resource: [resource already exists: Tier(a) with error: declared at rules/a.yaml:1:1]\n",
    )
    assert rules.files() == {"a.yaml": tier("a")}


def test_the_others_are_created_all_the_same(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    said = rules.run("create", "-f", "-", given=tier("a", 9) + "---\n" + endpoint("eth0"))

    assert said == Said(
        1,
        "Partial success: created the first 1 out of 2 resources:\n",
        "hit error: [resource already exists: Tier(a) with error: declared at rules/a.yaml:1:1]\n",
    )
    assert rules.files() == {"a.yaml": tier("a"), "hostendpoint-eth0.yaml": endpoint("eth0")}


def test_those_that_exist_can_be_left_out(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))

    assert rules.run("create", "--skip-exists", "-f", "-", given=tier("a", 9)) == Said(
        0, "Successfully created 1 'Tier' resource(s)\n"
    )
    assert rules.files() == {"a.yaml": tier("a")}
