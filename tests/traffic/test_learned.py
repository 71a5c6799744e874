"""Verdicts that the kernel has learned, on real traffic with the real daemon."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from guarded import Daemon, Server, address, connects, documents, endpoint, is_denied, policy, tcp
from netns import End, pair, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
WEB = documents(endpoint(), policy(tcp(80)))


@pytest.fixture
def ends() -> Iterator[tuple[End, End]]:
    """Yield the guarded end and its peer."""
    with pair() as made:
        yield made


def learned(daemon: Daemon, name: str) -> int:
    """Return how many verdicts a map of the kernel holds."""
    listed = daemon.space.run("nft", "list", "map", "inet", "nfq_guard", name).stdout
    return listed.count("timeout") - listed.count("flags timeout")


def judged(daemon: Daemon) -> float:
    """Return how many packets workers have judged."""
    return daemon.metric("nfq_guard_packets_total")


@FAMILIES
def test_what_was_allowed_twice_is_not_asked_about_again_and_still_counted(
    ends: tuple[End, End], tmp_path: Path, family: int
) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(WEB)
        daemon.start()
        server = Server(guarded.namespace, 80)
        until(
            lambda: connects(peer, guarded, 80, family) and learned(daemon, f"learned_allow_in{family}"),
            "the kernel has learned",
        )
        before, counted = judged(daemon), daemon.metric("nfq_guard_policy_verdicts_total", policy="traffic")

        for _ in range(20):
            assert connects(peer, guarded, 80, family)

        assert judged(daemon) == before
        more = daemon.counts(counted + 20, "nfq_guard_policy_verdicts_total", policy="traffic")
        assert more == counted + 20
        assert daemon.metric("nfq_guard_verdicts_total", reason="policy", verdict="allow") >= 20
        server.close()


def test_what_was_denied_twice_is_dropped_by_the_kernel_and_counted(
    ends: tuple[End, End], tmp_path: Path
) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(WEB)
        daemon.start()
        until(
            lambda: is_denied(daemon, peer, guarded, 81) and learned(daemon, "learned_deny_in4"),
            "the kernel has learned",
        )
        before, denied = judged(daemon), daemon.denied()

        for _ in range(5):
            assert is_denied(daemon, peer, guarded, 81)

        assert judged(daemon) == before
        assert daemon.denied() >= denied + 5


def test_a_change_of_policy_is_asked_about_at_once(ends: tuple[End, End], tmp_path: Path) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(WEB)
        daemon.start()
        server = Server(guarded.namespace, 80)
        until(
            lambda: connects(peer, guarded, 80) and learned(daemon, "learned_allow_in4"),
            "the kernel has learned",
        )

        with daemon.change():
            daemon.write(documents(endpoint(), policy(tcp(80, action="Deny"), tcp(443))))

        assert learned(daemon, "learned_allow_in4") == 0
        assert is_denied(daemon, peer, guarded, 80)
        server.close()


@pytest.mark.parametrize(
    "rules",
    [
        ("{action: Log, protocol: TCP}", tcp(80)),
        (
            "{action: Deny, protocol: TCP, source: {ports: [7]}}",
            tcp(80),
        ),
        ("{action: Deny, protocol: TCP, source: {ports: [7]}}", "{action: Allow}"),
    ],
    ids=[
        "a Log rule on the way",
        "a rule about source ports on the way",
        "one that other protocols do not meet",
    ],
)
def test_what_depends_on_more_than_the_tuple_is_asked_about_each_time(
    ends: tuple[End, End], tmp_path: Path, rules: tuple[str, ...]
) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(documents(endpoint(), policy(*rules)))
        daemon.start()
        server = Server(guarded.namespace, 80)
        kind, where = address(guarded, 80)
        with peer.namespace.socket(kind, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", where)
        until(lambda: judged(daemon) > 0, "the datagram is judged")
        before = judged(daemon)

        for _ in range(10):
            assert connects(peer, guarded, 80)

        assert judged(daemon) >= before + 10
        assert learned(daemon, "learned_allow_in4") == 0
        server.close()


def test_a_flood_of_sources_that_come_once_teaches_the_kernel_nothing(
    ends: tuple[End, End], tmp_path: Path
) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(WEB)
        daemon.start()
        kind, _ = address(guarded, 0)
        before = judged(daemon)
        with peer.namespace.socket(kind, socket.SOCK_DGRAM) as sock:
            for port in range(2000):
                sock.sendto(b"x", (guarded.v4, 10_000 + port))
        until(lambda: judged(daemon) >= before + 1900, "the flood is judged")

        assert learned(daemon, "learned_deny_in4") <= 20


def test_the_kernel_goes_on_with_what_it_learned_while_no_worker_lives(
    ends: tuple[End, End], tmp_path: Path
) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(WEB)
        daemon.start()
        server = Server(guarded.namespace, 80)
        until(
            lambda: connects(peer, guarded, 80) and learned(daemon, "learned_allow_in4"),
            "the kernel has learned",
        )
        daemon.space.run("kill", "-STOP", str(daemon.worker()))

        assert connects(peer, guarded, 80)
        server.close()


def test_switched_off_the_kernel_is_taught_nothing(ends: tuple[End, End], tmp_path: Path) -> None:
    guarded, peer = ends
    with Daemon(guarded.namespace, tmp_path, "--learned-verdicts", "false") as daemon:
        daemon.write(WEB)
        daemon.start()
        server = Server(guarded.namespace, 80)
        before = judged(daemon)

        for _ in range(10):
            assert connects(peer, guarded, 80)

        assert judged(daemon) >= before + 10
        assert (
            "learned" not in daemon.space.run("nft", "list", "chain", "inet", "nfq_guard", "guard_in").stdout
        )
        server.close()
