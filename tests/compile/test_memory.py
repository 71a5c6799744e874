"""What a compilation leaves for the next: the same objects for what is the same, the same answers for all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import facts_of, host_endpoint, policy, resource
from strategies import FACTS, inventories

from nfq_guard.compile import CompileMemory, compile_ruleset
from nfq_guard.compile.addresses import AddressBook
from nfq_guard.compile.policies import AppliedTier, PolicyIndex
from nfq_guard.model.flow import Side, Stage
from nfq_guard.resources import LoadMemory, Source, load
from nfq_guard.resources.labels import EndpointLabels
from nfq_guard.selector import SelectorCache, parse

if TYPE_CHECKING:
    from nfq_guard.compile import Compiled
    from nfq_guard.engine.chain import Chain
    from nfq_guard.model.addresses import AddressSet
    from nfq_guard.resources import Inventory

Resource = dict[str, Any]
HOST = facts_of(FACTS)


class Memories:
    """Loads and compiles one after the other."""

    def __init__(self) -> None:
        self.selectors = SelectorCache()
        self.loads = LoadMemory(self.selectors)
        self.compiles = CompileMemory(self.selectors)

    def inventory(self, *resources: Resource, together: bool = False) -> Inventory:
        """Load resources, each from a file of its own, or all from one."""
        texts = {
            f"{made['kind']}-{made['metadata']['name']}-{made['metadata'].get('namespace')}": json.dumps(
                {"apiVersion": "projectcalico.org/v3", **made}, indent=1
            )
            for made in resources
        }
        if together:
            texts = {"all": "\n---\n".join(texts.values())}
        return load([Source(name, text.encode()) for name, text in texts.items()], self.loads)[0]

    def compile(self, *resources: Resource, together: bool = False) -> Compiled:
        inventory = self.inventory(*resources, together=together)
        return compile_ruleset(inventory, HOST, memory=self.compiles)

    def selected(self, text: str, *resources: Resource) -> AddressSet:
        book = AddressBook(self.inventory(*resources), self.selectors, self.compiles.addresses)
        return book.select(parse(text))

    def tiers(self, *resources: Resource) -> tuple[AppliedTier, ...]:
        """Return the tiers of the first endpoint in the normal stage."""
        inventory = self.inventory(*resources)
        index = PolicyIndex(inventory, self.selectors, self.compiles.policies)
        return index.tiers(EndpointLabels(inventory).of(inventory.host_endpoints[0]), Stage.NORMAL)


@pytest.fixture
def memories() -> Memories:
    return Memories()


def spread(compiled: Compiled) -> object:
    """Return everything that was compiled, for comparison."""
    ruleset = compiled.ruleset
    endpoints = {**ruleset.by_interface, **ruleset.workloads, "*": ruleset.wildcard}
    lines = {
        interface: endpoint
        and (
            endpoint.name,
            {at: tables(chain) for at, chain in endpoint.chains.items()},
            {at: (tables(pending.chain), pending.outcomes) for at, pending in endpoint.pending.items()},
        )
        for interface, endpoint in endpoints.items()
    }
    counted = (ruleset.counter_keys, ruleset.tried_keys, ruleset.staged_policies)
    return lines, counted, ruleset.endpoint_states, ruleset.options, compiled.warnings


def tables(chain: Chain) -> object:
    """Return a chain's lines, and everything that they are found by."""
    return chain.rules, {
        family: [
            (piece.lines, [(axis.starts, axis.classes, axis.members, axis.specific) for axis in piece.axes])
            for piece in {id(piece): piece for piece in pieces}.values()
        ]
        for family, pieces in chain.slices.items()
    }


@given(inventories(), st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=5))
def test_whatever_was_compiled_before_a_compilation_gives_what_a_first_one_gives(
    pool: list[Resource], walk: list[tuple[int, int]]
) -> None:
    memories, expected = Memories(), []

    for first, last in walk:
        some = pool[first % len(pool) :] + pool[: last % len(pool)]
        fresh = spread(Memories().compile(*some))
        assert spread(memories.compile(*some)) == fresh
        expected.append((some, fresh))
    for some, fresh in reversed(expected):
        assert spread(memories.compile(*some)) == fresh


