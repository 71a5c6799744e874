"""Goldens of the table, and the kernel's word on each of them.

Every golden is the native form, as users' kernels load it. On a kernel without the `queue`
statement the same table is loaded without that one rule and read back; of the native
form nft itself then checks syntax and meaning up to the kernel's refusal of `queue`.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import netns
import pytest

from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import Failsafe, GuardedEndpoint, HostAction, Options, Pending, Ruleset
from nfq_guard.kernel.plan import (
    EstablishedFlows,
    FailMode,
    KernelPlan,
    KernelSettings,
    QueueTarget,
    Section,
    plan_for,
)
from nfq_guard.kernel.render import (
    COUNTERS,
    base_chain_names,
    queue_comment,
    render_delete,
    render_groundwork,
    render_reload,
    render_table,
    standing_sections,
)
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import SCTP, TCP, UDP, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
UPDATE = "NFQ_GUARD_UPDATE_GOLDEN"
ENDPOINT = GuardedEndpoint("host", {})
ANYTHING_GOES = Chain([FlatRule(Step.DECIDE, ANYTHING)])
IN, OUT = Side.INGRESS, Side.EGRESS


def endpoint(*chains: tuple[Stage, Side], staged: Iterable[tuple[Stage, Side]] = ()) -> GuardedEndpoint:
    """Return an endpoint with chains, of which the table only asks whether they are there."""
    pending = dict.fromkeys(staged, Pending(ANYTHING_GOES, {}))
    return GuardedEndpoint("host", dict.fromkeys(chains, ANYTHING_GOES), pending)


def _nets(protocol: int, port: int, *nets: str) -> tuple[Failsafe, ...]:
    return tuple(Failsafe(protocol, port, parse_net(net)) for net in nets)


INBOUND = (Failsafe(TCP, 22), Failsafe(UDP, 68), Failsafe(TCP, 6443))
OUTBOUND = (Failsafe(UDP, 53), Failsafe(UDP, 67), Failsafe(TCP, 6443))
AWKWARD = (
    *_nets(TCP, 22, "10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/16", "192.0.2.1/32"),
    *_nets(TCP, 22, "fd00::/16", "fd00:1::/32", "fe80::1/128"),
    *_nets(UDP, 68, "0.0.0.0/0", "10.0.0.0/8", "::/0"),
    *_nets(SCTP, 0, "10.0.0.0/8"),
    *_nets(SCTP, 65535, "255.255.255.255/32", "255.255.255.254/32"),
)

CASES: dict[str, tuple[Ruleset, int, KernelSettings]] = {
    "nothing-guarded": (Ruleset("node"), 1, KernelSettings()),
    "one-interface": (
        Ruleset("node", {"eth0": ENDPOINT}, failsafe_inbound=INBOUND, failsafe_outbound=OUTBOUND),
        1,
        KernelSettings(),
    ),
    "wildcard": (
        Ruleset(
            "node",
            {"eth0": ENDPOINT, "br-1a2b3c": ENDPOINT},
            wildcard=ENDPOINT,
            workload_prefixes=("cali", "tap", "fifteen-letters"),
            failsafe_inbound=INBOUND,
        ),
        5,
        KernelSettings(),
    ),
    "failsafe-nets": (
        Ruleset("node", {"lo": ENDPOINT}, failsafe_inbound=AWKWARD, failsafe_outbound=AWKWARD),
        2,
        KernelSettings(),
    ),
    "untracked": (
        Ruleset(
            "node",
            {"eth0": endpoint((Stage.UNTRACKED, IN), (Stage.UNTRACKED, OUT)), "eth1": ENDPOINT},
            failsafe_inbound=INBOUND,
            failsafe_outbound=OUTBOUND,
        ),
        3,
        KernelSettings(),
    ),
    "untracked-out": (
        Ruleset("node", {"eth0": endpoint((Stage.UNTRACKED, OUT))}, workload_prefixes=()),
        4,
        KernelSettings(),
    ),
    "pre-dnat": (
        Ruleset("node", {"eth0": endpoint((Stage.PRE_DNAT, IN)), "eth1": ENDPOINT}, failsafe_inbound=INBOUND),
        5,
        KernelSettings(),
    ),
    "forward": (
        Ruleset(
            "node",
            {"eth0": endpoint((Stage.FORWARD, IN)), "eth1": endpoint((Stage.FORWARD, OUT))},
            workloads={"cali7": ENDPOINT},
            endpoint_to_host=HostAction.RETURN,
        ),
        1,
        KernelSettings(),
    ),
    "every-stage": (
        Ruleset(
            "node",
            {"eth0": endpoint(*itertools.product(Stage, Side)), "lo": ENDPOINT},
            wildcard=endpoint((Stage.PRE_DNAT, IN), (Stage.FORWARD, IN), (Stage.FORWARD, OUT)),
            workloads={"cali7": ENDPOINT, "tap1": ENDPOINT},
            workload_prefixes=("cali", "tap"),
            failsafe_inbound=INBOUND,
        ),
        3,
        KernelSettings(
            packet_mark_mask=0x0000F000,
            fail_mode=FailMode.OPEN,
            established_flows=EstablishedFlows.KEEP,
        ),
    ),
    "staged": (
        Ruleset(
            "node",
            {
                "eth0": endpoint(staged=itertools.product(Stage, Side)),
                "eth1": endpoint((Stage.NORMAL, IN), staged=[(Stage.FORWARD, IN), (Stage.NORMAL, IN)]),
            },
            wildcard=endpoint(staged=[(Stage.PRE_DNAT, IN), (Stage.FORWARD, OUT), (Stage.UNTRACKED, IN)]),
            failsafe_inbound=INBOUND,
        ),
        4,
        KernelSettings(),
    ),
    "staged-beside-live": (
        Ruleset(
            "node",
            {
                "eth0": endpoint(*itertools.product(Stage, Side), staged=itertools.product(Stage, Side)),
                "eth1": endpoint(staged=itertools.product(Stage, Side)),
            },
            options=Options(drop_invalid=False),
        ),
        5,
        KernelSettings(fail_mode=FailMode.OPEN),
    ),
    "every-setting": (
        Ruleset(
            "node", {"eth0": ENDPOINT}, options=Options(allow_neighbor_discovery=False, drop_invalid=False)
        ),
        2,
        KernelSettings(
            queue=4,
            queue_count=4,
            fail_mode=FailMode.OPEN,
            packet_mark_mask=0x00000C00,
            connection_mark_mask=0x000000F0,
            established_flows=EstablishedFlows.KEEP,
        ),
    ),
}


def _case(name: str) -> tuple[KernelPlan, KernelSettings]:
    ruleset, generation, settings = CASES[name]
    return plan_for(ruleset, generation), settings


def _native(name: str) -> str:
    plan, settings = _case(name)
    return render_table(plan, settings, target=QueueTarget.NATIVE)


def _without_queue(name: str) -> str:
    plan, settings = _case(name)
    return render_table(plan, settings, target=QueueTarget.XT)


def _list(space: netns.Namespace) -> str:
    return space.run("nft", "-s", "list", "table", "inet", "nfq_guard").stdout


def _plain(text: str) -> list[str]:
    """Return the text's lines as nft lists them: no remarks, sets in one line and sorted."""
    text = re.sub(r"\n\s*#[^\n]*", "", text)
    text = re.sub(r"elements = \{([^}]*)\}", lambda found: _sorted_elements(found[1]), text)
    return [_long_mask(line.strip()) for line in text.splitlines()]


