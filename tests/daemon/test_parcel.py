"""What is sent in pieces arrives equal, in steps none of which is long."""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Named(NamedTuple):
    """A tuple that is something else."""

    items: Any
    other: Any = ()


class Kept:
    """Says when it goes."""

    living = 0

    def __init__(self) -> None:
        Kept.living += 1

    def __del__(self) -> None:
        Kept.living -= 1

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, ()


def spelled(content: Any) -> Any:
    """Return content with the type of everything in it, which equality does not always ask for."""
    if isinstance(content, dict):
        return type(content), [(spelled(key), spelled(value)) for key, value in content.items()]
    if isinstance(content, list | tuple):
        return type(content), [spelled(item) for item in content]
    return type(content), content


keys = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=6).map(tuple) | st.frozensets(st.integers(), max_size=6),
    max_leaves=10,
)
nested = st.recursive(
    st.none()
    | st.integers()
    | st.booleans()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.sampled_from([*Verdict, tuple, list, dict])
    | st.sets(st.integers(), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.lists(inner, max_size=6).map(tuple)
        | st.builds(Named, st.lists(inner, max_size=6).map(tuple), inner)
        | st.dictionaries(keys, inner, max_size=6)
    ),
    max_leaves=40,
)


@given(content=nested, long=st.integers(1, 4))
def test_whatever_is_nested_comes_out_as_it_was_types_included(content: Any, long: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parcel, "LONG", long)
        content = [content]  # nothing but an object comes out of the last step
        assert spelled(arrived(content)) == spelled(content)


@pytest.mark.parametrize("number", [0, 1, LONG, LONG + 1, 2 * LONG, 10 * LONG + 3])
def test_long_lists_tuples_and_dicts_come_in_pieces(number: int) -> None:
    items = list(range(number))

    assert arrived({"list": items}) == {"list": items}
    assert arrived({"dict": dict.fromkeys(items, "x")}) == {"dict": dict.fromkeys(items, "x")}
    assert arrived({"tuple": tuple(items)}) == {"tuple": tuple(items)}
    assert arrived({"key": {tuple(items): 1}}) == {"key": {tuple(items): 1}}


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
    numbers = tuple(items)

    first, second, this, that, one, other = arrived([items, items, numbers, [numbers], chain, chain], Chain)

    assert first is second
    assert this is that[0]
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


def test_a_ruleset_of_many_workload_prefixes_judges_on_its_way_and_there() -> None:
    prefixes = [f"tap{number}x" for number in range(LONG + 1)]
    felix = {
        "kind": "FelixConfiguration",
        "metadata": {"name": "default"},
        "spec": {"interfacePrefix": ",".join(prefixes)},
    }
    everywhere = {
        "kind": "HostEndpoint",
        "metadata": {"name": "any"},
        "spec": {"node": FACTS["node"], "interfaceName": "*"},
    }
    ruleset = ruleset_of(FACTS, felix, everywhere)

    copy = arrived(ruleset, Chain, Slice, Axis)

    assert spelled(copy.workload_prefixes) == spelled(ruleset.workload_prefixes)
    assert copy.is_workload("tap200x1")
    assert copy.endpoint_for("eth7") is not None


def test_what_arrived_is_taken_apart_bit_by_bit() -> None:
    content = [list(range(5000)), dict.fromkeys(range(3000))]
    descriptor = store(content, "test")
    unpacking = Unpacking(descriptor)
    found = unpacking.step(60)

    def left() -> int:
        return sum(map(len, found))

    counts = [left(), *(left() for _ in unpacking.take_apart())]

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
        ([*range(LONG), (0,) * (LONG + 1)], 6),
        ([None, *[(0,) * (LONG + 1)] * LONG], 6),
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

    assert arrived([items], Holder) == [items]


def test_what_long_tuples_hold_goes_bit_by_bit_too() -> None:
    unpacking = Unpacking(store([[tuple(Kept() for _ in range(5000))], Named(())], "test"))
    found = unpacking.step(60)
    assert Kept.living == len(found[0][0]) == 5000

    del found
    counts = [Kept.living, *(Kept.living for _ in unpacking.take_apart())]

    assert (counts[0], counts[-1]) == (5000, 0)
    assert all(0 <= before - after <= LONG for before, after in pairwise(counts))


def test_a_file_that_is_left_half_way_is_taken_apart_too() -> None:
    descriptor = store([tuple(Kept() for _ in range(5000))], "test")
    unpacking = Unpacking(descriptor)
    unpacking.step(-1)
    assert Kept.living == LONG

    assert len(list(unpacking.take_apart())) == 2
    assert Kept.living == 0


def test_what_is_remembered_elsewhere_is_taken_apart_bit_by_bit() -> None:
    entries, items = dict.fromkeys(range(600)), list(range(600))

    assert len(list(take_apart([entries, items]))) == 6

    assert (entries, items) == ({}, [])
