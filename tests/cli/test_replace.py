from __future__ import annotations

from typing import TYPE_CHECKING

from commands import Said, tier

if TYPE_CHECKING:
    from commands import Rules


def test_a_resource_is_replaced(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))

    assert rules.run("replace", "-f", "-", given=tier("a", 9)) == Said(
        0, "Successfully replaced 1 'Tier' resource(s)\n"
    )
    assert rules.files() == {"a.yaml": tier("a", 9)}


def test_one_that_does_not_exist_is_an_error(rules: Rules) -> None:
    assert rules.run("replace", "-f", "-", given=tier("a")) == Said(
        1,
        "",
        "failed to replace 'Tier' resource: resource does not exist: Tier(a) with error: not in the rules\n",
    )


def test_it_stops_at_the_first_error(rules: Rules) -> None:
    rules.put("a.yaml", tier("a"))
    rules.put("c.yaml", tier("c"))
    said = rules.run("replace", "-f", "-", given="---\n".join(tier(name, 9) for name in "abc"))

    assert said == Said(
        1,
        "Partial success: replaced the first 1 out of 3 'Tier' resources:\n",
        "hit error: resource does not exist: Tier(b) with error: not in the rules\n",
    )
    assert rules.files() == {"a.yaml": tier("a", 9), "c.yaml": tier("c")}
