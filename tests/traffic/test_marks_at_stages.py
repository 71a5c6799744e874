"""The codes between the table and the worker at stages ahead of NAT and on forwarded packets."""

from __future__ import annotations

import re
import socket
import struct
from typing import TYPE_CHECKING

import netns
import pytest
from bench import Asked, Bench, address, bench, hears, udp

from nfq_guard.adapters.nfqueue import ALLOW, DENY, PASS, REJECT
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
from nfq_guard.kernel.plan import FailMode, KernelSettings
from nfq_guard.model.flow import Direction, Gate, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
CHAIN = Chain([FlatRule(Step.DECIDE, ANYTHING)])
RAW_IN, RAW_OUT = (Stage.UNTRACKED, Side.INGRESS), (Stage.UNTRACKED, Side.EGRESS)
EARLY = (Stage.PRE_DNAT, Side.INGRESS)


def ruleset(*places: tuple[Stage, Side]) -> Ruleset:
    """Return a guarded eth0 whose endpoint has these chains; what they say is the test's."""
    return Ruleset("node", {"eth0": GuardedEndpoint("test", dict.fromkeys(places, CHAIN))})


@pytest.fixture
def here() -> Iterator[Bench]:
    with bench() as made:
        yield made


def table(hook: str, priority: int, rule: str) -> str:
    return (
        f"table inet theirs {{\n counter seen {{\n }}\n chain one {{\n"
        f"  type filter hook {hook} priority {priority};\n  {rule}\n }}\n}}\n"
    )


def seen(here: Bench) -> int:
    listed = here.guarded.namespace.run("nft", "list", "counter", "inet", "theirs", "seen").stdout
    found = re.search(r"packets (\d+)", listed)
    assert found
    return int(found[1])


def marked(sender: socket.socket, mark: int) -> socket.socket:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("I", mark))
    return sender


def stages(asked: list[Asked], port: int = 9) -> list[Stage]:
    return [one.stage for one in asked if one.port == port]


@FAMILIES
@pytest.mark.parametrize("forged", [0x1000, 0x2000, 0x3000])
@pytest.mark.parametrize("places", [(RAW_IN,), (EARLY,), (RAW_IN, EARLY)], ids=["raw", "mangle", "both"])
def test_a_mark_that_others_put_on_a_packet_that_comes_in_spares_it_nothing(
    here: Bench, family: int, forged: int, places: tuple[tuple[Stage, Side], ...]
) -> None:
    here.guarded.namespace.nft(table("prerouting", -400, f"meta mark set {forged:#x}"))
    here.install(ruleset(*places))
    receiver = udp(here.guarded, family, 9)
    with here.worker() as worker:
        worker.decide = lambda asked: DENY if asked.stage is Stage.NORMAL else PASS
        udp(here.peer, family).sendto(b"x", (address(here.guarded, family), 9))
        assert hears(receiver) is None
        assert stages(worker.asked) == [*(stage for stage, _ in places), Stage.NORMAL]


@FAMILIES
@pytest.mark.parametrize("forged", [0x1000, 0x2000, 0x3000])
def test_a_mark_that_a_program_puts_on_its_packet_spares_it_nothing(
    here: Bench, family: int, forged: int
) -> None:
    here.install(ruleset(RAW_OUT))
    receiver = udp(here.peer, family, 9)
    with here.worker() as worker:
        worker.decide = lambda asked: DENY if asked.stage is Stage.NORMAL else PASS
        marked(udp(here.guarded, family), forged).sendto(b"x", (address(here.peer, family), 9))
        assert hears(receiver) is None
        assert stages(worker.asked) == [Stage.UNTRACKED, Stage.NORMAL]


@FAMILIES
@pytest.mark.parametrize("place", [RAW_IN, EARLY], ids=["raw", "mangle"])
@pytest.mark.parametrize("answer", [ALLOW, PASS])
def test_our_bits_are_off_and_others_are_on_behind_the_last_stage(
    here: Bench, family: int, place: tuple[Stage, Side], answer: int
) -> None:
    here.guarded.namespace.nft(table("input", 10, "meta l4proto udp meta mark 0xffffcfff counter name seen"))
    here.guarded.namespace.nft(
        "table inet before {\n chain one {\n type filter hook prerouting priority -400;\n"
        " meta mark set 0xffffffff\n }\n}\n"
    )
    here.install(ruleset(place))
    receiver = udp(here.guarded, family, 9)
    with here.worker() as worker:
        worker.decide = lambda asked: ALLOW if asked.stage is Stage.NORMAL else answer
        for sent in range(1, 4):
            udp(here.peer, family, 1000 + sent).sendto(b"x", (address(here.guarded, family), 9))
            assert hears(receiver, timeout=5) == b"x"
            assert seen(here) == sent


