from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.daemon.slots import UNCOUNTED, SlotTable
from nfq_guard.engine.ruleset import CounterKey, OutcomeKey, StagedKey

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import CountedKey


def key(number: int) -> CounterKey:
    return CounterKey("default", "GlobalNetworkPolicy", f"p{number}", "0", "ingress", "allow")


class Memory(dict[int, int]):
    def read(self, slot: int) -> int:
        return self.get(slot, 0)


def test_a_rule_keeps_its_count_across_reloads_and_while_it_is_gone() -> None:
    memory = Memory()
    table = SlotTable(4, memory.read)
    (slot, _) = table.assign([key(1), key(2)])
    memory[slot] = 7

    table.assign([key(2)])
    table.assign([key(3), key(1)])

    assert table.count(key(1)) == 7
    assert dict(table.counts())[key(1)] == 7


def test_slots_are_recycled_only_when_space_is_short_and_then_count_from_zero() -> None:
    memory = Memory()
    table = SlotTable(2, memory.read)
    (slot,) = table.assign([key(1)])
    memory[slot] = 9
    table.assign([key(2)])

    assert table.assign([key(2), key(3)]) == (1, slot)
    assert table.count(key(3)) == 0
    assert table.count(key(1)) == 0


def test_what_a_slot_counted_when_it_changes_hands_is_read_anew_and_only_then() -> None:
    memory, behind = Memory(), Memory()
    refreshed = []

    def refresh() -> None:
        refreshed.append(1)
        behind.update(memory)

    table = SlotTable(2, behind.read, refresh)
    (slot,) = table.assign([key(1)])
    memory[slot] = 9
    table.assign([key(2)])
    assert not refreshed

    table.assign([key(2), key(3)])

    assert (table.count(key(3)), refreshed) == (0, [1])


def test_a_slot_that_the_workers_still_count_by_is_not_recycled() -> None:
    table = SlotTable(1, Memory().read)
    table.assign([key(1)])

    assert table.assign([key(2)]) == (UNCOUNTED,)
    assert table.uncounted == 1
    assert table.assign([key(2)]) == (0,)


@given(st.lists(st.lists(st.integers(0, 12), unique=True, max_size=8), max_size=12))
def test_no_two_living_rules_share_a_slot_and_no_count_goes_backwards(policies: list[list[int]]) -> None:
    memory = Memory()
    table = SlotTable(10, memory.read)
    before: dict[CountedKey, int] = {}
    for numbers in policies:
        slots = table.assign([key(number) for number in numbers])
        counted = [slot for slot in slots if slot != UNCOUNTED]
        assert len(set(counted)) == len(counted)
        now = dict(table.counts())
        assert all(now[rule] >= count for rule, count in before.items() if rule in now and rule in numbers)
        for slot in counted:
            memory[slot] = memory.read(slot) + 1
        before = dict(table.counts())


def test_new_rules_get_their_slots_in_the_order_of_evaluation() -> None:
    table = SlotTable(16, Memory().read)

    assert table.assign([key(number) for number in (5, 3, 9, 3)]) == (0, 1, 2, 1)


def test_what_is_tried_out_is_never_taken_for_what_is_enforced_and_goes_without_first() -> None:
    enforced = key(1)
    tried = (StagedKey(enforced), OutcomeKey("hep", "normal", "ingress", "allow", "deny"))
    table = SlotTable(2, Memory().read)

    assert table.assign([enforced, *tried]) == (0, 1, UNCOUNTED)
    assert {one for one, _ in table.counts()} == {enforced, tried[0]}


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6), min_size=1, max_size=6))
def test_what_is_assigned_again_has_the_same_slots_and_changes_nothing_later(walk: list[list[int]]) -> None:
    memory = Memory()
    once, twice = SlotTable(6, memory.read), SlotTable(6, memory.read)

    for numbers in walk:
        keys = tuple(map(key, numbers))
        slots = once.assign(keys)
        assert twice.assign(keys) == slots
        if not once.uncounted:
            assert twice.assign(keys) == slots
            assert sorted(once.items()) == sorted(twice.items())


def test_rules_that_found_no_slot_get_one_when_they_are_assigned_again() -> None:
    table = SlotTable(1, Memory().read)
    table.assign([key(1)])
    assert table.assign((key(2),)) == (UNCOUNTED,)

    assert table.assign((key(2),)) == (0,)