def _blocks(text: str) -> list[str]:
    """Return the table's blocks in no order: new ones come behind those that were there."""
    return sorted("\n".join(_plain(text)[2:-1]).split("\n}"))


def _sorted_elements(text: str) -> str:
    return "elements = { " + ", ".join(sorted(element.strip() for element in text.split(","))) + " }"


def _long_mask(line: str) -> str:
    """Undo nft's short form for a match on a mark's upper bits, `ct mark 0x10000000/4`."""

    def undo(found: re.Match[str]) -> str:
        mask = 0xFFFFFFFF << (32 - int(found[2])) & 0xFFFFFFFF
        return f"ct mark & {mask:#010x} == {found[1]}"

    return re.sub(r"ct mark (0x[0-9a-f]{8})/([0-9]+)", undo, line)


@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_the_table_is_rendered_as_the_golden_file_says(name: str) -> None:
    golden = GOLDEN / f"{name}.nft"
    if os.environ.get(UPDATE):
        golden.write_text(_native(name))
    assert _native(name) == golden.read_text()


@pytest.mark.golden
def test_every_golden_file_has_a_case() -> None:
    assert {golden.stem for golden in GOLDEN.glob("*.nft")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_native_and_xt_tables_differ_in_the_queueing_rule_only(name: str) -> None:
    native, xt = _native(name).splitlines(), _without_queue(name).splitlines()
    differing = [pair for pair in zip(native, xt, strict=True) if pair[0] != pair[1]]
    assert len(differing) == 1
    assert differing[0][0].strip().startswith("queue ")
    assert differing[0][1].strip().startswith("# queue ")


@pytest.mark.netns
@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_the_kernel_lists_the_table_in_the_words_it_was_given(name: str) -> None:
    with netns.Namespace() as space:
        space.nft(_without_queue(name))
        assert _plain(_list(space)) == _plain(_without_queue(name))


@pytest.mark.netns
@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_what_the_kernel_lists_loads_again_and_lists_the_same(name: str) -> None:
    with netns.Namespace() as first, netns.Namespace() as second:
        first.nft(_without_queue(name))
        second.nft(_list(first))
        assert sorted(_plain(_list(first))) == sorted(_plain(_list(second)))


@pytest.mark.netns
@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_nft_finds_no_fault_with_the_native_table_but_a_kernel_without_queue(name: str) -> None:
    with netns.Namespace() as space:
        done = space.run("nft", "-f", "-", text=_native(name), check=False)
        if done.returncode == 0:
            assert _plain(_list(space)) == _plain(_native(name))
            return
        complaints = [line for line in done.stderr.splitlines() if "Error" in line]
        assert complaints
        assert all(line.endswith("Could not process rule: No such file or directory") for line in complaints)
        quoted = [line for line in done.stderr.splitlines() if line.startswith("\t\t") and "^" not in line]
        assert quoted
        assert all(line.strip().startswith("queue ") for line in quoted)


@pytest.mark.netns
@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(CASES, 2)))
def test_a_reload_leaves_what_a_fresh_table_would_be(before: str, after: str) -> None:
    plan, settings = _case(after)
    with netns.Namespace() as space:
        space.nft(_without_queue(before))
        standing = _case(before)[0].sections
        space.nft(render_reload(plan, settings, target=QueueTarget.XT, standing=standing))
        assert _blocks(_list(space)) == _blocks(_without_queue(after))


