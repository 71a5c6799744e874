"""Lines of a policy in a chain: what they are made of, and when they would come out the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy import inventory_of, policy

from nfq_guard.compile.addresses import AddressBook, AddressMemory
from nfq_guard.compile.blocks import Block, Ends, Place, Titles, write
from nfq_guard.compile.flattened import FlatMemory, Flattened, Flattener
from nfq_guard.compile.policies import AppliedPolicy, PolicyMemory
from nfq_guard.engine.chain import Step
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Side, Stage
from nfq_guard.selector import SelectorCache

SELECTORS = SelectorCache()
PLACE = Place("HostEndpoint", "hep", Stage.NORMAL, Side.INGRESS)
ENDS = Ends(10, 20)


def applied(*actions: str) -> AppliedPolicy:
    inventory = inventory_of(policy("p", ingress=[{"action": action} for action in actions]))
    (candidate,) = PolicyMemory().candidates(inventory, SELECTORS)
    return candidate.applied


def flat_of(found: AppliedPolicy) -> Flattened:
    book = AddressBook(inventory_of(), SELECTORS, AddressMemory())
    return Flattener(book, FlatMemory()).lines(found.rules[Side.INGRESS], None)


def titles_of(found: AppliedPolicy) -> Titles:
    return Titles.of(found, found.kind, "default", Side.INGRESS, "calico-packet")


def block_of(found: AppliedPolicy) -> Block:
    counters = tuple(range(len(found.rules[Side.INGRESS])))
    return write(PLACE, Reason.POLICY, titles_of(found), flat_of(found), counters, ENDS)


def test_lines_lead_behind_their_rule_or_behind_the_tier() -> None:
    block = block_of(applied("Log", "Pass", "Allow", "Deny"))

    assert [(line.step, line.target, line.counter) for line in block.lines] == [
        (Step.LOG, 11, 0),
        (Step.JUMP, 20, 1),
        (Step.DECIDE, 0, 2),
        (Step.DECIDE, 0, 3),
    ]
    assert [line.ref and line.ref.rule for line in block.lines] == [0, 1, 2, 3]


def test_titles_serve_the_very_policy_in_its_tier_under_one_prefix() -> None:
    found = applied("Log")
    titles = titles_of(found)

    assert titles.serve(found, "default", "calico-packet")
    assert not titles.serve(replace(found), "default", "calico-packet")
    assert not titles.serve(found, "another", "calico-packet")
    assert not titles.serve(found, "default", "another")


@pytest.mark.parametrize(
    ("actions", "moved"), [(("Allow", "Deny"), True), (("Allow", "Pass"), False), (("Log",), False)]
)
def test_only_lines_that_lead_nowhere_may_stand_elsewhere(actions: tuple[str, ...], moved: bool) -> None:  # noqa: FBT001 - a column
    block = block_of(applied(*actions))
    same = block.titles, block.flat, block.counters

    assert block.serves(*same, ENDS)
    assert block.serves(*same, Ends(11, 21)) is moved


def test_other_titles_lines_or_counters_are_another_block() -> None:
    found = applied("Allow", "Deny")
    block = block_of(found)

    assert not block.serves(titles_of(found), block.flat, block.counters, ENDS)
    assert not block.serves(block.titles, flat_of(found), block.counters, ENDS)
    assert not block.serves(block.titles, block.flat, (0, 2), ENDS)
