"""Single lines that matter, whatever else the table says. The whole of it: test_render.py."""

from __future__ import annotations

from dataclasses import replace

from nfq_guard.kernel.plan import (
    FailsafePorts,
    Guarded,
    KernelPlan,
    KernelSettings,
    QueueTarget,
    Section,
    Watched,
)
from nfq_guard.kernel.rules import Rules

PLAN = KernelPlan(1, ("eth0",), workload_prefixes=("cali",))


def lines(plan: KernelPlan, section: Section, chain: str) -> tuple[str, ...]:
    rules = Rules(plan, KernelSettings(), QueueTarget.NATIVE)
    return next(one.lines for one in rules.chains(section) if one.name == chain)


def test_without_stages_before_nat_no_mark_that_comes_in_is_trusted() -> None:
    unmark = lines(PLAN, Section.LOCAL, "unmark_in")
    assert not any("return" in line for line in unmark[1:])
    assert lines(PLAN, Section.LOCAL, "answer_in")[2:] == ("drop",)


def test_with_a_stage_before_nat_stray_marks_go_at_the_earliest_hook_for_all_interfaces() -> None:
    before = replace(PLAN, pre_dnat=Guarded(("eth0",)))
    both = replace(before, untracked_in=("eth0",))
    clear = "meta mark set meta mark & 0xffffcfff"
    assert lines(before, Section.PRE_DNAT, "unmark_pre_dnat") == (
        "meta mark & 0x00003000 == 0x00000000 return",
        clear,
    )
    assert (
        lines(both, Section.UNTRACKED_IN, "classify_untracked_in")[0]
        == f"meta mark & 0x00003000 != 0x00000000 {clear}"
    )


def test_what_was_allowed_before_nat_is_read_off_a_packets_mark_only_if_it_has_no_connection() -> None:
    plan = replace(PLAN, pre_dnat=Guarded(("eth0",)), untracked_in=("eth0",), untracked_out=("eth0",))
    chains = ("unmark_in", "unmark_out", "unmark_forward", "unmark_pre_dnat")
    rules = Rules(plan, KernelSettings(), QueueTarget.NATIVE)
    written = {chain.name: chain.lines for section in Section for chain in rules.chains(section)}
    for name in chains:
        trusting = [line for line in written[name][1:] if line.endswith("return")]
        assert trusting
        assert all("ct state untracked" in line for line in trusting)


def test_nothing_is_stamped_that_the_stage_before_nat_has_not_judged() -> None:
    plan = replace(PLAN, pre_dnat=Guarded(("eth0",)))
    unjudged = "iifname @before_nat ct mark & 0xf0000000 != { 0x60000000, 0xb0000000 } accept"
    for section, chain in ((Section.LOCAL, "stamp_in"), (Section.FORWARD, "stamp_forward")):
        assert lines(plan, section, chain)[0] == unjudged
        assert "generation 1" in lines(plan, section, chain)[1]
    assert not any(" != {" in line for line in lines(PLAN, Section.LOCAL, "stamp_in"))


def test_packets_of_the_host_that_dnat_sends_elsewhere_are_left_and_taken_by_the_same_words() -> None:
    theirs = "ct status dnat ct direction original fib saddr type local"
    assert f"{theirs} accept" in lines(PLAN, Section.LOCAL, "guard_out")
    assert lines(PLAN, Section.LOCAL, "classify_rerouted") == (f"{theirs} goto sort_rerouted",)


def test_nothing_is_rejected_behind_routing() -> None:
    assert not any("refuse" in line for line in lines(PLAN, Section.LOCAL, "answer_rerouted"))


def test_a_workloads_packets_are_asked_about_only_where_it_has_an_endpoint() -> None:
    assert lines(PLAN, Section.LOCAL, "from_workload")[-1] == 'counter name "endpoint_to_host" drop'
    asked = lines(replace(PLAN, workloads=("cali1",)), Section.LOCAL, "from_workload")
    assert 'iifname @workloads counter name "queued_in" jump to_queue' in asked
    assert lines(replace(PLAN, drop_to_host=False), Section.LOCAL, "from_workload")[-1] == "goto stamp_in"


def test_forwarded_packets_have_neither_failsafes_nor_neighbor_discovery() -> None:
    plan = replace(PLAN, forward_in=Guarded(("eth0",)))
    assert not any("failsafe" in line for line in lines(plan, Section.FORWARD, "guard_forward"))
    assert not any("icmpv6" in line for line in lines(plan, Section.FORWARD, "guard_forward"))


def test_failsafes_ahead_of_nat_end_their_stage_and_no_other() -> None:
    failsafe = FailsafePorts(((6, 22),))
    plan = replace(
        PLAN,
        pre_dnat=Guarded(("eth0",)),
        untracked_in=("eth0",),
        untracked_out=("eth0",),
        inbound=failsafe,
        outbound=failsafe,
    )
    for section, chain, end in (
        (Section.PRE_DNAT, "guard_pre_dnat", " goto pass_pre_dnat"),
        (Section.UNTRACKED_IN, "guard_untracked_in", " accept"),
        (Section.UNTRACKED_OUT, "guard_untracked_out", " accept"),
    ):
        failsafes = [line for line in lines(plan, section, chain) if "@failsafe" in line]
        assert failsafes
        assert all(line.endswith(end) for line in failsafes)


def test_where_endpoints_differ_a_stamp_is_evidence_behind_a_reply_only() -> None:
    stamped = "ct mark & 0xf0000000 == 0x10000000 accept"
    plan = replace(PLAN, pre_dnat=Guarded(("eth0",)), forward_in=Guarded(("eth0",)))
    for section, chain in (
        (Section.LOCAL, "guard_in"),
        (Section.LOCAL, "guard_out"),
        (Section.LOCAL, "guard_rerouted"),
        (Section.FORWARD, "guard_forward"),
        (Section.PRE_DNAT, "guard_pre_dnat"),
    ):
        assert stamped in lines(plan, section, chain)
        assert f"ct state != new {stamped}" in lines(replace(plan, several=True), section, chain)
        assert stamped not in lines(replace(plan, several=True), section, chain)
    assert f"ct state != new {stamped}" in lines(plan, Section.LOCAL, "from_workload")


def test_where_endpoints_differ_what_was_said_before_nat_counts_at_its_interfaces() -> None:
    spared = "ct mark & 0xf0000000 == 0xb0000000 goto stamp_in"
    plan = replace(PLAN, pre_dnat=Guarded(("eth0",)), untracked_in=("eth1", "lo"))
    assert spared in lines(plan, Section.LOCAL, "guard_in")
    found = [line for line in lines(replace(plan, several=True), Section.LOCAL, "guard_in") if spared in line]
    assert found == [f"iifname @before_nat {spared}", f'iifname "lo" {spared}']


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

    # What is left is met with a code only behind a set of interfaces that is empty, or behind the worker.
    assert trusting == [
        (Section.PRE_DNAT, "answer_pre_dnat", f"{SPARED} ct state untracked accept"),
        (Section.PRE_DNAT, "answer_pre_dnat", f"{SPARED} goto spare_pre_dnat"),
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


def test_what_is_only_watched_before_nat_is_asked_there_and_not_again_where_it_is_forwarded() -> None:
    watched = replace(WATCHED, watched=Watched(pre_dnat=Guarded(("eth0",))))

    assert lines(watched, Section.PRE_DNAT, "classify_pre_dnat") == (
        'iifname "eth0" ct state != invalid goto guard_pre_dnat',
    )
    assert lines(watched, Section.FORWARD, "classify_forward") == ()