@pytest.mark.netns
def test_groundwork_takes_the_whole_table_on_top_and_delete_leaves_nothing() -> None:
    with netns.Namespace() as space:
        space.nft(render_groundwork())
        space.nft(_without_queue("one-interface"))
        space.nft(render_delete())
        assert not space.run("nft", "list", "ruleset").stdout


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(CASES, 2)))
@pytest.mark.parametrize("target", QueueTarget)
def test_a_reload_never_names_a_base_chain_that_stays(before: str, after: str, target: QueueTarget) -> None:
    plan, settings = _case(after)
    standing = _case(before)[0].sections
    text = render_reload(plan, settings, target=target, standing=standing)
    assert ("hook" in text) == bool(plan.sections - standing)
    for chain in base_chain_names(plan.sections & standing):
        assert not re.search(rf"chain (inet nfq_guard )?{chain}\n", text)
        assert f"chain {chain} {{" not in text
    for chain in base_chain_names(standing - plan.sections):
        assert f"delete chain inet nfq_guard {chain}\n" in text


def test_base_chains_make_up_whole_sections_or_none() -> None:
    for count in range(len(Section)):
        for some in itertools.combinations(set(Section) - {Section.LOCAL}, count):
            sections = frozenset({Section.LOCAL, *some})
            names = base_chain_names(sections)
            assert standing_sections(names) == sections
            assert standing_sections(names - {"input"}) is None
            assert standing_sections(names | {"spy"}) is None
    assert standing_sections(base_chain_names((Section.LOCAL,)) | {"untracked_out"}) is None


def test_only_the_native_reload_touches_the_queueing_rule() -> None:
    plan, settings = _case("one-interface")
    assert "chain to_queue" in render_reload(plan, settings, target=QueueTarget.NATIVE)
    assert "chain to_queue" not in render_reload(plan, settings, target=QueueTarget.XT)


@pytest.mark.parametrize("name", CASES)
def test_every_counter_is_declared_and_nothing_else_counts(name: str) -> None:
    text = _native(name)
    for counter in COUNTERS:
        assert f"counter {counter} {{" in text
    assert set(re.findall(r'counter name "(\w+)"', text)) <= set(COUNTERS)


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        (KernelSettings(), "queue 0-0 no bypass"),
        (KernelSettings(queue=3, queue_count=2, fail_mode=FailMode.OPEN), "queue 3-4 bypass"),
    ],
)
def test_the_queueing_rule_says_which_queues_and_whether_they_may_be_bypassed(
    settings: KernelSettings, remark: str
) -> None:
    assert queue_comment(settings) == remark


def test_a_protocol_without_a_name_is_written_as_its_number() -> None:
    plan = plan_for(Ruleset("node", failsafe_inbound=(Failsafe(136, 9),)), 1)
    assert "elements = { 136 . 9 }" in render_table(plan, KernelSettings(), target=QueueTarget.NATIVE)
