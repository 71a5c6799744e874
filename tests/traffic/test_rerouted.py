"""The host's own connections that an output NAT rule sends elsewhere: judged by where they leave."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

import pytest
from bench import Bench, address, bench, hears, udp
from guarded import Server, asks_udp, connect, connects, documents, echoes, is_denied
from netns import End, Namespace, link, until
from router import LOCAL, Router, endpoint, policy, resource, router, rule, workload

from nfq_guard.adapters.nfqueue import ALLOW, DENY
from nfq_guard.kernel.plan import FailMode, KernelSettings
from nfq_guard.model.flow import Direction, Gate, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
OUTER, INNER, LO = endpoint("outer0"), endpoint("inner0"), endpoint("lo")
ANY = documents(endpoint("*"), LO)
VIRTUAL = 80
"""A port of NOWHERE that NAT translates."""
UNTRACKED = {"doNotTrack": True, "applyOnForward": True}


class Address(NamedTuple):
    """A place that is no end of a cable."""

    v4: str
    v6: str


NOWHERE = Address("192.0.2.1", "2001:db8::1")
"""By its address it is behind outer0."""


TCP: dict[str, object] = {"action": "Allow", "protocol": "TCP"}
"""Apart from what a host sends of itself: listener reports of multicast."""


def egress(name: str, on: str, *rules: dict[str, object], **spec: object) -> str:
    """Return a policy about what leaves by an interface."""
    return policy(name, on, types=["Egress"], egress=list(rules), **spec)


def everything(on: str) -> str:
    """Return a policy that allows all to and from an endpoint."""
    sides = {"ingress": [rule("Allow")], "egress": [TCP, rule("Allow")]}
    return policy(f"all-{on}", on, types=["Ingress", "Egress"], **sides)


DENIES, ALLOWS = TCP | {"action": "Deny"}, rule("Allow", LOCAL)


class Site:
    """A router whose own connections to NOWHERE are sent to a target."""

    def __init__(self, made: Router) -> None:
        self.router = made
        self.space = made.space
        for flag, gateway, far in (("-4", made.outside.v4, NOWHERE.v4), ("-6", made.outside.v6, NOWHERE.v6)):
            made.space.ip(flag, "route", "add", far, "via", gateway)
        self.sends_to(made.inside)

    def sends_to(self, target: End | Address, port: int = LOCAL, *, of: Address = NOWHERE) -> None:
        """Have the router's own connections to an address's VIRTUAL port go to a port of a target."""
        self.translate("output", of, target, port)

    def translate(self, hook: str, of: Address, target: End | Address, port: int) -> None:
        """Translate an address's VIRTUAL port where packets pass a hook, and no other there."""
        ports = f"meta l4proto {{ tcp, udp }} th dport {VIRTUAL}"
        self.space.nft(
            f"table inet to_{hook}\ndelete table inet to_{hook}\ntable inet to_{hook} {{\n\tchain nat {{\n"
            f"\t\ttype nat hook {hook} priority -100;\n"
            f"\t\tip daddr {of.v4} {ports} dnat ip to {target.v4}:{port}\n"
            f"\t\tip6 daddr {of.v6} {ports} dnat ip6 to [{target.v6}]:{port}\n\t}}\n}}\n"
        )

    @property
    def nowhere(self) -> End:
        """Where its clients connect to."""
        return End(self.space, "", NOWHERE.v4, NOWHERE.v6)

    def reaches(self, family: int = 4) -> bool:
        """Return whether the router gets a TCP connection to what NOWHERE stands for."""
        return connects(self.router.outer, self.nowhere, VIRTUAL, family)

    def refused(self, family: int = 4) -> bool:
        """Return whether such a connection is counted as denied."""
        return is_denied(self.router.daemon, self.router.outer, self.nowhere, VIRTUAL, family)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with router(tmp_path) as made:
        yield Site(made)


