"""What is guarded and what is only watched go the same ways, and are told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nfq_guard.kernel import ways
from nfq_guard.kernel.plan import Guarded, KernelPlan, Watched
from nfq_guard.kernel.ways import Way

PLAN = KernelPlan(1, ("eth0", "eth1", "eth2"))
EVERY = Guarded(others=True)


def test_forwarded_packets_are_asked_about_where_either_end_is_guarded_or_watched() -> None:
    plan = replace(
        PLAN,
        forward_in=Guarded(("eth0",)),
        forward_out=EVERY,
        watched=Watched(forward_in=Guarded(("eth1", "eth2"), others=True), forward_out=Guarded(("eth1",))),
    )

    assert list(ways.forward(plan, "ask")) == [
        "iifname @forwarded_in goto ask",
        "oifname != @managed goto ask",
        'iifname { "eth1", "eth2" } ct state != invalid goto ask',
        "iifname != @managed ct state != invalid goto ask",
        'oifname "eth1" ct state != invalid goto ask',
    ]


def test_where_nobody_drops_invalid_packets_those_that_are_watched_are_asked_about_too() -> None:
    plan = replace(PLAN, drop_invalid=False, watched=Watched(forward_in=Guarded(("eth1",))))

    assert list(ways.forward(plan, "ask")) == ['iifname "eth1" goto ask']


BEFORE_NAT: dict[str, tuple[Guarded, Guarded, list[Way]]] = {
    "nothing": (Guarded(), Guarded(), []),
    "guarded only": (Guarded(("eth0",)), Guarded(), [Way("iifname @before_nat ", "goto ask")]),
    "watched only": (
        Guarded(),
        Guarded(("eth1",)),
        [Way('iifname "eth1" ', "ct state != invalid goto ask")],
    ),
    "one watched beside one guarded": (
        Guarded(("eth0",)),
        Guarded(("eth1",)),
        [
            Way("iifname @before_nat ", "goto ask"),
            Way('iifname "eth1" ', "ct state != invalid goto ask"),
        ],
    ),
    "all guarded": (EVERY, Guarded(("eth1",)), [Way("", "goto ask")]),
    "all watched": (
        Guarded(("eth0",)),
        Guarded(("eth1",), others=True),
        [Way("iifname @before_nat ", "goto ask"), Way("", "ct state != invalid goto ask")],
    ),
}


@pytest.mark.parametrize("case", BEFORE_NAT)
def test_before_dnat(case: str) -> None:
    guarded, watched, expected = BEFORE_NAT[case]

    assert list(
        ways.before_nat(replace(PLAN, pre_dnat=guarded, watched=Watched(pre_dnat=watched)), "ask")
    ) == (expected)


def test_ahead_of_conntrack_a_packet_that_is_watched_has_no_code_of_ours() -> None:
    plan = replace(PLAN, watched=Watched(untracked_in=("eth1",), untracked_out=("eth1", "eth2")))

    assert list(ways.untracked_in(plan, "ask")) == ["iifname @exempt_in goto ask", 'iifname "eth1" goto ask']
    assert list(ways.untracked_out(plan, "ask", "UNMARKED")) == [
        "oifname @exempt_out goto ask",
        'oifname { "eth1", "eth2" } UNMARKED goto ask',
    ]
    assert list(ways.untracked_out(PLAN, "ask", "UNMARKED")) == ["oifname @exempt_out goto ask"]