def netset(name: str, *nets: str, **labels: str) -> Resource:
    return resource("GlobalNetworkSet", name, nets=list(nets), labels=labels)


A, B, C = (netset(name, f"10.{number}.0.0/16", set=name) for number, name in enumerate("abc"))


versions = st.tuples(inventories(), inventories())
choices = st.lists(st.sampled_from([None, 0, 0, 0, 1, 1]), min_size=20, max_size=20)


@pytest.mark.parametrize("together", [False, True], ids=["a file each", "one file"])
@given(versions=versions, walk=st.lists(choices, min_size=2, max_size=5))
def test_after_whatever_edits_a_compilation_gives_what_a_first_one_gives(
    versions: tuple[list[Resource], list[Resource]], walk: list[list[int | None]], *, together: bool
) -> None:
    """Each step takes one of two versions of each resource, or leaves it out."""
    named = [{(made["kind"], made["metadata"]["name"]): made for made in resources} for resources in versions]
    memories = Memories()

    for step in walk:
        chosen = zip({**named[0], **named[1]}, step * 2, strict=False)
        now = [named[which][name] for name, which in chosen if which is not None and name in named[which]]
        fresh = spread(Memories().compile(*now, together=together))
        assert spread(memories.compile(*now, together=together)) == fresh


def chains_of(compiled: Compiled) -> dict[Side, Chain]:
    """Return the normal chains of eth0."""
    endpoint = compiled.ruleset.by_interface["eth0"]
    return {side: endpoint.chains[Stage.NORMAL, side] for side in Side}


def test_lines_and_chains_are_the_same_objects_while_nothing_in_them_changed(memories: Memories) -> None:
    rules = [{"action": action, "source": {"selector": "set == 'a'"}} for action in ("Log", "Pass", "Allow")]
    resources = [host_endpoint(), A, *(policy(name, ingress=rules) for name in ("p", "q", "r"))]
    first = chains_of(memories.compile(*resources))
    edited = [
        policy("q", ingress=rules[::-1]) if made["metadata"]["name"] == "q" else made for made in resources
    ]

    second = chains_of(memories.compile(*edited))

    assert second[Side.EGRESS] is first[Side.EGRESS]
    kept = set(map(id, first[Side.INGRESS].rules))
    assert {
        rule.ref.name for rule in second[Side.INGRESS].rules if rule.ref is not None and id(rule) in kept
    } == {"p", "r"}
    assert chains_of(memories.compile(*edited, netset("b", "10.1.0.0/16", set="b"))) == second


@pytest.mark.parametrize(
    "change",
    [
        netset("a", "10.9.0.0/16", set="a"),
        netset("a", "10.0.0.0/16", set="b"),
        netset("c", "10.3.0.0/16", set="a"),
        host_endpoint("there", node="other", expectedIPs=["192.0.2.7"], labels={"set": "a"}),
    ],
    ids=["another net", "a label goes", "a set comes", "an endpoint comes"],
)
def test_a_rule_whose_selector_stands_for_something_else_is_another_line(
    memories: Memories, change: Resource
) -> None:
    rules = [{"action": "Allow", "source": {"selector": "set == 'a'"}}]
    before = [host_endpoint(), netset("a", "10.0.0.0/16", set="a"), policy("p", ingress=rules)]
    after = [made for made in before if made["metadata"]["name"] != change["metadata"]["name"]] + [change]
    first = spread(memories.compile(*before))

    assert spread(memories.compile(*after)) == spread(Memories().compile(*after)) != first
    assert spread(memories.compile(*before)) == first


def logging(prefix: str) -> Resource:
    return resource("FelixConfiguration", "default", logPrefix=prefix)