@FAMILIES
def test_the_interface_that_it_leaves_by_decides_not_the_one_it_would_have_left_by(
    site: Site, family: int
) -> None:
    site.router.start(OUTER, INNER, everything("outer0"), egress("inner", "inner0", DENIES))
    assert site.refused(family)
    assert site.router.hits("inner", 1) >= 1
    counted = {"policy": "all-outer0", "direction": "egress", "rule": "0"}
    assert site.router.daemon.metric("nfq_guard_policy_verdicts_total", **counted) == 0

    site.router.change(OUTER, INNER, egress("outer", "outer0", DENIES), egress("inner", "inner0", ALLOWS))
    assert site.reaches(family)
    assert asks_udp(site.router.outer, site.nowhere, VIRTUAL, family) is False


@FAMILIES
@pytest.mark.parametrize(("guarded", "passes"), [("outer0", True), ("inner0", False)])
def test_an_interface_that_it_does_not_leave_by_has_no_say(
    site: Site, family: int, guarded: str, *, passes: bool
) -> None:
    site.router.start(endpoint(guarded), egress("deny", guarded, DENIES))

    assert (site.reaches(family) if passes else site.refused(family)) is True
    assert site.router.hits("deny") == 0 if passes else site.router.hits("deny", 1) >= 1


@FAMILIES
def test_it_is_asked_about_once_and_again_after_a_change(site: Site, family: int) -> None:
    site.router.start(OUTER, INNER, egress("outer", "outer0", DENIES), egress("inner", "inner0", ALLOWS))
    with connect(site.router.outer, site.nowhere, VIRTUAL, family) as live:
        for _ in range(20):
            assert echoes(live)
        assert site.router.hits("inner", 1) == 1

        site.router.change(OUTER, INNER, egress("inner", "inner0", ALLOWS))
        assert echoes(live)
        assert site.router.hits("inner", 2) == 2

        site.router.change(OUTER, INNER, egress("inner", "inner0", DENIES))
        live.settimeout(0.5)
        assert not echoes(live)


@FAMILIES
def test_a_failsafe_port_is_one_by_what_it_is_translated_to(site: Site, family: int) -> None:
    site.sends_to(site.router.inside, 6443)
    server = Server(site.router.inside.namespace, 6443)
    site.router.start(OUTER, INNER, egress("outer", "outer0", DENIES), egress("inner", "inner0", DENIES))

    assert site.reaches(family)
    assert site.router.hits("inner") == site.router.hits("outer") == 0
    server.close()


# -- what the worker is told apart by, and what happens without one ---------------------


@contextlib.contextmanager
def host(family: int, settings: KernelSettings | None = None) -> Iterator[tuple[Bench, str]]:
    """Yield a bench, and an address behind its loopback whose UDP port 9 is translated to the peer's."""
    far, word = (NOWHERE.v4, "ip") if family == 4 else (NOWHERE.v6, "ip6")
    with bench(settings) as made:
        peer = address(made.peer, family)
        made.guarded.namespace.ip("-4" if family == 4 else "-6", "route", "add", far, "dev", "lo")
        made.guarded.namespace.nft(
            "table inet nat {\n\tchain output {\n\t\ttype nat hook output priority -100;\n"
            f"\t\t{word} daddr {far} udp dport 9 dnat {word} to {peer if family == 4 else f'[{peer}]'}:9\n\t}}\n}}\n"
        )
        made.install()
        yield made, far


