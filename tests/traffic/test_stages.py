"""Every stage on real packets: a router with DNAT, the real daemon, real clients on both sides."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from guarded import Server, asks_udp, connect, connects, documents, echoes, ping
from netns import End, Namespace, link, until
from router import ENTRY, INNER_ENTRY, LOCAL, Router, endpoint, policy, resource, router, rule, workload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
OUTER, INNER, ANY = endpoint("outer0"), endpoint("inner0"), documents(endpoint("*"), endpoint("lo"))
"""`*` does not apply to `lo` where it has its own, which lets the tests read metrics."""
BASE = {"input", "input_pre", "output", "output_pre", "rerouted", "rerouted_pre"}
EARLY = {"preDNAT": True, "applyOnForward": True}
UNTRACKED = {"doNotTrack": True, "applyOnForward": True}
FORWARD = {"applyOnForward": True}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Router]:
    with router(tmp_path) as made:
        yield made


def allow_all(name: str, on: str) -> str:
    return policy(
        name, on, types=["Ingress", "Egress"], ingress=[rule("Allow")], egress=[rule("Allow")], order=900
    )


LO = allow_all("loopback", "lo")


# -- before DNAT ---------------------------------------------------------------


@FAMILIES
def test_policy_before_dnat_sees_the_port_as_sent_and_normal_policy_the_translated_one(
    site: Router, family: int
) -> None:
    early = policy("early", "outer0", **EARLY, ingress=[rule("Deny", ENTRY)])
    site.start(OUTER, early, policy("normal", "outer0", ingress=[rule("Allow", LOCAL)]))
    assert site.refused(ENTRY, family)
    assert site.enters(LOCAL, family)

    site.change(
        OUTER,
        policy("early", "outer0", **EARLY, ingress=[rule("Deny", LOCAL)]),
        policy("normal", "outer0", ingress=[rule("Allow", LOCAL)]),
    )
    assert site.enters(ENTRY, family)
    assert site.refused(LOCAL, family)
    assert site.verdicts(2, stage="pre-dnat", verdict="deny", reason="policy") >= 2


@FAMILIES
def test_what_is_allowed_before_dnat_needs_no_normal_policy(site: Router, family: int) -> None:
    site.start(OUTER, policy("early", "outer0", **EARLY, ingress=[rule("Allow", ENTRY)]))

    assert site.enters(ENTRY, family)
    assert site.refused(LOCAL, family)
    assert site.verdicts(1, stage="pre-dnat", verdict="allow") == 1
    assert site.verdicts(stage="normal", verdict="allow", reason="policy") == 0


def test_a_connection_is_asked_about_once_at_each_stage_that_it_passes(site: Router) -> None:
    site.start(
        OUTER,
        policy("early", "outer0", **EARLY, ingress=[rule("Pass", ENTRY, INNER_ENTRY)]),
        policy("normal", "outer0", ingress=[rule("Allow", LOCAL)]),
    )
    with connect(site.outside, site.outer, ENTRY) as live:
        for _ in range(20):
            assert echoes(live)
    assert (site.hits("early", 1), site.hits("normal", 1)) == (1, 1)


@FAMILIES
def test_forwarded_connections_are_judged_before_dnat_and_then_known(site: Router, family: int) -> None:
    site.start(
        OUTER,
        policy("early", "outer0", **EARLY, ingress=[rule("Deny", ENTRY), rule("Pass", ENTRY, INNER_ENTRY)]),
    )
    with connect(site.outside, site.outer, INNER_ENTRY, family) as live:
        for _ in range(20):
            assert echoes(live)
    assert site.hits("early", 1) == 1

    deny = policy("early", "outer0", **EARLY, ingress=[rule("Deny", INNER_ENTRY)])
    site.change(OUTER, deny)
    assert site.refused(INNER_ENTRY, family)
    assert site.crosses(LOCAL, family)


def test_a_change_before_dnat_ends_a_live_forwarded_connection(site: Router) -> None:
    site.start(OUTER, policy("early", "outer0", **EARLY, ingress=[rule("Allow")]))
    with connect(site.outside, site.outer, INNER_ENTRY) as live:
        assert echoes(live)
        site.change(OUTER, policy("early", "outer0", **EARLY, ingress=[rule("Deny")]))
        live.settimeout(0.5)
        assert not echoes(live)


def test_an_allow_before_dnat_skips_the_outer_forward_policy_not_the_inner_one(site: Router) -> None:
    early = policy("early", "outer0", **EARLY, ingress=[rule("Allow", INNER_ENTRY)])
    deny_in = policy("forward-in", "outer0", **FORWARD, types=["Ingress"], ingress=[rule("Deny")])
    site.start(OUTER, INNER, early, deny_in)
    assert site.enters(INNER_ENTRY)
    assert site.stopped()

    deny_out = policy("forward-out", "inner0", **FORWARD, types=["Egress"], egress=[rule("Deny")])
    site.change(OUTER, INNER, early, deny_in, deny_out)
    assert site.refused(INNER_ENTRY)
    assert site.verdicts(1, stage="forward", verdict="deny", direction="egress") >= 1


def test_failsafe_ports_pass_before_dnat_whatever_policy_says(site: Router) -> None:
    site.start(OUTER, policy("early", "outer0", **EARLY, ingress=[rule("Deny")]))

    assert site.enters(22)
    assert site.refused(ENTRY)


# -- forwarded -----------------------------------------------------------------


@FAMILIES
def test_forwarded_traffic_is_left_alone_without_policy_that_applies_to_it(site: Router, family: int) -> None:
    deny = {"types": ["Ingress", "Egress"], "ingress": [rule("Deny")], "egress": [rule("Deny")]}
    site.start(OUTER, INNER, policy("local-only", "outer0", **deny))

    assert site.crosses(LOCAL, family)
    assert site.asks(site.inside, LOCAL, family)
    assert site.refused(LOCAL, family)
    assert site.base_chains() == BASE


@FAMILIES
@pytest.mark.parametrize(("on", "side"), [("outer0", "ingress"), ("inner0", "egress")])
def test_forward_policy_is_ingress_where_it_comes_in_and_egress_where_it_leaves(
    site: Router, family: int, on: str, side: str
) -> None:
    rules = {"types": [side.capitalize()], side: [rule("Allow", LOCAL)]}
    site.start(OUTER, INNER, policy("forward", on, **FORWARD, **rules))

    assert site.crosses(LOCAL, family)
    assert site.stopped(22, family)
    assert not site.asks(site.inside, LOCAL, family)
    assert connects(site.inside, site.outside, LOCAL, family) is False
    assert site.verdicts(1, stage="forward", verdict="allow", direction=side) == 1
    assert site.verdicts(2, stage="forward", verdict="deny", direction=side) >= 2


def test_answers_and_icmp_errors_of_a_forwarded_connection_pass(site: Router) -> None:
    rules = {
        "types": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [{"action": "Allow", "protocol": "UDP"}],
    }
    site.start(
        OUTER,
        INNER,
        policy("inner", "inner0", **FORWARD, **rules),
        policy("outer", "outer0", **FORWARD, types=["Ingress"], ingress=[rule("Allow")]),
    )
    assert site.asks(site.inside)
    with site.outside.namespace.socket(kind=2) as client:
        client.connect((site.inside.v4, 9))
        client.send(b"nobody is there")
        with pytest.raises(ConnectionRefusedError):
            client.recv(1)


def test_forwarded_packets_are_not_queued_one_by_one(site: Router) -> None:
    site.start(OUTER, policy("forward", "outer0", **FORWARD, ingress=[rule("Allow", LOCAL)]))
    with connect(site.outside, site.inside, LOCAL) as live:
        for _ in range(20):
            assert echoes(live)
    assert site.hits("forward", 1) == 1


def test_the_wildcard_applies_to_forwarded_traffic_of_workloads_too(site: Router) -> None:
    rename = ("link", "set", "inner0", "name", "cali9")
    site.space.ip("link", "set", "inner0", "down")
    site.space.ip(*rename)
    site.space.ip("link", "set", "cali9", "up")
    site.space.ip("-6", "address", "add", f"{site.inner.v6}/64", "dev", "cali9", "nodad")
    site.start(ANY, LO, policy("forward", "any", **FORWARD, types=["Egress"], egress=[rule("Allow", LOCAL)]))

    assert site.crosses(LOCAL)
    assert site.stopped(22)


# -- untracked -----------------------------------------------------------------


def both_ways(port: int) -> dict[str, object]:
    answers = rule("Allow", port, source_ports=True)
    return {"types": ["Ingress", "Egress"], "ingress": [rule("Allow", port)], "egress": [answers]}


@FAMILIES
def test_untracked_traffic_is_judged_both_ways_and_leaves_no_connection(site: Router, family: int) -> None:
    site.start(OUTER, policy("untracked", "outer0", **UNTRACKED, **both_ways(LOCAL)))

    assert site.enters(LOCAL, family)
    assert site.connections(family) == []
    assert site.verdicts(3, stage="untracked", verdict="allow", direction="ingress") >= 3
    assert site.verdicts(3, stage="untracked", verdict="allow", direction="egress") >= 3
    assert site.verdicts(stage="normal", reason="policy") == 0


def test_an_answer_to_untracked_traffic_needs_an_allow_of_its_own(site: Router) -> None:
    only_in = {"types": ["Ingress"], "ingress": [rule("Allow", LOCAL)]}
    site.start(OUTER, policy("untracked", "outer0", **UNTRACKED, **only_in))
    assert site.refused(LOCAL)
    assert site.verdicts(1, stage="normal", verdict="deny", direction="egress") >= 1

    site.change(OUTER, policy("untracked", "outer0", **UNTRACKED, **both_ways(LOCAL)))
    assert site.enters(LOCAL)


@pytest.mark.parametrize("side", ["ingress", "egress"])
def test_an_untracked_deny_beats_all_that_normal_policy_allows(site: Router, side: str) -> None:
    deny = {"types": [side.capitalize()], side: [rule("Deny", LOCAL, source_ports=side == "egress")]}
    site.start(OUTER, allow_all("normal", "outer0"), policy("untracked", "outer0", **UNTRACKED, **deny))

    assert site.refused(LOCAL)
    assert site.enters(ENTRY) is (side == "ingress")
    assert site.verdicts(1, stage="untracked", verdict="deny", direction=side) >= 1


def test_what_untracked_policy_does_not_decide_goes_on_to_normal_policy(site: Router) -> None:
    site.start(
        OUTER,
        policy("untracked", "outer0", **UNTRACKED, **both_ways(9)),
        policy("normal", "outer0", ingress=[rule("Allow", LOCAL)]),
    )
    assert site.enters(LOCAL)
    assert site.refused(81)
    assert f"dport={LOCAL}" in site.connections()[0]


def test_failsafe_connections_stay_tracked_and_pass_an_untracked_deny(site: Router) -> None:
    everything = {"types": ["Ingress", "Egress"], "ingress": [rule("Deny")], "egress": [rule("Deny")]}
    site.start(OUTER, policy("untracked", "outer0", **UNTRACKED, **everything))

    assert site.enters(22)
    assert "dport=22" in site.connections()[0]
    assert site.refused(LOCAL)
    # What the router asks a failsafe port outside, and the answer.
    outside = Server(site.outside.namespace, 53)
    assert asks_udp(site.outer, site.outside, 53)
    outside.close()


def test_the_hosts_own_untracked_traffic(site: Router) -> None:
    allow: dict[str, Any] = {"types": ["Ingress", "Egress"]}
    allow |= {"egress": [rule("Allow", LOCAL)], "ingress": [rule("Allow", LOCAL, source_ports=True)]}
    site.start(INNER, policy("untracked", "inner0", **UNTRACKED, **allow))

    assert connects(site.inner, site.inside, LOCAL)
    assert connects(site.inner, site.inside, 81) is False
    assert not any(f"dport={LOCAL}" in line for line in site.connections())


def test_forwarded_untracked_traffic_meets_the_policy_of_the_interface_it_leaves_by(site: Router) -> None:
    allowed = [rule("Allow", LOCAL), rule("Allow", LOCAL, source_ports=True)]
    untracked = [policy(f"untracked-{on}", on, **UNTRACKED, ingress=allowed) for on in ("outer0", "inner0")]
    site.start(OUTER, INNER, *untracked)
    assert site.crosses(LOCAL)
    assert site.connections() == []

    deny = policy("forward", "inner0", **FORWARD, types=["Egress"], egress=[rule("Deny", LOCAL)])
    site.change(OUTER, INNER, *untracked, deny)
    assert site.stopped(LOCAL)


# -- workloads -----------------------------------------------------------------


@pytest.fixture
def pod(site: Router) -> Iterator[End]:
    """Yield a workload's end, joined to the router by cali1."""
    with Namespace() as space:
        near, far = link(site.space, space, names=("cali1", "eth0"), subnet=79)
        space.ip("route", "add", "default", "via", near.v4)
        space.ip("-6", "route", "add", "default", "via", near.v6)
        yield far


