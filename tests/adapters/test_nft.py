"""The table's life in real kernels' hands: made, adopted, reloaded, replaced, removed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import netns
import pytest

from nfq_guard.adapters import nft
from nfq_guard.adapters.command import Output
from nfq_guard.adapters.nft import BaseChain, Count, KernelError, Snapshot, Table, probe_queue_target
from nfq_guard.kernel.plan import FailMode, KernelPlan, KernelSettings, QueueTarget
from nfq_guard.kernel.render import base_chain_names, render_reload, render_table
from nfq_guard.kernel.skeleton import SKELETON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.netns

PLAN = KernelPlan(3, ("eth0",))


@pytest.fixture
def space() -> Iterator[netns.Namespace]:
    """Yield a namespace that this thread has entered."""
    with netns.Namespace() as made, made.entered():
        yield made


@pytest.fixture
def table(space: netns.Namespace) -> Table:
    """Return our table in the namespace, not yet installed."""
    assert space.name
    return Table(KernelSettings(), probe_queue_target())


def _ruleset(space: netns.Namespace) -> str:
    return space.run("nft", "list", "ruleset").stdout


def _handles(table: Table) -> dict[str, int]:
    snapshot = table.read_back()
    assert snapshot is not None
    return {"table": snapshot.handle, **{chain.name: chain.handle for chain in snapshot.base_chains}}


def _queue_remark(table: Table) -> str:
    snapshot = table.read_back()
    assert snapshot is not None
    return snapshot.queue


def test_the_probe_leaves_nothing_and_its_answer_can_be_loaded(space: netns.Namespace) -> None:
    target = probe_queue_target()
    assert not _ruleset(space)
    Table(KernelSettings(), target).install(PLAN)
    assert _ruleset(space)


def test_a_kernel_that_can_neither_way_says_why_not_and_keeps_no_probe(
    space: netns.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise KernelError("xt target NFQUEUE: no")

    monkeypatch.setattr(nft, "run", lambda *_, **__: Output(1, "", "no such expression"))
    monkeypatch.setattr(nft, "put_queue_rule", refused)
    with pytest.raises(
        KernelError, match="cannot queue packets: queue statement: no such expression; xt target NFQUEUE: no"
    ):
        probe_queue_target()
    assert not _ruleset(space)


def test_a_kernel_that_takes_the_queue_statement_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "run", lambda *_, **__: Output(0, "", ""))
    assert probe_queue_target() is QueueTarget.NATIVE


def test_the_native_table_is_made_reloaded_and_replaced_in_one_transaction_each(
    space: netns.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the queueing rule itself is left out, for kernels that do not have it.
    for render in (render_table, render_reload):
        monkeypatch.setattr(nft, render.__name__, _without_queueing_rule(render))
    native = Table(KernelSettings(), QueueTarget.NATIVE)
    native.install(PLAN)
    before = _handles(native)
    native.install(replace(PLAN, generation=4))
    assert _handles(native) == before
    space.nft("delete chain inet nfq_guard input\n")
    native.install(replace(PLAN, generation=5))
    assert native.installed_generation() == 5


def _without_queueing_rule(render: Callable[..., str]) -> Callable[..., str]:
    def rendered(plan: KernelPlan, settings: KernelSettings, *, target: QueueTarget, **more: object) -> str:
        assert target is QueueTarget.NATIVE
        return render(plan, settings, target=QueueTarget.XT, **more)

    return rendered


def test_there_is_nothing_to_read_before_the_first_install(table: Table) -> None:
    assert table.read_back() is None
    assert table.installed_generation() is None
    assert table.counters() == {}


def test_an_installed_table_is_sound_and_knows_its_generation(table: Table) -> None:
    table.install(PLAN)
    snapshot = table.read_back()
    assert snapshot is not None
    assert snapshot.sound
    assert {chain.name: (chain.hook, chain.priority) for chain in snapshot.base_chains} == {
        "input_pre": ("input", -6),
        "input": ("input", -5),
        "output_pre": ("output", -6),
        "output": ("output", -5),
        "rerouted_pre": ("postrouting", -149),
        "rerouted": ("postrouting", -148),
    }
    assert table.installed_generation() == 3
    assert snapshot.queue == "queue 0-0 no bypass"


def test_a_reload_changes_content_and_keeps_base_chains(space: netns.Namespace, table: Table) -> None:
    table.install(PLAN)
    before = _handles(table)
    table.install(KernelPlan(4, ("eth1",), wildcard=True))
    assert _handles(table) == before
    assert table.installed_generation() == 4
    assert 'elements = { "eth1" }' in _ruleset(space)


def test_a_table_left_by_a_killed_predecessor_is_adopted(table: Table) -> None:
    table.install(PLAN)
    before = _handles(table)
    successor = Table(KernelSettings(), probe_queue_target())
    assert successor.installed_generation() == 3
    successor.install(replace(PLAN, generation=4))
    assert _handles(successor) == before


def test_a_successor_with_another_queue_and_fail_mode_changes_the_queueing_rule(table: Table) -> None:
    table.install(PLAN)
    before = _handles(table)
    successor = Table(KernelSettings(queue=9, fail_mode=FailMode.OPEN), probe_queue_target())
    successor.install(PLAN)
    assert _queue_remark(successor) == "queue 9-9 bypass"
    assert _handles(successor) == before


def test_a_table_of_another_skeleton_is_replaced_as_a_whole(
    space: netns.Namespace, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfq_guard.kernel.skeleton.SKELETON", SKELETON + 1)
    table.install(PLAN)
    space.nft("add chain inet nfq_guard leftover\n")
    monkeypatch.undo()
    before = _handles(table)
    assert table.installed_generation() is None
    table.install(PLAN)
    after = _handles(table)
    assert table.installed_generation() == 3
    assert after.keys() == before.keys()
    assert after["table"] != before["table"]
    assert "leftover" not in _ruleset(space)
    assert _queue_remark(table) == "queue 0-0 no bypass"


def moved(hook: str, rule: str = "jump classify_in") -> str:
    """Return what makes chain `input` another one that bears the same remark."""
    return (
        "delete chain inet nfq_guard input\n"
        f"add chain inet nfq_guard input {{ type filter {hook} }}\n"
        f'add rule inet nfq_guard input {rule} comment "nfq-guard skeleton 1"'
    )


@pytest.mark.parametrize(
    "damage",
    [
        "flush chain inet nfq_guard input",
        "flush table inet nfq_guard",
        "delete chain inet nfq_guard output_pre",
        "insert rule inet nfq_guard input accept",
        "add chain inet nfq_guard spy { type filter hook forward priority 0; }",
        "chain inet nfq_guard input { policy drop; }",
        "chain inet nfq_guard output_pre { policy drop; }",
        moved("hook input priority 5; policy accept;"),
        moved("hook prerouting priority -5; policy accept;"),
        moved("hook input priority -5; policy accept;", "jump unmark_in"),
        moved("hook input priority -5; policy accept;", "ct state new jump classify_in"),
    ],
)
def test_a_damaged_skeleton_is_noticed_and_replaced(
    space: netns.Namespace, table: Table, damage: str
) -> None:
    table.install(PLAN)
    before = _ruleset(space)
    space.nft(f"{damage}\n")
    assert table.installed_generation() is None
    table.install(PLAN)
    assert table.installed_generation() == 3
    snapshot = table.read_back()
    assert snapshot is not None
    assert _ruleset(space) == before


def test_a_namesake_that_is_not_ours_is_left_alone(space: netns.Namespace, table: Table) -> None:
    space.nft("table inet nfq_guard {\n\tchain theirs {\n\t}\n}\n")
    before = _ruleset(space)
    with pytest.raises(KernelError, match="exists and was not made by nfq-guard"):
        table.install(PLAN)
    with pytest.raises(KernelError, match="exists and was not made by nfq-guard"):
        table.remove()
    assert _ruleset(space) == before


def test_a_refused_first_install_gives_nfts_words_and_leaves_nothing(
    space: netns.Namespace, table: Table
) -> None:
    with pytest.raises(KernelError, match=r"nft -f -: .*Error: .*String exceeds maximum length"):
        table.install(KernelPlan(1, ("sixteen-letters-",)))
    assert not _ruleset(space)


def test_a_refused_reload_leaves_the_old_table(space: netns.Namespace, table: Table) -> None:
    table.install(PLAN)
    before = _ruleset(space)
    with pytest.raises(KernelError, match="String exceeds maximum length"):
        table.install(KernelPlan(4, ("eth1", "sixteen-letters-")))
    assert _ruleset(space) == before


def test_a_refused_replacement_leaves_the_old_table(space: netns.Namespace, table: Table) -> None:
    table.install(PLAN)
    space.nft("delete chain inet nfq_guard input\n")
    before = _ruleset(space)
    with pytest.raises(KernelError, match="String exceeds maximum length"):
        table.install(KernelPlan(4, ("sixteen-letters-",)))
    assert _ruleset(space) == before


def test_remove_leaves_other_tables_and_may_be_repeated(space: netns.Namespace, table: Table) -> None:
    space.nft("add table inet theirs\n")
    table.install(PLAN)
    table.remove()
    table.remove()
    assert _ruleset(space) == "table inet theirs {\n}\n"


def test_a_table_in_another_namespace_is_not_touched(space: netns.Namespace, table: Table) -> None:
    table.install(PLAN)
    with netns.Namespace() as other, other.entered():
        assert table.read_back() is None
        table.install(replace(PLAN, generation=5))
        assert table.installed_generation() == 5
    assert table.installed_generation() == 3
    assert space.name


def test_counters_go_on_where_a_removed_tables_stopped(space: netns.Namespace, table: Table) -> None:
    table.install(PLAN)
    _count(space, 5)
    table.counters()
    space.nft("flush ruleset\n")
    assert table.counters()["invalid_in"] == Count(5, 500)
    table.install(PLAN)
    assert table.counters()["invalid_in"] == Count(5, 500)
    space.nft("flush ruleset\n")
    table.install(PLAN)
    _count(space, 7)
    assert table.counters()["invalid_in"] == Count(12, 1200)
    table.install(replace(PLAN, generation=4))
    assert table.counters()["invalid_in"] == Count(12, 1200)
    _count(space, 13)
    assert table.counters()["invalid_in"] == Count(25, 2500)


def test_counters_that_somebody_resets_do_not_go_back(space: netns.Namespace, table: Table) -> None:
    table.install(PLAN)
    _count(space, 5)
    assert table.counters()["invalid_in"] == Count(5, 500)
    space.run("nft", "reset", "counters")
    assert table.counters()["invalid_in"] == Count(5, 500)


def _count(space: netns.Namespace, packets: int) -> None:
    """Make a counter say that it has seen packets of 100 bytes."""
    space.nft(
        f"delete table inet nfq_guard\ntable inet nfq_guard {{\n"
        f'\tcomment "nfq-guard"\n\tcounter invalid_in {{\n'
        f"\t\tpackets {packets} bytes {packets * 100}\n\t}}\n}}\n"
    )


def test_connections_are_cleared_when_their_generation_may_be_of_another_time_and_only_then(
    space: netns.Namespace, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[int] = []
    monkeypatch.setattr("nfq_guard.adapters.conntrack.clear_marks", cleared.append)

    def clears(generation: int, *, again: bool = False) -> bool:
        table.install(replace(PLAN, generation=generation), again=again)
        clearings = len(cleared)
        cleared.clear()
        return clearings == 1

    assert clears(5), "a first table"
    going_on = [clears(generation) for generation in (1, 2, 3, 5)]
    assert going_on == [True, False, True, False]
    assert clears(2), "generations left out, 1 among them"
    assert clears(2), "a full round"
    assert not clears(2, again=True), "put back"
    space.nft("delete table inet nfq_guard\n")
    assert not clears(2, again=True), "put back when it was gone"
    space.nft("delete chain inet nfq_guard output\n")
    assert clears(2, again=True), "damaged"
    space.nft("delete chain inet nfq_guard output\n")
    assert clears(4), "damaged, and another policy"


@pytest.mark.parametrize("call", ["read_back", "counters", "remove", "install"])
def test_without_the_right_to_do_it_every_call_reports_the_refusal(
    table: Table, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.install(PLAN)
    monkeypatch.setattr("nfq_guard.adapters.command.subprocess.Popen", _as_nobody)
    with pytest.raises(KernelError, match="Operation not permitted"):
        getattr(table, call)(*([PLAN] if call == "install" else []))


_popen = subprocess.Popen


def _as_nobody(argv: tuple[str, ...], **kwargs: object) -> object:
    return _popen(argv, user=65534, **kwargs)  # type: ignore[call-overload]


def test_a_snapshot_without_our_remarks_is_not_sound() -> None:
    assert not Snapshot(1, (), None, "").sound
    foreign = tuple(BaseChain(name, "input", 0, 1, ("",)) for name in sorted(base_chain_names()))
    assert not Snapshot(1, foreign, None, "").sound


def test_a_look_tells_of_the_table_and_serves_an_install(table: Table) -> None:
    table.install(PLAN)
    with table.look() as look:
        assert look.snapshot() == table.read_back()

    with table.look() as look:
        table.install(replace(PLAN, generation=4), look=look)

    assert table.installed_generation() == 4


def test_a_look_that_the_table_has_outrun_changes_nothing_that_the_kernel_does_not_accept(
    space: netns.Namespace, table: Table
) -> None:
    table.install(PLAN)

    with table.look() as look:
        netns.until(lambda: look._asked._process.poll() is not None)
        space.nft("delete table inet nfq_guard\n")
        with pytest.raises(KernelError, match="No such file"):
            table.install(replace(PLAN, generation=4), look=look)

    assert table.read_back() is None