@FAMILIES
@pytest.mark.parametrize("forged", [0x1000, 0x2000, 0x3000])
@pytest.mark.parametrize("by", ["the program", "output -300", "output 0", "postrouting -160"])
def test_a_mark_that_others_set_spares_nothing(family: int, forged: int, by: str) -> None:
    with host(family) as (here, far):
        receiver, sender = udp(here.peer, family, 9), udp(here.guarded, family)
        if by == "the program":
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", forged))
        else:
            hook, priority = by.split()
            here.guarded.namespace.nft(
                f"table inet theirs {{\n\tchain one {{\n\t\ttype filter hook {hook} priority {priority};\n"
                f"\t\tmeta mark set {forged:#x}\n\t}}\n}}\n"
            )
        with here.worker() as worker:
            worker.decide = lambda _: DENY
            sender.sendto(b"x", (far, 9))
            assert hears(receiver) is None
            assert worker.count(9) == 1
            worker.decide = lambda _: ALLOW
            for _ in range(2):
                sender.sendto(b"x", (far, 9))
                assert hears(receiver, timeout=5) == b"x"
            assert worker.count(9) == 2
            assert {one.gate for one in worker.asked} == {Gate(Stage.NORMAL, Direction.OUT)}


@FAMILIES
@pytest.mark.parametrize("mode", FailMode)
def test_without_a_worker_the_fail_mode_decides_and_nothing_is_remembered(
    family: int, mode: FailMode
) -> None:
    with host(family, KernelSettings(fail_mode=mode)) as (here, far):
        receiver, sender = udp(here.peer, family, 9), udp(here.guarded, family)
        for _ in range(2):
            sender.sendto(b"x", (far, 9))
            assert hears(receiver) == (b"x" if mode is FailMode.OPEN else None)
        listed = here.guarded.namespace.run("conntrack", "-L", "-p", "udp", "-f", f"ipv{family}").stdout
        assert set(re.findall(r"mark=(\d+)", listed)) <= {"0"}


# -- to the host itself ---------------------------------------------------------------


@FAMILIES
def test_what_is_sent_to_the_host_itself_leaves_by_loopback(site: Site, family: int) -> None:
    site.sends_to(site.router.outer)
    site.router.start(OUTER, egress("outer", "outer0", DENIES))
    assert site.reaches(family)
    assert site.router.hits("outer") == 0


@FAMILIES
@pytest.mark.parametrize("denied", ["Egress", "Ingress", "neither"])
def test_where_loopback_is_guarded_both_its_sides_are_asked(site: Site, family: int, denied: str) -> None:
    site.sends_to(site.router.outer)
    sides = [
        policy(side.lower(), "lo", order=1, types=[side], **{side.lower(): [rule("Deny", LOCAL)]})
        for side in ("Egress", "Ingress")
        if side == denied
    ]
    site.router.start(OUTER, LO, egress("outer", "outer0", DENIES), *sides, everything("lo"))

    assert site.reaches(family) is (denied == "neither")
    if denied == "neither":
        before = site.router.hits("all-lo")
        with connect(site.router.outer, site.nowhere, VIRTUAL, family) as live:
            for _ in range(20):
                assert echoes(live)
        # The tests read metrics over loopback as well, a connection each time.
        assert site.router.hits("all-lo") - before < 20


@FAMILIES
def test_from_loopback_to_elsewhere(site: Site, family: int) -> None:
    """A port of a local address that a NAT rule sends to the inside."""
    near = Address("10.78.0.1", "fd00:78::1")
    site.sends_to(site.router.inside, of=near)
    own = End(site.space, "lo", *near)
    site.router.start(LO, everything("lo"), INNER, egress("inner", "inner0", DENIES))
    assert is_denied(site.router.daemon, own, own, VIRTUAL, family)
    site.router.change(LO, everything("lo"), INNER, egress("inner", "inner0", ALLOWS))
    assert connects(own, own, VIRTUAL, family)


# -- what is none of it ------------------------------------------------------------------


@FAMILIES
def test_forwarded_connections_that_dnat_translates_are_not_taken_for_the_hosts_own(
    site: Site, family: int
) -> None:
    made = site.router
    site.translate("prerouting", NOWHERE, made.inside, LOCAL)
    made.start(OUTER, INNER, egress("outer", "outer0", DENIES), egress("inner", "inner0", DENIES))
    assert connects(made.outside, site.nowhere, VIRTUAL, family)
    assert made.hits("inner") == 0
    assert site.refused(family)


