"""Teaching the kernel: only what a worker may have decided, and no more than the kernel takes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import netns
import pytest

from nfq_guard.adapters.nft import Table, probe_queue_target
from nfq_guard.daemon import teacher as teacher_module
from nfq_guard.daemon.protocol import Learn
from nfq_guard.daemon.teacher import Seconds, Teacher
from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
from nfq_guard.kernel.plan import KernelPlan, KernelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

ENDPOINT = GuardedEndpoint("host", {})
RULESET = Ruleset("node", governed={"eth0": ENDPOINT}, generation=3)
GOOD: list[Any] = ["ingress", "eth0", 4, 6, 0x0A000002, 0x0A000001, 443, "allow", 5]


@pytest.fixture
def space() -> Iterator[netns.Namespace]:
    """Yield a namespace that this thread has entered."""
    with netns.Namespace() as made, made.entered():
        yield made


@pytest.fixture
def table(space: netns.Namespace) -> Table:
    """Return our table, installed."""
    assert space.name
    made = Table(KernelSettings(), probe_queue_target())
    made.install(KernelPlan(3, ("eth0",)))
    return made


def elements(space: netns.Namespace, name: str = "learned_allow_in4") -> str:
    return space.run("nft", "list", "map", "inet", "nfq_guard", name).stdout


def changed(**fields: object) -> list[Any]:
    """Return a decision with other fields, by their place."""
    names = ("side", "interface", "family", "protocol", "src", "dst", "dport", "verdict", "counter")
    return [fields.get(name, value) for name, value in zip(names, GOOD, strict=True)]


def test_the_kernel_keeps_what_it_is_taught_for_a_while(space: netns.Namespace, table: Table) -> None:
    teacher = Teacher(table, Seconds(allow=60, deny=10), slots=100)

    assert not teacher.teach(Learn(3, [GOOD, changed(verdict="deny", src=0x0A000003)]), RULESET, 0.0)

    assert '"eth0" . 10.0.0.2 . 10.0.0.1 . tcp . 443 timeout 1m' in elements(space)
    assert '"eth0" . 10.0.0.3 . 10.0.0.1 . tcp . 443 timeout 10s' in elements(space, "learned_deny_in4")
    assert (teacher.taught, teacher.refused) == (2, 0)


def test_a_new_policy_empties_the_maps_in_its_own_transaction(space: netns.Namespace, table: Table) -> None:
    Teacher(table, Seconds(), slots=100).teach(Learn(3, [GOOD]), RULESET, 0.0)

    table.install(KernelPlan(4, ("eth0",)))

    assert "10.0.0.2" not in elements(space)


def test_what_was_taught_is_no_change_by_somebody_else(table: Table) -> None:
    before = table.content()

    Teacher(table, Seconds(), slots=100).teach(Learn(3, [GOOD]), RULESET, 0.0)

    assert table.content() == before != ""


@pytest.mark.parametrize(
    "item",
    [
        [],
        "text",
        [*GOOD, 1],
        changed(side="sideways"),
        changed(interface='eth0" . 1.2.3.4'),
        changed(interface="eth7"),
        changed(family=5),
        changed(protocol=256),
        changed(src=1 << 32),
        changed(dst=-1),
        changed(dport=65536),
        changed(dport="443"),
        changed(verdict="maybe"),
        changed(counter=100),
        changed(counter=-1),
    ],
    ids=str,
)
def test_what_no_worker_can_have_decided_is_not_taught(
    space: netns.Namespace, table: Table, item: Any
) -> None:
    teacher = Teacher(table, Seconds(), slots=100)

    assert not teacher.teach(Learn(3, [item]), RULESET, 0.0)

    assert teacher.taught == 0
    assert "elements" not in elements(space)


def test_a_wildcard_endpoint_lets_no_name_into_the_table_that_is_none(
    space: netns.Namespace, table: Table
) -> None:
    everywhere = Ruleset("node", wildcard=ENDPOINT, generation=3)

    Teacher(table, Seconds(), slots=100).teach(Learn(3, [changed(interface='x" }')]), everywhere, 0.0)

    assert "elements" not in elements(space)


def test_decisions_of_an_older_policy_are_not_taught(space: netns.Namespace, table: Table) -> None:
    Teacher(table, Seconds(), slots=100).teach(Learn(2, [GOOD]), RULESET, 0.0)

    assert "elements" not in elements(space)


def test_a_kernel_that_refuses_is_left_alone_for_a_while(table: Table) -> None:
    table.remove()
    teacher = Teacher(table, Seconds(), slots=100)

    assert "No such file" in teacher.teach(Learn(3, [GOOD]), RULESET, 0.0)
    table.install(KernelPlan(3, ("eth0",)))
    teacher.teach(Learn(3, [GOOD]), RULESET, 5.0)
    assert (teacher.taught, teacher.refused) == (0, 2)
    teacher.teach(Learn(3, [GOOD]), RULESET, 11.0)

    assert (teacher.taught, teacher.refused) == (1, 2)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a bound on rules that is soon reached: thousands of real counters would take a minute."""
    monkeypatch.setattr(teacher_module, "RULES", 4)
    return 4


