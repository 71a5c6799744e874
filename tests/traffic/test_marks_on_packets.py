"""Bits of marks that are not ours come through, ours do not, and routing never notices."""

from __future__ import annotations

import re
import socket
import struct
from typing import TYPE_CHECKING

import netns
import pytest
from bench import ENDPOINT, Bench, Worker, address, bench, connects, hears, listener, udp

from nfq_guard.adapters.nfqueue import ALLOW, DENY
from nfq_guard.engine.ruleset import Ruleset
from nfq_guard.kernel.plan import FailMode, KernelSettings
from nfq_guard.model.flow import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])

FOREIGN = 0xFFFFCFFF
"""Every bit of a packet mark that is not ours by default."""

NEIGHBOR = """table inet theirs {
	chain before_in {
		type filter hook input priority -150;
		meta l4proto udp meta mark set 0xffffffff ct mark set ct mark | 0x0abcdef1
	}
	chain before_out {
		type filter hook output priority -150;
		meta l4proto udp ct mark set ct mark | 0x0abcdef1
	}
	counter ours_gone_in {
	}
	counter ours_gone_out {
	}
	chain after_in {
		type filter hook input priority 10;
		meta l4proto udp meta mark 0xffffcfff counter name ours_gone_in
	}
	chain after_out {
		type filter hook output priority 10;
		meta l4proto udp meta mark 0xffffcfff counter name ours_gone_out
	}
}
"""


@pytest.fixture
def here() -> Iterator[Bench]:
    """Yield a guarded namespace with the table installed."""
    with bench() as made:
        made.install()
        yield made


@pytest.fixture
def worker(here: Bench) -> Iterator[Worker]:
    """Yield a worker that allows everything until told otherwise."""
    with here.worker() as made:
        yield made


def _mark(sender: socket.socket, mark: int) -> socket.socket:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", mark))
    return sender


def _packets(space: netns.Namespace, counter: str) -> int:
    listed = space.run("nft", "list", "counter", "inet", "theirs", counter).stdout
    found = re.search(r"packets (\d+)", listed)
    assert found
    return int(found[1])


@FAMILIES
def test_other_bits_of_packet_and_connection_marks_are_unchanged(
    here: Bench, worker: Worker, family: int
) -> None:
    here.guarded.namespace.nft(NEIGHBOR)
    inner, outer = udp(here.guarded, family, 9), udp(here.peer, family, 10)
    for sent in range(1, 4):
        outer.sendto(b"in", (address(here.guarded, family), 9))
        assert hears(inner, timeout=5) == b"in"
        assert _packets(here.guarded.namespace, "ours_gone_in") == sent
    outward = _mark(udp(here.guarded, family, 11), 0xFFFFFFFF)
    for sent in range(1, 4):
        outward.sendto(b"out", (address(here.peer, family), 10))
        assert hears(outer, timeout=5) == b"out"
        assert _packets(here.guarded.namespace, "ours_gone_out") == sent
    assert worker.count(9) == worker.count(10) == 1
    listed = here.guarded.namespace.run("conntrack", "-L", "-p", "udp", "-f", f"ipv{family}").stdout
    marks = {int(mark) for mark in re.findall(r"mark=(\d+)", listed)}
    assert marks == {0x1ABCDEF1}


@FAMILIES
@pytest.mark.parametrize("verdict", ["judged", "past a missing worker"])
def test_an_allowed_packet_is_not_routed_again_by_a_mark_with_our_bit(family: int, verdict: str) -> None:
    with bench(KernelSettings(fail_mode=FailMode.OPEN)) as here:
        _second_link(here, family)
        here.install(Ruleset("node", wildcard=ENDPOINT))
        receiver = udp(here.peer, family, 9, bind="0.0.0.0" if family == 4 else "::")
        sender = _mark(udp(here.guarded, family, bind=""), 1)
        workers = [here.worker()] if verdict == "judged" else []
        for _ in range(3):
            sender.sendto(b"x", ("10.99.0.1" if family == 4 else "fd99::1", 9))
            assert hears(receiver, timeout=5) == b"x"
        # The default route leads over eth0; only `fwmark 1`, exactly, leads over eth1.
        assert _packets(here.peer.namespace, "over_eth1") == 3
        for worker in workers:
            assert worker.count(9) == 1
            worker.close()