def test_another_prefix_of_log_lines_is_taken_up(memories: Memories) -> None:
    made = [host_endpoint(), policy("p", ingress=[{"action": "Log"}])]
    one, other = (spread(Memories().compile(*made, logging(prefix))) for prefix in ("one", "other"))

    assert spread(memories.compile(*made, logging("one"))) == one
    assert spread(memories.compile(*made, logging("other"))) == other != one


def test_lines_move_with_what_comes_and_goes_ahead_of_them(memories: Memories) -> None:
    ends = [{"action": "Log"}, {"action": "Pass"}, {"action": "Allow"}]
    made = [host_endpoint(), policy("p", order=2, ingress=ends)]
    ahead = policy("ahead", order=1, ingress=ends[:2])

    for now in (made, [*made, ahead], made):
        assert spread(memories.compile(*now)) == spread(Memories().compile(*now))


def test_a_selector_gives_the_same_object_while_what_it_selects_is_the_same(memories: Memories) -> None:
    first = memories.selected("set == 'a'", A, B)

    assert memories.selected("set == 'a'", A, B) is first
    assert memories.selected("set == 'a'", A, netset("b", "10.9.0.0/16", set="b")) is first
    assert memories.selected("set == 'a'", C, A) is first
    assert memories.selected("set == 'a'", netset("a", "10.7.0.0/16", set="a")) != first


CHANGES = {
    "another net": [netset("a", "10.0.0.0/16", "10.8.0.0/16", set="a"), B],
    "no net": [netset("a", set="a"), B],
    "a label goes": [netset("a", "10.0.0.0/16"), B],
    "a label comes": [A, netset("b", "10.1.0.0/16", set="a")],
    "a set goes": [B],
    "a set comes": [A, B, netset("more", "10.5.0.0/16", set="a")],
    "an endpoint comes": [A, B, host_endpoint(expectedIPs=["10.6.0.1"], labels={"set": "a"})],
    "a profile gives the label": [
        *(A, B, host_endpoint(expectedIPs=["10.6.0.1"], profiles=["p"])),
        resource("Profile", "p", labelsToApply={"set": "a"}),
    ],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("text", ["set == 'a'", "has(set)", "set != 'b'", "all()"])
def test_a_change_of_what_is_selected_is_seen_and_undone(memories: Memories, change: str, text: str) -> None:
    first = memories.selected(text, A, B)

    assert memories.selected(text, *CHANGES[change]) == Memories().selected(text, *CHANGES[change])
    assert memories.selected(text, A, B) == first


def test_selectors_that_no_rule_has_any_more_are_forgotten(memories: Memories) -> None:
    for number in range(5000):
        memories.selected(f"set == '{number}'", A, B)
        selected = memories.compiles.addresses.selected
        assert selected is not None
        assert len(selected.addresses) < 4000


def policies(*names: str, order: int = 1) -> list[Resource]:
    return [policy(name, order=order, ingress=[{"action": "Allow"}]) for name in names]


def test_a_policy_that_did_not_change_is_applied_by_the_same_object(memories: Memories) -> None:
    (first,) = memories.tiers(host_endpoint(), *policies("a", "b", "c"))

    (second,) = memories.tiers(host_endpoint(), *policies("a"), *policies("b", order=0), *policies("c"))

    now = {applied.name: applied for applied in second.policies}
    assert list(now) == ["b", "a", "c"]
    assert [now[applied.name] is applied for applied in first.policies] == [True, False, True]


def test_tiers_are_the_same_objects_while_nothing_in_them_changed(memories: Memories) -> None:
    resources = [host_endpoint(), policy("t.a", tier="t"), policy("t.b", tier="t")]
    ends = [resource("Tier", "t", defaultAction=action) for action in ("Deny", "Pass")]
    first = memories.tiers(*resources, ends[0])

    assert memories.tiers(*resources, ends[0], A) is first
    assert memories.tiers(*resources, ends[1]) != first