def near(site: Router) -> End:
    return End(site.space, "cali1", "10.79.0.1", "fd00:79::1")


def host_action(action: str) -> str:
    return resource("FelixConfiguration", "default", defaultEndpointToHostAction=action)


@FAMILIES
@pytest.mark.parametrize(("action", "passes"), [("Drop", False), ("Accept", True), ("Return", True)])
def test_a_workload_reaches_its_host_as_the_action_says(
    site: Router, pod: End, family: int, action: str, *, passes: bool
) -> None:
    site.start(host_action(action), ANY, LO, policy("nothing", "any", types=["Ingress", "Egress"]))

    assert asks_udp(pod, near(site), LOCAL, family) is passes
    assert (site.verdicts(reason="endpoint-to-host", verdict="deny") > 0) is not passes
    assert site.verdicts(reason="endpoint-to-host", verdict="allow") == 0


@pytest.mark.parametrize("action", ["Drop", "Accept"])
def test_a_workloads_own_policy_comes_ahead_of_the_action(site: Router, pod: End, action: str) -> None:
    egress = [rule("Allow", LOCAL)]
    site.start(
        host_action(action), workload("cali1"), policy("pods", "cali1", types=["Egress"], egress=egress)
    )
    assert connects(pod, near(site), LOCAL) is (action == "Accept")
    assert connects(pod, near(site), 22) is False
    assert site.verdicts(1, stage="normal", reason="tier-default", direction="egress", verdict="deny") >= 1


