"""Single lines that matter, whatever else the table says. The whole of it: test_render.py."""

from __future__ import annotations

from dataclasses import replace

from nfq_guard.kernel.plan import Guarded, KernelPlan, KernelSettings, QueueTarget, Section, Watched
from nfq_guard.kernel.rules import Rules

PLAN = KernelPlan(1, ("eth0",), workload_prefixes=("cali",))


def lines(plan: KernelPlan, section: Section, chain: str) -> tuple[str, ...]:
    rules = Rules(plan, KernelSettings(), QueueTarget.NATIVE)
    return next(one.lines for one in rules.chains(section) if one.name == chain)


def test_without_stages_before_nat_no_mark_that_comes_in_is_trusted() -> None:
    assert "meta mark & 0x00003000 == 0x00003000 return" not in lines(PLAN, Section.LOCAL, "unmark_in")
    assert lines(PLAN, Section.LOCAL, "answer_in")[2:] == ("drop",)


def test_with_a_stage_before_nat_stray_marks_go_at_the_earliest_hook_for_all_interfaces() -> None:
    stray = "meta mark & 0x00003000 != 0x00000000 meta mark set meta mark & 0xffffcfff"
    before = replace(PLAN, pre_dnat=Guarded(("eth0",)))
    both = replace(before, untracked_in=("eth0",))
    assert lines(before, Section.PRE_DNAT, "classify_pre_dnat")[0] == stray
    assert stray not in lines(both, Section.PRE_DNAT, "classify_pre_dnat")
    assert lines(both, Section.UNTRACKED_IN, "classify_untracked_in")[0] == stray


def test_a_workloads_packets_are_asked_about_only_where_it_has_an_endpoint() -> None:
    assert lines(PLAN, Section.LOCAL, "from_workload")[-1] == 'counter name "endpoint_to_host" drop'
    asked = lines(replace(PLAN, workloads=("cali1",)), Section.LOCAL, "from_workload")
    assert 'iifname @workloads counter name "queued_in" jump to_queue' in asked
    assert lines(replace(PLAN, drop_to_host=False), Section.LOCAL, "from_workload")[-1] == "goto stamp_in"


def test_forwarded_packets_have_neither_failsafes_nor_neighbor_discovery() -> None:
    plan = replace(PLAN, forward_in=Guarded(("eth0",)))
    assert not any("failsafe" in line for line in lines(plan, Section.FORWARD, "guard_forward"))
    assert not any("icmpv6" in line for line in lines(plan, Section.FORWARD, "guard_forward"))


def test_failsafes_ahead_of_nat_end_their_stage_and_remember_nothing() -> None:
    plan = replace(PLAN, pre_dnat=Guarded(("eth0",)), untracked_in=("eth0",), untracked_out=("eth0",))
    for section, chain in (
        (Section.PRE_DNAT, "guard_pre_dnat"),
        (Section.UNTRACKED_IN, "guard_untracked_in"),
        (Section.UNTRACKED_OUT, "guard_untracked_out"),
    ):
        failsafes = [line for line in lines(plan, section, chain) if "@failsafe" in line]
        assert failsafes
        assert all(line.endswith(" accept") for line in failsafes)


SPARED = "meta mark & 0x00003000 == 0x00003000"
WATCHED = replace(
    PLAN,
    watched=Watched(("eth0",), ("eth0",), *(Guarded(("eth0",)),) * 3),
)


def test_what_is_only_watched_has_earned_no_trust() -> None:
    trusting = [
        (section, chain.name, line)
        for section in Section
        for chain in Rules(WATCHED, KernelSettings(), QueueTarget.NATIVE).chains(section)
        for line in chain.lines
        if SPARED in line
    ]

    # The one that is left is met with a code only behind a set of interfaces that is empty.
    assert trusting == [
        (Section.UNTRACKED_OUT, "guard_untracked_out", f"{SPARED} goto untrack_out"),
    ]
    assert lines(WATCHED, Section.UNTRACKED_OUT, "classify_untracked_out") == (
        "oifname @exempt_out goto guard_untracked_out",
        'oifname "eth0" meta mark & 0x00003000 == 0x00000000 goto guard_untracked_out',
    )


def test_a_packet_that_is_watched_beside_guarded_ones_is_not_taken_for_exempted() -> None:
    both = replace(WATCHED, untracked_out=("eth1",))

    exempting = lines(both, Section.UNTRACKED_OUT, "spare_out")[0]

    assert exempting.startswith("oifname @exempt_out ")
    assert exempting.endswith("| 0x00003000 return")


def test_what_is_only_watched_is_asked_about_and_remembered_where_its_way_ends() -> None:
    forward = lines(
        replace(WATCHED, watched=Watched(pre_dnat=Guarded(("eth0",)))), Section.FORWARD, "classify_forward"
    )

    assert forward == (
        "meta mark & 0x00003000 == 0x00002000 goto unmark",
        "ct state related accept",
        'iifname "eth0" ct direction original goto stamp_forward',
    )
