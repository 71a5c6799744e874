"""Staged policies on real packets: what they would have done is counted, and nothing is done.

A worker answers first and counts at the end of its turn: counts are waited for.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from guarded import connect, connects, documents, echoes
from netns import until
from router import ENTRY, INNER_ENTRY, LOCAL, Router, endpoint, policy, router, rule
from scapy.layers.inet import IP, TCP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic
OUTER, INNER = endpoint("outer0"), endpoint("inner0")
EARLY = {"preDNAT": True, "applyOnForward": True}
UNTRACKED = {"doNotTrack": True, "applyOnForward": True}
FORWARD = {"applyOnForward": True}
NORMAL = policy(
    "normal", "outer0", types=["Ingress", "Egress"], ingress=[rule("Allow")], egress=[rule("Allow")]
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Router]:
    with router(tmp_path) as made:
        yield made


def staged(name: str, on: str, **spec: Any) -> str:
    return policy(name, on, order=1, **spec).replace("GlobalNetworkPolicy", "StagedGlobalNetworkPolicy")


def tried(site: Router, **labels: str) -> float:
    """Return how many packets rules of staged policies would have handled."""
    return site.daemon.metric("nfq_guard_staged_policy_packets_total", **labels)


def would(site: Router, **labels: str) -> float:
    """Return how many packets compared so."""
    return site.daemon.metric("nfq_guard_staged_verdicts_total", **labels)


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_a_staged_deny_lets_traffic_through_and_counts_it_once_a_connection(
    site: Router, family: int
) -> None:
    site.start(OUTER, NORMAL, staged("tried", "outer0", ingress=[rule("Deny", LOCAL)]))

    with connect(site.outside, site.outer, LOCAL, family) as live:
        for _ in range(20):
            assert echoes(live)
    until(lambda: tried(site, policy="tried", action="deny") == 1, "it is counted")
    until(
        lambda: would(site, endpoint="on-outer0", stage="normal", enforced="allow", staged="deny") == 1,
        "it is counted",
    )
    assert site.daemon.denied() == 0

    assert site.enters(LOCAL, family)
    until(lambda: tried(site, policy="tried", action="deny") == 2, "it is counted")


def test_a_staged_allow_lets_nothing_through(site: Router) -> None:
    site.start(OUTER, staged("tried", "outer0", ingress=[rule("Allow", LOCAL)]))

    assert site.refused(LOCAL)
    until(lambda: tried(site, policy="tried", action="allow") >= 1, "it is counted")
    until(lambda: would(site, enforced="deny", staged="allow") >= 1, "it is counted")


def test_the_first_forward_policy_can_be_tried_out(site: Router) -> None:
    deny = staged("tried", "outer0", **FORWARD, types=["Ingress"], ingress=[rule("Allow", 22)])
    site.start(OUTER, NORMAL, deny)

    with connect(site.outside, site.inside, LOCAL) as live:
        for _ in range(20):
            assert echoes(live)
    # Asked about once; none of the staged rules matched, and the tier would have ended in Deny.
    until(lambda: would(site, stage="forward", enforced="pass", staged="deny") == 1, "it is counted")
    until(lambda: tried(site, kind="Tier", action="deny", direction="ingress") == 1, "it is counted")
    assert site.daemon.denied() == 0


def test_a_live_connection_that_a_staged_policy_would_end_goes_on_and_is_counted(site: Router) -> None:
    site.start(OUTER, NORMAL)
    with connect(site.outside, site.inside, LOCAL) as live:
        assert echoes(live)
        site.change(OUTER, NORMAL, staged("tried", "outer0", **FORWARD, ingress=[rule("Deny", LOCAL)]))
        assert echoes(live)
        until(lambda: would(site, stage="forward", enforced="pass", staged="deny") == 1, "it is counted")


def test_the_first_policy_before_dnat_can_be_tried_out(site: Router) -> None:
    site.start(OUTER, NORMAL, staged("tried", "outer0", **EARLY, ingress=[rule("Deny", ENTRY, INNER_ENTRY)]))

    assert site.enters(ENTRY)
    with connect(site.outside, site.outer, INNER_ENTRY) as live:
        for _ in range(20):
            assert echoes(live)
    until(lambda: tried(site, policy="tried", action="deny") == 2, "it is counted")
    until(lambda: would(site, stage="pre-dnat", enforced="pass", staged="deny") == 2, "it is counted")
    assert site.daemon.denied() == 0
    # Nothing is allowed ahead of NAT: normal policy was asked as ever.
    assert site.verdicts(1, stage="normal", verdict="allow", direction="ingress") >= 1


def test_the_first_untracked_policy_can_be_tried_out_and_exempts_nothing(site: Router) -> None:
    rules = {"ingress": [rule("Allow", LOCAL)], "egress": [rule("Allow", LOCAL, source_ports=True)]}
    site.start(OUTER, NORMAL, staged("tried", "outer0", **UNTRACKED, types=["Ingress", "Egress"], **rules))

    assert site.enters(LOCAL)
    assert any(f"dport={LOCAL}" in line for line in site.connections())
    until(
        lambda: would(site, stage="untracked", direction="ingress", enforced="pass", staged="allow") >= 3,
        "it is counted",
    )
    until(
        lambda: would(site, stage="untracked", direction="egress", enforced="pass", staged="allow") >= 2,
        "it is counted",
    )
    assert site.verdicts(stage="untracked") == 0


def arrives(site: Router, flags: str) -> bool:
    """Return whether a lone TCP segment from the outside gets to the inside."""
    segment = bytes(
        IP(src=site.outside.v4, dst=site.inside.v4) / TCP(sport=4000, dport=4001, flags=flags, seq=1, ack=1)
    )
    with (
        site.inside.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as hears,
        site.outside.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sends,
    ):
        hears.settimeout(1)
        sends.sendto(segment, (site.inside.v4, 0))
        try:
            while True:
                if hears.recv(2048)[20:24] == segment[20:24]:
                    return True
        except TimeoutError:
            return False


@pytest.mark.parametrize("stage", [EARLY, FORWARD], ids=["before DNAT", "forward"])
def test_invalid_packets_are_left_alone_where_only_staged_policy_looks(
    site: Router, stage: dict[str, bool]
) -> None:
    # SYN and FIN together: connection tracking calls it invalid.
    site.start(OUTER, INNER, NORMAL, staged("tried", "outer0", **stage, ingress=[rule("Deny")]))
    assert arrives(site, "SF")

    site.change(OUTER, INNER, NORMAL, policy("live", "outer0", **stage, ingress=[rule("Allow")]))
    assert not arrives(site, "SF")


def test_hooks_stand_while_a_staged_policy_needs_them(site: Router) -> None:
    site.start(OUTER, NORMAL)
    before = site.base_chains()
    site.change(OUTER, NORMAL, staged("tried", "outer0", **EARLY, ingress=[rule("Deny")]))
    assert site.base_chains() == before | {"forward", "forward_pre", "pre_dnat", "pre_dnat_pre"}

    site.change(OUTER, NORMAL)
    assert site.base_chains() == before
    assert site.daemon.metric("nfq_guard_table_reinstalls_total") == 0


def test_status_and_log_say_how_many_staged_policies_are_watched(site: Router) -> None:
    nobodys = staged("nobodys", "elsewhere", ingress=[rule("Deny")])
    daemon = site.start(documents(OUTER, NORMAL, staged("tried", "outer0", ingress=[rule("Deny")]), nobodys))
    until(lambda: "policy in force" in daemon.log, "the log")

    assert "staged=1" in daemon.log
    assert daemon.status()["staged_policies"] == 1
    assert connects(site.outside, site.outer, LOCAL)
    shown = next(chain for chain in daemon.status()["staged"] if chain["direction"] == "ingress")
    assert {row["staged"]: row["packets"] for row in shown["verdicts"] if row["enforced"] == "allow"} == {
        "allow": 0,
        "deny": 1,
    }