def test_the_host_reaches_its_workloads_without_being_asked(site: Router, pod: End) -> None:
    site.start(ANY, LO, workload("cali1"), policy("nothing", "any", types=["Ingress", "Egress"]))

    assert ping(near(site), pod)
    assert ping(near(site), pod, 6)


def test_forwarded_traffic_meets_the_policy_of_the_workload_at_either_end(site: Router, pod: End) -> None:
    rules = {"types": ["Ingress", "Egress"], "egress": [rule("Allow", LOCAL)], "ingress": [rule("Allow", 1)]}
    site.start(workload("cali1"), policy("pods", "cali1", **rules))

    assert connects(pod, site.inside, LOCAL)
    assert connects(pod, site.inside, 22) is False
    assert asks_udp(site.outside, pod, LOCAL) is False
    assert site.crosses(LOCAL)


@pytest.mark.parametrize("action", ["Allow", "Deny"])
def test_the_wildcards_policy_before_dnat_can_deny_a_workload_but_not_spare_it_the_action(
    site: Router, pod: End, action: str
) -> None:
    early = policy("early", "any", **EARLY, ingress=[{"action": action, "protocol": "UDP"}])
    site.start(host_action("Drop"), ANY, LO, early)
    assert asks_udp(pod, near(site), LOCAL) is False

    site.change(host_action("Accept"), ANY, LO, early)
    assert asks_udp(pod, near(site), LOCAL) is (action == "Allow")