@FAMILIES
@pytest.mark.parametrize("answer", [ALLOW, PASS])
def test_the_stage_before_conntrack_does_not_route_a_packet_again(family: int, answer: int) -> None:
    with bench(KernelSettings(fail_mode=FailMode.OPEN)) as here:
        here.install(ruleset(RAW_OUT))
        guarded = here.guarded.namespace
        flag, far = ("-4", "10.99.0.1/32") if family == 4 else ("-6", "fd99::1/128")
        here.peer.namespace.ip(flag, "address", "add", far, "dev", "lo")
        # Only `fwmark 1`, exactly, leads there.
        route = ("default", "via", address(here.peer, family), "table", "66")
        guarded.ip(flag, "route", "add", "unreachable", "default")
        guarded.ip(flag, "route", "add", *route)
        guarded.ip(flag, "rule", "add", "fwmark", "1", "table", "66")
        receiver = udp(here.peer, family, 9, bind="0.0.0.0" if family == 4 else "::")
        sender = marked(udp(here.guarded, family), 1)
        with here.worker() as worker:
            worker.decide = lambda asked: ALLOW if asked.stage is Stage.NORMAL else answer
            for _ in range(3):
                sender.sendto(b"x", (far.partition("/")[0], 9))
                assert hears(receiver, timeout=5) == b"x"
            untracked = [Stage.UNTRACKED] * 3
            once = [Stage.UNTRACKED, Stage.NORMAL, *untracked[1:]]
            assert stages(worker.asked) == (untracked if answer == ALLOW else once)


def test_what_others_exempted_from_conntrack_is_denied_but_not_spared_by_untracked_policy(
    here: Bench,
) -> None:
    here.guarded.namespace.nft(table("output", -400, "udp dport 9 notrack"))
    here.install(ruleset(RAW_OUT))
    receiver = udp(here.peer, port=9)
    with here.worker() as worker:
        udp(here.guarded).sendto(b"x", (here.peer.v4, 9))
        assert hears(receiver, timeout=5) == b"x"
        assert stages(worker.asked) == [Stage.UNTRACKED, Stage.NORMAL]
        worker.decide = lambda asked: DENY if asked.stage is Stage.UNTRACKED else ALLOW
        udp(here.guarded).sendto(b"x", (here.peer.v4, 9))
        assert hears(receiver) is None


@pytest.mark.parametrize("mode", FailMode)
def test_without_a_worker_every_stage_does_as_the_fail_mode_says_and_remembers_nothing(
    mode: FailMode,
) -> None:
    with bench(KernelSettings(fail_mode=mode)) as here:
        here.install(ruleset(RAW_IN, RAW_OUT, EARLY))
        inner, outer = udp(here.guarded, port=9), udp(here.peer, port=9)
        expected = b"x" if mode is FailMode.OPEN else None
        for _ in range(2):
            outer.sendto(b"x", (here.guarded.v4, 9))
            assert hears(inner) == expected
            inner.sendto(b"x", (here.peer.v4, 9))
            assert hears(outer) == expected
        listed = here.guarded.namespace.run("conntrack", "-L", "-p", "udp").stdout
        assert set(re.findall(r"mark=(\d+)", listed)) <= {"0"}


def test_each_gate_is_told_from_the_others(here: Bench) -> None:
    here.install(ruleset(RAW_IN, RAW_OUT, EARLY))
    inner, outer = udp(here.guarded, port=9), udp(here.peer, port=9)
    with here.worker() as worker:
        worker.decide = lambda asked: ALLOW if asked.stage is Stage.NORMAL else PASS
        outer.sendto(b"x", (here.guarded.v4, 9))
        assert hears(inner, timeout=5) == b"x"
        inner.sendto(b"x", (here.peer.v4, 9))
        assert hears(outer, timeout=5) == b"x"
        assert [one.gate for one in worker.asked if one.port == 9] == [
            Gate(Stage.UNTRACKED, Direction.IN),
            Gate(Stage.PRE_DNAT, Direction.IN),
            Gate(Stage.NORMAL, Direction.IN),
            Gate(Stage.UNTRACKED, Direction.OUT),
        ]


@FAMILIES
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
def test_a_rejected_packets_sender_hears_of_it_either_way(here: Bench, family: int, kind: int) -> None:
    here.install()
    domain = socket.AF_INET if family == 4 else socket.AF_INET6
    with here.worker() as worker:
        worker.decide = lambda _: REJECT
        for source, target in ((here.peer, here.guarded), (here.guarded, here.peer)):
            client = source.namespace.socket(domain, kind)
            with pytest.raises(OSError, match=r"refused|unreachable|No route|Permission"):
                _question(client, address(target, family))
        assert worker.count(9) >= 2
        netns.until(lambda: here.counters()["queued_in"] >= 1, "the counter")


def _question(client: socket.socket, to: str) -> None:
    client.connect((to, 9))
    client.send(b"x")
    client.recv(1)
