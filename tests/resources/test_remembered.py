"""What did not change is the same object; what is said is what reading everything anew says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy import host_endpoint, policy, resource
from strategies import inventories

from nfq_guard.resources import Inventory, LoadMemory, Source, load, remembered, tree
from nfq_guard.resources.load import _read
from nfq_guard.resources.remembered import Content, Remembered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nfq_guard.model.problem import Problem

API = "projectcalico.org/v3"


def document(made: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": API, **made}) + "\n"


def documents(*made: dict[str, Any]) -> bytes:
    return "---\n".join(map(document, made)).encode()


A, B, C = (policy(name, order=number) for number, name in enumerate("abc"))
B2 = policy("b", order=7)
HOST = host_endpoint()


class Loads:
    """Loads one after the other, by one memory; counts what is read."""

    def __init__(self) -> None:
        self.memory = LoadMemory()
        self.read: list[bytes] = []
        self.memory.files = Remembered(self._read)

    def _read(self, data: bytes) -> Content:
        self.read.append(data)
        return _read(data)

    def __call__(self, **files: bytes) -> Inventory:
        inventory, problems = load([Source(name, data) for name, data in files.items()], self.memory)
        assert problems == []
        return inventory


@pytest.fixture
def loads() -> Loads:
    return Loads()


def test_of_several_files_only_the_one_that_changed_is_read(loads: Loads) -> None:
    first = loads(h=documents(HOST), a=documents(A), b=documents(B), c=documents(C))
    loads.read.clear()

    second = loads(h=documents(HOST), a=documents(A), b=documents(B2), c=documents(C))

    assert loads.read == [documents(B2)]
    one, other = first.global_network_policies, second.global_network_policies
    assert [each is was for each, was in zip(other, one, strict=True)] == [True, False, True]
    assert other[1].value.spec.order == 7


def test_of_one_file_only_the_document_that_changed_is_read_and_those_above_are_the_same(
    loads: Loads,
) -> None:
    first = loads(all=documents(HOST, A, B, C))
    loads.read.clear()

    second = loads(all=documents(HOST, A, B2, C))

    assert loads.read == [b"---\n" + documents(B2)]
    one, other = first.global_network_policies, second.global_network_policies
    assert [each is was for each, was in zip(other, one, strict=True)] == [True, False, True]


def test_a_document_that_moved_is_decoded_no_second_time_and_stands_where_it_stands(loads: Loads) -> None:
    first = loads(all=documents(HOST, A, B))
    loads.read.clear()

    second = loads(other=documents(HOST), all=b"# two\n# lines\n" + documents(B, A))

    before = {located.name: located for located in first.global_network_policies}
    now = {located.name: located for located in second.global_network_policies}
    assert now["a"].value is before["a"].value
    assert [str(now[name].position("spec.order")) for name in "ba"] == ["all:3:116", "all:5:116"]
    assert loads.read == [b"# two\n# lines\n" + documents(B)]


def test_what_is_in_no_file_any_more_is_forgotten(loads: Loads) -> None:
    loads(all=documents(HOST, A, B))
    loads(all=documents(HOST, A))
    loads.read.clear()

    loads(all=documents(HOST, A, B))

    assert loads.read == [b"---\n" + documents(B)]


def test_a_mistake_between_costs_only_what_it_changed(loads: Loads) -> None:
    good = documents(HOST, A, B, C)
    loads(all=good)
    bad = good.replace(b'"order": 1', b'"order": 1,, ')
    _, problems = load([Source("all", bad)], loads.memory)
    assert [problem.code for problem in problems] == ["yaml-syntax"]
    loads.read.clear()

    loads(all=good)

    assert loads.read == [b"---\n" + documents(B)]


def test_a_file_of_too_many_values_is_refused_though_no_document_is(
    loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (remembered, tree):
        monkeypatch.setattr(module, "MAX_NODES", 30)

    _, problems = load([Source("all", documents(A, B, C))], loads.memory)

    assert [problem.code for problem in problems] == ["too-many-values"]


def test_what_two_files_of_one_name_declare_is_declared_twice_every_time(loads: Loads) -> None:
    sources = [Source("all", documents(A))] * 2

    told = [[problem.code for problem in load(sources, loads.memory)[1]] for _ in range(3)]

    assert told == [["duplicate-resource"]] * 3


# -- a random walk ---------------------------------------------------------------

BROKEN = ("x: [1\n", "kind: Nonsense\n", "kind: Tier\nkind: Tier\n", "\tx\n", "kind: GlobalNetworkPolicy\n")
SETS = [
    resource("GlobalNetworkSet", "s", labels={"role": role}, nets=nets)
    for role in "wd"
    for nets in ([], ["10.0.0.0/8"])
]
edits = st.tuples(
    st.sampled_from(["replace", "add", "remove", "move", "remark", "break", "file"]),
    st.integers(0, 99),
    st.integers(0, 99),
)


class Files:
    """Three files that are edited at random."""

    def __init__(self, pool: list[dict[str, Any]]) -> None:
        self._pool = [document(made) for made in [*pool, *SETS]]
        self.files: list[list[str]] = [[], [], []]
        for number, text in enumerate(self._pool[: len(pool)]):
            self.files[number % 3].append(text)

    def edit(self, what: str, where: int, which: int) -> None:
        file = self.files[where % 3]
        at = which % len(file) if file else 0
        if what == "replace" and file:
            file[at] = self._pool[(where + which) % len(self._pool)]
        elif what == "add":
            file.insert(at, self._pool[which % len(self._pool)])
        elif what == "remove" and file:
            file.pop(at)
        elif what == "move" and file:
            self.files[which % 3].insert(0, file.pop(at))
        elif what == "remark":
            file.insert(at, "# a remark\n\n")
        elif what == "break":
            file.insert(at, BROKEN[which % len(BROKEN)])
        elif what == "file":
            self.files.reverse()

    def sources(self) -> list[Source]:
        return [
            Source(f"{number}.yaml", "---\n".join(file).encode()) for number, file in enumerate(self.files)
        ]


def told(
    sources: Sequence[Source], memory: LoadMemory | None = None
) -> tuple[Inventory, list[Problem], list[str]]:
    """Return all there is to a load, every place that a rule is said to stand at included."""
    inventory, problems = load(sources, memory)
    places = [
        str(located.position(f"spec.{field}[{index}]"))
        for located in inventory.global_network_policies
        for field, index, _ in located.value.spec.rules()
    ]
    return inventory, problems, places


@given(inventories(), st.lists(edits, min_size=1, max_size=6))
def test_whatever_was_loaded_before_a_load_gives_what_a_first_one_gives(
    pool: list[dict[str, Any]], walk: list[tuple[str, int, int]]
) -> None:
    files, memory = Files(pool), LoadMemory()
    expected = []

    for step in walk:
        sources = files.sources()
        expected.append((sources, told(sources)))
        assert told(sources, memory) == expected[-1][1]
        files.edit(*step)
    for sources, at_first in reversed(expected):
        assert told(sources, memory) == at_first