# -- the wildcard on loopback ---------------------------------------------------


def test_the_wildcards_policy_before_dnat_judges_loopback(site: Router) -> None:
    loopback = End(site.space, "lo", "127.0.0.1", "::1")
    early = policy("early", "any", **EARLY, ingress=[rule("Deny", 22)])
    felix = resource(
        "FelixConfiguration", "default", failsafeInboundHostPorts=[], failsafeOutboundHostPorts=[]
    )
    site.start(felix, endpoint("*"), allow_all("normal", "any"), early)

    assert connects(loopback, loopback, LOCAL)
    assert connects(loopback, loopback, 22) is False
    assert connects(loopback, loopback, LOCAL, 6)


# -- hooks -----------------------------------------------------------------------


def test_hooks_of_a_stage_stand_while_a_policy_needs_them(site: Router) -> None:
    normal = allow_all("normal", "outer0")
    early = policy("early", "outer0", **EARLY, ingress=[rule("Deny", 81)])
    untracked = policy("untracked", "outer0", **UNTRACKED, types=["Ingress"], ingress=[rule("Deny", 82)])
    out = policy("out", "outer0", **UNTRACKED, types=["Egress"], egress=[rule("Deny", 83)])
    forward = policy("forward", "outer0", **FORWARD, types=["Ingress"], ingress=[rule("Allow")])
    site.start(OUTER, normal)
    assert site.base_chains() == BASE
    across, before_dnat = {"forward", "forward_pre"}, {"pre_dnat", "pre_dnat_pre"}
    exempt_in = {"untracked_in", "untracked_in_post"}
    exempt_out = {"untracked_out_pre", "untracked_out", "untracked_out_post"}
    for more, expected in (
        ((forward,), across),
        ((early,), across | before_dnat),
        ((untracked,), across | exempt_in),
        ((out,), exempt_out),
        ((early, untracked, out, forward), across | before_dnat | exempt_in | exempt_out),
        ((), set()),
    ):
        site.change(OUTER, normal, *more)
        assert site.base_chains() == BASE | expected
        assert site.enters(LOCAL)
        assert site.crosses(LOCAL)
    assert site.daemon.metric("nfq_guard_table_reinstalls_total") == 0