@FAMILIES
def test_the_host_reaches_a_workload_by_nat_without_being_asked(site: Site, family: int) -> None:
    with Namespace() as space:
        near, pod = link(site.space, space, names=("cali1", "eth0"), subnet=79)
        space.ip("route", "add", "default", "via", near.v4)
        space.ip("-6", "route", "add", "default", "via", near.v6)
        server = Server(space, LOCAL)
        site.sends_to(pod)
        site.router.start(ANY, workload("cali1"), egress("nothing", "any", DENIES), everything("lo"))
        assert site.reaches(family)
        site.sends_to(site.router.inside)
        assert site.refused(family)
        server.close()


def test_what_is_to_be_rejected_there_is_dropped(site: Site) -> None:
    felix = resource("FelixConfiguration", "default", nftablesFilterDenyAction="Reject")
    site.router.start(
        felix, OUTER, INNER, egress("outer", "outer0", DENIES), egress("inner", "inner0", DENIES)
    )
    with pytest.raises(TimeoutError):
        connect(site.router.outer, site.nowhere, VIRTUAL, timeout=0.5)
    with pytest.raises(OSError, match=r"refused|prohibited|unreachable|Permission|No route"):
        connect(site.router.outer, site.router.outside, LOCAL)
    assert site.router.hits("inner", 1) >= 1


@FAMILIES
def test_untracked_policy_is_asked_by_the_address_before_nat_at_the_interface_before_nat(
    site: Site, family: int
) -> None:
    """A connection that it exempts is translated by nobody."""
    deny = egress("raw", "outer0", rule("Deny", VIRTUAL), **UNTRACKED)
    site.router.start(OUTER, INNER, deny, egress("inner", "inner0", ALLOWS))
    assert site.refused(family)
    assert site.router.verdicts(1, stage="untracked", verdict="deny") >= 1

    deny = egress("raw", "outer0", rule("Deny", LOCAL), **UNTRACKED)
    site.router.change(OUTER, INNER, deny, egress("inner", "inner0", ALLOWS))
    assert site.reaches(family)


@FAMILIES
def test_packets_of_a_tunnel_are_the_hosts_own_though_they_come_from_its_interface(
    site: Site, family: int
) -> None:
    """What carries a tunnel has the tunnel's interface for its incoming one behind routing."""
    made, port = site.router, 4789
    far, source = (NOWHERE.v4, made.outer.v4) if family == 4 else (NOWHERE.v6, made.outer.v6)
    site.space.ip(
        *("link", "add", "tunnel", "type", "vxlan", "id", "5", "dstport", str(VIRTUAL)),
        *("remote", far, "local", source, "dev", "outer0"),
    )
    site.space.ip("link", "set", "tunnel", "up")
    site.space.ip("address", "add", "10.99.0.1/24", "dev", "tunnel")
    site.space.ip("neighbor", "add", "10.99.0.2", "lladdr", "02:00:00:00:00:02", "dev", "tunnel")
    site.sends_to(made.inside, port)
    carrying = {"protocol": "UDP", "destination": {"ports": [port]}}
    made.start(OUTER, INNER, egress("inner", "inner0", {"action": "Deny", **carrying}), everything("outer0"))
    server = Server(made.inside.namespace, port)
    inner = End(site.space, "tunnel", "10.99.0.1", "")
    assert asks_udp(inner, End(site.space, "", "10.99.0.2", ""), LOCAL) is False
    until(lambda: made.hits("inner") >= 1, "the denial is counted")
    assert server.arrived == []

    made.change(
        OUTER, INNER, egress("inner", "inner0", {"action": "Allow", **carrying}), everything("outer0")
    )
    assert asks_udp(inner, End(site.space, "", "10.99.0.2", ""), LOCAL) is False
    until(lambda: server.arrived, "what carries the tunnel arrives")
    server.close()
