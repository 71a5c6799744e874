"""Several queues, a worker each: one policy, one generation, one count."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from guarded import Daemon, documents, endpoint, policy
from netns import End, pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, pytest.mark.traffic]

QUEUES = 3
SOURCES = 40
"""The kernel chooses a queue by the addresses."""
PORT = 9
OPEN = documents(endpoint(), policy("{action: Allow, protocol: UDP, destination: {ports: [9]}}"))
SHUT = documents(endpoint(), policy("{action: Deny}"))


class Site:
    """A guarded host with several queues, and a peer with many addresses."""

    def __init__(self, guarded: End, peer: End, base: Path) -> None:
        self.guarded, self.peer = guarded, peer
        self.sources = [f"10.77.1.{number}" for number in range(1, SOURCES + 1)]
        for source in self.sources:
            peer.namespace.ip("address", "add", f"{source}/32", "dev", peer.interface)
        guarded.namespace.ip("route", "add", "10.77.1.0/24", "dev", guarded.interface)
        self.daemon = Daemon(guarded.namespace, base, "--queues", str(QUEUES), "--learned-verdicts", "off")
        self.receiver = guarded.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind((guarded.v4, PORT))
        self.receiver.settimeout(1.0)

    def send(self, data: bytes) -> None:
        """Send a datagram of a new flow from every source."""
        for source in self.sources:
            with self.peer.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((source, 0))
                sock.sendto(data, (self.guarded.v4, PORT))

    def heard(self, number: int) -> list[tuple[bytes, str]]:
        """Return what arrives, and from whom, until there is so much or no more."""
        found = list[tuple[bytes, str]]()
        with contextlib.suppress(TimeoutError):
            while len(found) < number:
                data, (source, _) = self.receiver.recvfrom(100)
                found.append((data, source))
        return found

    def asked(self) -> list[int]:
        """Return how many packets each queue was given."""
        lines = self.guarded.namespace.read("netfilter/nfnetlink_queue").splitlines()
        return [int(line.split()[7]) for line in lines]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with pair() as (guarded, peer):
        made = Site(guarded, peer, tmp_path)
        made.daemon.write(OPEN)
        with made.receiver, made.daemon.start():
            yield made


def test_new_flows_are_spread_over_the_queues_and_counted_together(site: Site) -> None:
    for turn in range(3):
        site.send(b"%d" % turn)
        assert sorted(site.heard(SOURCES)) == sorted((b"%d" % turn, source) for source in site.sources)

    asked = site.asked()
    assert len(asked) == QUEUES
    assert all(asked)
    counted = site.daemon.counts(
        3 * SOURCES, "nfq_guard_policy_verdicts_total", policy="traffic", direction="ingress"
    )
    assert counted == 3 * SOURCES
    assert site.daemon.metric("nfq_guard_packets_total") >= 3 * SOURCES
    assert site.daemon.metric("nfq_guard_worker_up") == QUEUES


def test_no_worker_answers_by_the_older_policy_once_the_newer_is_in_force(site: Site) -> None:
    for turn in range(4):
        with site.daemon.change():
            site.daemon.write(SHUT)
        site.send(b"shut %d" % turn)
        with site.daemon.change():
            site.daemon.write(OPEN)
        site.send(b"open %d" % turn)

        # What was shut out would have come first.
        assert {data for data, _ in site.heard(SOURCES)} == {b"open %d" % turn}


def test_while_flows_keep_coming_all_workers_change_policy_together(site: Site) -> None:
    stop = threading.Event()

    def keep_sending() -> None:
        while not stop.is_set():
            site.send(b"early")

    sender = threading.Thread(target=keep_sending, daemon=True)
    sender.start()
    try:
        site.heard(SOURCES)
        with site.daemon.change():
            site.daemon.write(SHUT)
    finally:
        stop.set()
        sender.join(10)
    site.receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while site.receiver.recv(100):
            pass
    site.receiver.settimeout(1.0)
    site.send(b"late")

    assert site.heard(1) == []