def test_reloads_in_a_connect_storm_drop_nothing_while_the_hooks_stay(site: Router) -> None:
    texts = (
        *(OUTER, INNER, allow_all("normal", "outer0")),
        policy("early", "outer0", **EARLY, ingress=[rule("Pass")]),
        policy("forward", "inner0", **FORWARD, types=["Egress"], egress=[rule("Allow")]),
    )
    site.start(*texts)
    done = threading.Event()
    answered: list[bool] = []

    def storm() -> None:
        # UDP: nothing but the guard could lose one of these, and nobody sends it again.
        while not done.is_set():
            answered.extend(site.asks(site.outer, port) for port in (ENTRY, INNER_ENTRY))

    client = threading.Thread(target=storm)
    client.start()
    try:
        for number in range(8):
            site.change(*texts, policy(f"more-{number}", "outer0", ingress=[rule("Allow", 9)]))
    finally:
        done.set()
        client.join()
    assert len(answered) > 50
    assert all(answered)


# -- Reject ------------------------------------------------------------------------


@FAMILIES
def test_reject_tells_the_sender(site: Router, family: int) -> None:
    felix = resource("FelixConfiguration", "default", nftablesFilterDenyAction="Reject")
    forward = policy("forward", "inner0", **FORWARD, types=["Egress"], egress=[rule("Deny")])
    site.start(felix, OUTER, INNER, policy("in", "outer0", ingress=[rule("Deny", LOCAL)]), forward)

    for target in (site.outer, site.inside):
        with pytest.raises(ConnectionRefusedError):
            connect(site.outside, target, LOCAL, family)
        assert _told(site, target, family)
    own = functools.partial(connect, site.outer, site.outside, LOCAL, family)
    with pytest.raises(OSError, match=r"refused|prohibited|unreachable|Permission|No route"):
        own(timeout=5.0)


def _told(site: Router, target: End, family: int) -> bool:
    kind, where = (2, target.v4) if family == 4 else (10, target.v6)
    with site.outside.namespace.socket(kind, 2) as client:
        client.settimeout(5)
        client.connect((where, LOCAL))
        client.send(b"x")
        try:
            client.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


def test_reject_is_not_for_stages_ahead_of_nat(site: Router) -> None:
    felix = resource("FelixConfiguration", "default", iptablesFilterDenyAction="Reject")
    site.start(felix, OUTER, policy("early", "outer0", **EARLY, ingress=[rule("Deny", ENTRY)]))

    with pytest.raises(TimeoutError):
        connect(site.outside, site.outer, ENTRY, timeout=0.5)
    with pytest.raises(ConnectionRefusedError):
        connect(site.outside, site.outer, 81)
    until(lambda: site.verdicts(stage="pre-dnat", verdict="deny") >= 1, "the denial is counted")
