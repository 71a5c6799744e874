"""The flow table: two halves, bounded over all parts together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.engine.chain import Match
from nfq_guard.engine.flowtable import FLOW_SECONDS, FlowTable, Outcome, Part
from nfq_guard.model.flow import Packet

OUTCOME = Outcome(Match(None))


def packet(number: int) -> Packet:
    return Packet(4, 6, number, 1, 2, 3)


def known(part: Part) -> set[int]:
    return {one.src for half in (part.young, part.old) for one in half}


def test_a_full_young_half_becomes_the_old_one_and_the_old_one_is_forgotten() -> None:
    table, part = FlowTable(4), Part()
    seen = []

    for number in range(6):
        table.enter(part, packet(number), OUTCOME)
        seen.append(known(part))

    assert seen == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {2, 3, 4}, {2, 3, 4, 5}]
    assert table.entries == 4


def test_a_half_grows_old_with_the_time() -> None:
    table, part = FlowTable(100), Part()
    table.age(1000.0)
    table.enter(part, packet(1), OUTCOME)

    table.age(1000.0 + FLOW_SECONDS - 1)
    assert (part.young, part.old) == ({packet(1): OUTCOME}, {})
    table.age(1000.0 + FLOW_SECONDS)
    assert (part.young, part.old) == ({}, {packet(1): OUTCOME})
    table.age(1000.0 + 2 * FLOW_SECONDS)
    assert (part.young, part.old, table.entries) == ({}, {}, 0)


def test_a_part_without_entries_is_not_held_on_to() -> None:
    table, part, other = FlowTable(4), Part(), Part()
    table.enter(part, packet(1), OUTCOME)
    assert table.halves == [part.young, part.old]

    for number in range(4):
        table.enter(other, packet(number), OUTCOME)
    assert table.halves == [other.young, other.old]

    table.enter(part, packet(1), OUTCOME)
    assert len(table.halves) == 4


@pytest.mark.parametrize("size", [0, 1])
def test_a_table_without_room_holds_nothing(size: int) -> None:
    table, part = FlowTable(size), Part()

    table.enter(part, packet(1), OUTCOME)

    assert (table.entries, part.young, table.halves) == (0, {}, [])


@given(
    size=st.integers(0, 9),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.booleans()), max_size=60),
)
def test_whatever_is_entered_the_bound_holds_and_the_count_is_right(
    size: int, steps: list[tuple[int, int, bool]]
) -> None:
    table, parts, now = FlowTable(size), [Part() for _ in range(4)], 0.0

    for place, number, later in steps:
        now += FLOW_SECONDS if later else 0
        table.age(now)
        if number not in known(parts[place]):
            table.enter(parts[place], packet(number), OUTCOME)
        held = sum(len(part.young) + len(part.old) for part in parts)
        assert table.entries == held == sum(map(len, table.halves)) <= size
