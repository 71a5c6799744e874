from __future__ import annotations

import pytest

from nfq_guard.resources.source import Source
from nfq_guard.store.builtin import BUILT_IN
from nfq_guard.store.draft import Draft, Root
from nfq_guard.store.operations import Verb, Wanted, current, delete_all, meant, write_all
from nfq_guard.store.refs import Ref, ref_of

SET = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata:\n  name: {}\n"
POLICY = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {tier: t}\n"
TIER = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\n"


def draft_of(*texts: str) -> Draft:
    sources = [Source(f"r/{number}.yaml", text.encode()) for number, text in enumerate(texts)]
    return Draft(sources, [Root("r", frozenset())])


def wanted(name: str, *nets: str) -> Wanted:
    head = {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet", "metadata": {"name": name}}
    return Wanted(ref_of("GlobalNetworkSet", name), {**head, "spec": {"nets": list(nets)}} if nets else head)


def test_apply_creates_and_changes() -> None:
    draft = draft_of(SET.format("a"))
    outcome = write_all(draft, Verb.APPLY, [wanted("a", "10.0.0.1"), wanted("b")])

    assert (outcome.handled, outcome.errors, outcome.single_kind) == (2, [], "GlobalNetworkSet")
    assert [change.name for change in draft.changes()] == ["r/0.yaml", "r/globalnetworkset-b.yaml"]


def test_apply_of_what_is_there_changes_nothing() -> None:
    draft = draft_of(SET.format("a"))
    everything = [wanted("a"), *(Wanted(ref, data) for ref, data in BUILT_IN.items())]

    assert write_all(draft, Verb.APPLY, everything).handled == len(everything)
    assert draft.changes() == []


def test_create_goes_on_after_one_that_exists() -> None:
    outcome = write_all(draft_of(SET.format("a")), Verb.CREATE, [wanted("a"), wanted("b")])

    assert (outcome.handled, outcome.total) == (1, 2)
    assert outcome.errors == [
        "resource already exists: GlobalNetworkSet(a) with error: declared at r/0.yaml:1:1"
    ]


def test_create_may_skip_those_that_exist() -> None:
    outcome = write_all(draft_of(SET.format("a")), Verb.CREATE, [wanted("a"), wanted("b")], skip_exists=True)

    assert (outcome.handled, outcome.errors) == (2, [])


def test_replace_stops_at_the_first_that_does_not_exist() -> None:
    draft = draft_of(SET.format("a"), SET.format("c"))
    outcome = write_all(draft, Verb.REPLACE, [wanted("a", "10.0.0.1"), wanted("b"), wanted("c", "10.0.0.1")])

    assert (outcome.handled, outcome.total) == (1, 3)
    assert outcome.errors == ["resource does not exist: GlobalNetworkSet(b) with error: not in the rules"]
    assert [change.name for change in draft.changes()] == ["r/0.yaml"]


def test_what_always_exists_can_be_replaced_by_a_declaration() -> None:
    ref = ref_of("FelixConfiguration", "default")
    draft = draft_of()
    outcome = write_all(draft, Verb.REPLACE, [Wanted(ref, {**BUILT_IN[ref], "spec": {"logPrefix": "x"}})])

    assert outcome.errors == []
    assert draft.changes()[0].name == "r/felixconfiguration-default.yaml"


def test_delete_goes_on_after_one_that_does_not_exist() -> None:
    draft = draft_of(SET.format("a"), SET.format("c"))
    outcome = delete_all(draft, [(ref_of("GlobalNetworkSet", name), "") for name in "abc"])

    assert (outcome.handled, len(outcome.errors)) == (2, 1)
    assert draft.refs() == []


def test_delete_may_skip_those_that_do_not_exist() -> None:
    assert delete_all(draft_of(), [(ref_of("Tier", "x"), "")], skip_missing=True).errors == []


@pytest.mark.parametrize("ref", BUILT_IN, ids=str)
def test_what_always_exists_cannot_be_deleted(ref: Ref) -> None:
    (error,) = delete_all(draft_of(), [(ref, "")], skip_missing=True).errors

    assert error.startswith(f"operation delete is not supported on {ref}: Cannot delete {ref.name} ")
    assert error.endswith(": it always exists")


def test_a_tier_goes_only_after_its_policies() -> None:
    tier, policy = ref_of("Tier", "t"), ref_of("GlobalNetworkPolicy", "p")

    assert "non-empty tier" in delete_all(draft_of(TIER, POLICY), [(tier, ""), (policy, "")]).errors[0]
    assert delete_all(draft_of(TIER, POLICY), [(policy, ""), (tier, "")]).errors == []


def test_what_is_declared_twice_goes_from_the_file_that_is_named() -> None:
    draft = draft_of(SET.format("a"), SET.format("a") + "# mine\n")
    ref = ref_of("GlobalNetworkSet", "a")
    refused = delete_all(draft, [(ref, "")])
    done = delete_all(draft, [(ref, "r/0.yaml")])

    assert (refused.handled, refused.notes) == (0, [])
    assert refused.errors[0].startswith(f"{ref} is declared 2 times, at r/0.yaml:1:1 and at r/1.yaml:1:1;")
    assert (done.handled, done.errors) == (1, [])
    assert done.notes == [f"{ref} is still declared at r/1.yaml:1:1"]
    assert [source.name for source in draft.sources()] == ["r/1.yaml"]


def test_what_comes_back_with_a_deletion_is_said() -> None:
    felix = SET.format("default").replace("GlobalNetworkSet", "FelixConfiguration")
    ref = ref_of("FelixConfiguration", "default")

    assert delete_all(draft_of(felix), [(ref, "")]).notes == [
        f"{ref} always exists: all its settings are at their defaults again, failsafe ports included"
    ]


NAMED = {
    "as it is called": ("web", "", "web", True),
    "with its tier": ("web", "", "default.web", True),
    "with a tier that it says": ("web", "net", "net.web", True),
    "with another tier": ("web", "net", "default.web", False),
    "without the default tier that is in its name": ("default.web", "", "web", True),
    "without another tier that is in its name": ("net.web", "net", "web", False),
    "with nothing behind the tier": ("web", "", "web.", False),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_policy_is_found_with_and_without_its_tier_in_front(case: str) -> None:
    name, tier, asked, found = NAMED[case]
    text = POLICY.replace("name: p", f"name: {name}").replace(
        "tier: t", f"tier: {tier}" if tier else "order: 1"
    )
    draft = draft_of(text)
    ref = meant(draft, ref_of("GlobalNetworkPolicy", asked))

    assert (draft.get(ref) is not None) is found
    assert ref.name == (name if found else asked)


def test_only_policies_have_tiers_in_their_names() -> None:
    ref = ref_of("GlobalNetworkSet", "default.a")

    assert meant(draft_of(SET.format("a")), ref) == ref


def test_a_resource_is_that_of_the_files_or_the_one_that_always_exists() -> None:
    draft = draft_of(SET.format("a"))

    assert current(draft, ref_of("GlobalNetworkSet", "a")) == wanted("a").data
    assert current(draft, ref_of("Tier", "default")) == BUILT_IN[ref_of("Tier", "default")]
    assert current(draft, ref_of("Tier", "x")) is None
