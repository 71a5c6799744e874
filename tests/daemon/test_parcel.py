"""What is sent in pieces arrives equal, in steps none of which is long."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import flow_of, ruleset_of
from strategies import FACTS, flows, inventories

from nfq_guard.daemon import parcel
from nfq_guard.daemon.parcel import LONG, Unpacking, store, take_apart
from nfq_guard.engine import decide
from nfq_guard.engine.axis import Axis
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.slices import Slice
from nfq_guard.model.decision import Decision, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator


def frames(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield number and length of each frame of a stored file."""
    data, at = os.pread(descriptor, 1 << 30, 0), 0
    while at < len(data):
        number, length = struct.unpack_from("=iI", data, at)
        at += 8 + length
        yield number, length


def arrived(content: object, *apart: type) -> Any:
    """Return what comes out at the other end, frame by frame, and see that the bound of each holds."""
    descriptor = store(content, "test", apart)
    number = len(list(frames(descriptor)))
    unpacking = Unpacking(os.dup(descriptor))
    os.close(descriptor)
    for _ in range(number - 1):
        assert unpacking.step(-1) is None
    return unpacking.step(-1)


def as_lists(content: Any, long: int) -> Any:
    """Return what is to come out: long tuples as lists."""
    if isinstance(content, tuple) and len(content) <= long:
        return tuple(as_lists(item, long) for item in content)
    if isinstance(content, tuple | list):
        return [as_lists(item, long) for item in content]
    if isinstance(content, dict):
        return {key: as_lists(item, long) for key, item in content.items()}
    return content


nested = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(st.integers(), inner, max_size=6)
    ),
    max_leaves=40,
)


@given(content=nested, long=st.integers(1, 4))
def test_whatever_is_nested_comes_out_equal(content: Any, long: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parcel, "LONG", long)
        content = [content]  # nothing but an object comes out of the last step
        assert arrived(content) == as_lists(content, long)


@pytest.mark.parametrize("number", [0, 1, LONG, LONG + 1, 2 * LONG, 10 * LONG + 3])
def test_long_lists_tuples_and_dicts_come_in_pieces(number: int) -> None:
    items = list(range(number))

    assert arrived({"list": items}) == {"list": items}
    assert arrived({"dict": dict.fromkeys(items, "x")}) == {"dict": dict.fromkeys(items, "x")}
    assert list(arrived({"tuple": tuple(items)})["tuple"]) == items


def test_no_frame_grows_with_what_is_sent() -> None:
    def longest(number: int) -> int:
        chains = {
            name: Chain(
                FlatRule(Step.DECIDE, ANYTHING, Decision(Verdict.DENY, Reason.POLICY, endpoint=name))
                for _ in range(3)
            )
            for name in map("{:05}".format, range(number))
        }
        descriptor = store([chains, tuple(range(10**6, 10**6 + 100 * number))], "test", (Chain, Slice, Axis))
        lengths = [length for _, length in frames(descriptor)]
        os.close(descriptor)
        return max(lengths)

    assert longest(520) <= longest(260) + 100


def test_what_stands_in_two_places_is_one_thing_when_it_arrives() -> None:
    items, chain = list(range(1000)), Chain([FlatRule(Step.DECIDE, ANYTHING)])

    first, second, one, other = arrived([items, items, chain, chain], Chain)

    assert first is second
    assert one is other


def test_equal_things_that_live_one_after_the_other_are_not_mixed_up() -> None:
    class Fleeting:
        """Makes its content when it is asked for it."""

        def __init__(self, start: int) -> None:
            self.start = start

        def __reduce__(self) -> tuple[Any, ...]:
            return list, (tuple(range(self.start, self.start + 300)),)

    assert arrived([Fleeting(number) for number in range(50)]) == [
        list(range(number, number + 300)) for number in range(50)
    ]


@given(inventories(), st.lists(flows(), min_size=5, max_size=5))
def test_a_ruleset_in_pieces_answers_as_the_one_it_was_made_from(
    resources: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    ruleset = ruleset_of(FACTS, *resources)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parcel, "LONG", 256)
        copy = arrived(ruleset, Chain, Slice, Axis)

    # Which rule it was a worker need not know: what it counts says it.
    assert [decide(copy, flow_of(flow)) for flow in asked] == [
        decide(ruleset, flow_of(flow))._replace(rule=None, counter=-1) for flow in asked
    ]


def test_a_step_ends_when_its_time_is_over_and_not_before() -> None:
    content = [list(range(n, n + 1000)) for n in range(100)]
    descriptor = store(content, "test")
    number = len(list(frames(descriptor)))
    steps = []
    for seconds in (-1, 60):
        unpacking = Unpacking(os.dup(descriptor))
        count = 1
        while (found := unpacking.step(seconds)) is None:
            count += 1
        assert found == content
        steps.append(count)
    os.close(descriptor)

    assert steps == [number, 1]


def damaged(data: bytes) -> int:
    descriptor = os.memfd_create("test")
    os.write(descriptor, data)
    return descriptor


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Unpacking(damaged(b""))


@pytest.mark.parametrize("length", [4, 20, -3, -40])
def test_a_file_that_was_cut_is_an_error_and_not_an_object(length: int) -> None:
    descriptor = store([list(range(1000))], "test")
    data = os.pread(descriptor, 1 << 20, 0)
    os.close(descriptor)
    unpacking = Unpacking(damaged(data[:length]))

    with pytest.raises((EOFError, pickle.UnpicklingError, struct.error)):
        unpacking.step(60)


def test_the_descriptor_is_closed_at_once_and_the_memory_when_all_has_arrived() -> None:
    descriptor = store([1, 2], "test")
    given_away = os.dup(descriptor)
    unpacking = Unpacking(given_away)

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(given_away)
    assert isinstance(unpacking._data, mmap.mmap)
    assert unpacking.step(60) == [1, 2]
    assert unpacking._data.closed
    os.close(descriptor)


def test_what_arrived_is_taken_apart_bit_by_bit() -> None:
    content = [list(range(5000)), dict.fromkeys(range(3000))]
    descriptor = store(content, "test")
    unpacking = Unpacking(descriptor)
    found = unpacking.step(60)

    def left() -> int:
        return sum(map(len, found))

    counts = [left(), *(left() for _ in take_apart(unpacking.containers))]

    assert (counts[0], counts[-1], found) == (8000, 0, [[], {}])
    assert all(0 <= before - after <= LONG for before, after in pairwise(counts))
    assert unpacking._pieces == {}


class Holder:
    """Of a class that gets frames of its own."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holder) and self.held == other.held

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("items", "number"),
    [
        (list(range(LONG + 1)), 3),
        ([(1, 2), None] * LONG, 3),
        ([(1, (2,)), None] * LONG, 3),
        ([*range(LONG), (0,) * (LONG + 1)], 5),
        ([None, *[(0,) * (LONG + 1)] * LONG], 5),
        ([(1, Holder(2))] * (LONG + 1), 4),
        ([Holder(2)] * (LONG + 1), 4),
    ],
    ids=["numbers", "rows", "nested", "numbers and a long row", "long rows", "others in rows", "others"],
)
def test_items_are_asked_one_by_one_only_where_one_may_have_frames_of_its_own(
    items: list[object], number: int
) -> None:
    descriptor = store([items], "test", (Holder,))
    assert len(list(frames(descriptor))) == number
    os.close(descriptor)

    assert arrived([items], Holder) == as_lists([items], LONG)