def counters(space: netns.Namespace) -> set[str]:
    return set(re.findall(r"counter (rule_\d+)", space.run("nft", "list", "counters").stdout))


def learn(generation: int, *slots: int) -> Learn:
    """Return what a worker found: a source for each of these rules."""
    return Learn(generation, [changed(src=0x0A000100 + slot, counter=slot) for slot in slots])


def test_only_so_many_rules_get_a_counter_in_the_kernel(
    space: netns.Namespace, table: Table, few: int
) -> None:
    teacher = Teacher(table, Seconds(), slots=100)

    assert not teacher.teach(learn(3, *range(2 * few)), RULESET, 0.0)
    assert not teacher.teach(learn(3, 50), RULESET, 0.0)

    assert counters(space) == {f"rule_{slot}" for slot in range(few)}
    assert teacher.taught == few


def test_rules_of_a_new_policy_get_the_counters_of_those_before(
    space: netns.Namespace, table: Table, few: int
) -> None:
    teacher = Teacher(table, Seconds(), slots=100)
    for generation in (4, 5, 1, 2, 3):
        table.install(KernelPlan(generation, ("eth0",)))
        ruleset = replace(RULESET, generation=generation)
        first = generation * 10

        assert not teacher.teach(learn(generation, first, first + 1, first + 2), ruleset, 0.0)

        assert {f"rule_{slot}" for slot in (first, first + 1, first + 2)} <= counters(space)
        assert len(counters(space)) <= few
    assert teacher.taught == 15


def test_a_rule_that_goes_on_keeps_its_counter(space: netns.Namespace, table: Table, few: int) -> None:
    assert few == 4
    teacher = Teacher(table, Seconds(), slots=100)
    teacher.teach(learn(3, 0, 1, 2, 3), RULESET, 0.0)
    table.install(KernelPlan(4, ("eth0",)))

    assert not teacher.teach(learn(4, 1, 7), replace(RULESET, generation=4), 0.0)

    assert counters(space) == {"rule_1", "rule_7"}


def test_a_predecessors_counters_give_way(space: netns.Namespace, table: Table, few: int) -> None:
    Teacher(table, Seconds(), slots=100).teach(learn(3, *range(few)), RULESET, 0.0)
    table.install(KernelPlan(4, ("eth0",)))
    teacher = Teacher(table, Seconds(), slots=100)
    teacher.adopt(range(few))

    assert not teacher.teach(learn(4, 50), replace(RULESET, generation=4), 0.0)

    assert counters(space) == {"rule_50"}


def test_counters_that_do_not_give_way_leave_the_kernel_alone_for_a_while(
    space: netns.Namespace, table: Table, few: int
) -> None:
    teacher = Teacher(table, Seconds(), slots=100)
    teacher.teach(learn(3, *range(few)), RULESET, 0.0)
    ruleset = replace(RULESET, generation=4)  # the maps, which say otherwise, were not emptied

    assert "busy" in teacher.teach(learn(4, 50), ruleset, 0.0)
    table.install(KernelPlan(4, ("eth0",)))
    assert not teacher.teach(learn(4, 50), ruleset, 5.0)
    assert not teacher.teach(learn(4, 50), ruleset, 11.0)

    assert counters(space) == {"rule_50"}
    assert (teacher.taught, teacher.refused) == (few + 1, 2)