ARRIVALS = """table inet theirs {
	counter over_eth1 {
	}
	chain input {
		type filter hook input priority 0;
		iifname "eth1" udp dport 9 counter name over_eth1
	}
}
"""


def _second_link(here: Bench, family: int) -> None:
    here.peer.namespace.nft(ARRIVALS)
    netns.link(here.guarded.namespace, here.peer.namespace, names=("eth1", "eth1"), subnet=78)
    flag, far = ("-4", "10.99.0.1/32") if family == 4 else ("-6", "fd99::1/128")
    here.peer.namespace.ip(flag, "address", "add", far, "dev", "lo")
    guarded = here.guarded.namespace
    guarded.ip(flag, "route", "add", "default", "via", address(here.peer, family))
    marked = "10.78.0.2" if family == 4 else "fd00:78::2"
    guarded.ip(flag, "route", "add", "default", "via", marked, "table", "66")
    guarded.ip(flag, "rule", "add", "fwmark", "1", "table", "66")
    for name in ("all", "eth0", "eth1"):
        here.peer.namespace.sysctl(f"net/ipv4/conf/{name}/rp_filter", 0)


@FAMILIES
def test_a_packet_that_arrives_with_our_bits_set_is_judged_all_the_same(
    here: Bench, worker: Worker, family: int
) -> None:
    worker.decide = lambda _: DENY
    receiver = udp(here.peer, family, 9)
    forger = _mark(udp(here.guarded, family), 0x3000)
    forger.sendto(b"forged", (address(here.peer, family), 9))
    assert hears(receiver) is None
    assert worker.count(9, Side.EGRESS) == 1


def test_our_bits_on_an_unguarded_interface_are_left_alone(here: Bench, worker: Worker) -> None:
    here.install(Ruleset("node", {"eth9": ENDPOINT}))
    here.guarded.namespace.nft(NEIGHBOR.replace("mark 0xffffcfff", "mark 0xffffffff"))
    receiver, sender = udp(here.peer, port=9), _mark(udp(here.guarded), 0xFFFFFFFF)
    sender.sendto(b"x", (here.peer.v4, 9))
    assert hears(receiver, timeout=5) == b"x"
    assert _packets(here.guarded.namespace, "ours_gone_out") == 1
    assert worker.count(9) == 0


@FAMILIES
def test_traffic_to_oneself_is_judged_on_both_sides_and_then_passes(
    here: Bench, worker: Worker, family: int
) -> None:
    here.install(Ruleset("node", {"lo": ENDPOINT}))
    receiver, sender = udp(here.guarded, family, 9), udp(here.guarded, family)
    for _ in range(5):
        sender.sendto(b"x", (address(here.guarded, family), 9))
        assert hears(receiver, timeout=5) == b"x"
    assert [one.side for one in worker.asked if one.port == 9] == [Side.EGRESS, Side.INGRESS]
    with listener(here.guarded, 80, family):
        assert connects(here.guarded, address(here.guarded, family), 80, timeout=5)
    assert [one.side for one in worker.asked if one.port == 80] == [Side.EGRESS, Side.INGRESS]


@pytest.mark.parametrize("denied", Side)
def test_either_side_of_loopback_can_deny(here: Bench, worker: Worker, denied: Side) -> None:
    here.install(Ruleset("node", wildcard=ENDPOINT))
    worker.decide = lambda asked: DENY if asked.side is denied else ALLOW
    receiver, sender = udp(here.guarded, port=9), _mark(udp(here.guarded), 0x3000)
    for _ in range(2):
        sender.sendto(b"x", (here.guarded.v4, 9))
        assert hears(receiver) is None
    assert worker.count(9, denied) == 2


def test_masks_can_be_moved() -> None:
    settings = KernelSettings(packet_mark_mask=0x00C00000, connection_mark_mask=0x00000F00)
    with bench(settings) as here:
        here.install()
        receiver, sender = udp(here.guarded, port=9), udp(here.peer)
        with here.worker() as worker:
            for _ in range(3):
                sender.sendto(b"x", (here.guarded.v4, 9))
                assert hears(receiver, timeout=5) == b"x"
            assert worker.count(9) == 1
        assert "mark=256 " in here.guarded.namespace.run("conntrack", "-L", "-p", "udp").stdout
