"""Denied packets of a real daemon: in the rings that watchers read, and in the deny log."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from guarded import Daemon, Server, connects, endpoint, is_denied, policy, tcp
from netns import End, pair, until

from nfq_guard.adapters.control import Conversation
from nfq_guard.daemon.ring import Reader
from nfq_guard.stream.event import Event, Legend, event_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic

OPEN, SHUT, OTHER = 8080, 8081, 8082


class Watcher:
    """As `nfq-guard watch` does it, without its text."""

    def __init__(self, daemon: Daemon, *verdicts: str) -> None:
        self.conversation = Conversation(str(daemon.control), 10)
        self.request = {"command": "watch", "id": "test", "verdicts": list(verdicts)}
        self.answer, descriptors = self.conversation.ask(self.request | {"open": True})
        self.readers = [Reader(descriptor) for descriptor in descriptors]
        for descriptor in descriptors:
            os.close(descriptor)

    def renew(self) -> None:
        self.answer, _ = self.conversation.ask(self.request)

    def legend(self) -> Legend:
        request = {"command": "legend", "generation": self.answer["generation"]}
        return Legend.from_json(self.conversation.ask(request)[0])

    def read(self) -> list[Event]:
        legend = self.legend()
        return [
            event_of(record, queue, legend)
            for queue, reader in zip(self.answer["queues"], self.readers, strict=True)
            for record in reader.read(1000)
        ]

    def inward(self) -> list[tuple[str, int]]:
        """Return verdict and port of each new record about a packet that came in."""
        return [
            (event.verdict, event.packet.dport)
            for event in self.read()
            if event.packet is not None and event.direction == "in"
        ]

    def close(self) -> None:
        self.conversation.close()
        for reader in self.readers:
            reader.close()


class Site:
    """A guarded end with servers, a peer, and a daemon that logs JSON."""

    def __init__(self, ends: tuple[End, End], base: Path) -> None:
        self.guarded, self.peer = ends
        self.daemon = Daemon(self.guarded.namespace, base, "--log-format", "json", "--learned-verdicts", "no")
        self.daemon.write(endpoint(), policy(tcp(OPEN), tcp(SHUT, action="Deny")))
        self.servers = [Server(self.guarded.namespace, port) for port in (OPEN, SHUT, OTHER)]

    def connects(self, port: int = OPEN) -> bool:
        return connects(self.peer, self.guarded, port)

    def denied(self, port: int = SHUT) -> bool:
        return is_denied(self.daemon, self.peer, self.guarded, port)

    @contextlib.contextmanager
    def watched(self, *verdicts: str) -> Iterator[Watcher]:
        watcher = Watcher(self.daemon, *verdicts)
        try:
            if "allow" in verdicts:
                # The guard answers before its workers have heard of the wish. Denials they write down anyway.
                until(lambda: self.connects() and watcher.inward(), "the workers know", 2, 0.02)
            yield watcher
        finally:
            watcher.close()

    def lines(self, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of the deny log that have these fields."""
        return self.daemon.logged("denied", **fields)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with pair() as ends:
        made = Site(ends, tmp_path)
        with made.daemon:
            yield made
        for server in made.servers:
            server.close()


def test_a_denied_packet_is_in_the_ring_and_in_the_log_with_its_rule(site: Site) -> None:
    site.daemon.start()
    with site.watched("deny") as watcher:
        assert site.denied()

        event = next(event for event in watcher.read() if event.direction == "in")

    assert (event.verdict, event.reason, event.stage, event.side) == ("deny", "policy", "normal", "ingress")
    assert (event.in_interface, event.out_interface) == ("eth0", "")
    assert event.rule is not None
    assert (event.rule.name, event.rule.rule, event.rule.action) == ("traffic", "1", "deny")
    assert event.rule.file.endswith("rules.yaml")
    assert event.packet is not None
    assert event.packet.dport == SHUT
    assert event.length == len(event.data)
    line = until(lambda: site.lines(dport=SHUT), "its line")[0]
    assert (line["level"], line["reason"], line["policy"], line["rule"]) == ("info", "policy", "traffic", "1")
    assert line["at"] == f"{event.rule.file}:{event.rule.line}"
    assert (line["src"], line["dst"], line["interface"]) == (site.peer.v4, site.guarded.v4, "eth0")


def test_what_no_rule_allows_is_logged_by_what_denied_it(site: Site) -> None:
    site.daemon.start()
    assert site.denied(OTHER)

    line = until(lambda: site.lines(dport=OTHER), "its line")[0]

    assert (line["reason"], line["kind"], line["policy"], line["rule"]) == (
        "tier-default",
        "Tier",
        "default",
        "default",
    )


def test_allowed_packets_are_written_down_only_while_somebody_wishes_it(site: Site) -> None:
    site.daemon.start()
    with site.watched("deny") as watcher:
        assert site.connects()
        assert site.denied()
        assert {verdict for verdict, _ in watcher.inward()} == {"deny"}

    with site.watched("allow", "deny") as watcher:
        assert site.connects()
        assert site.denied()
        assert {("allow", OPEN), ("deny", SHUT)} == set(watcher.inward())


def test_a_watcher_that_stops_renewing_is_forgotten(site: Site) -> None:
    site.daemon.start()
    with site.watched("allow", "deny") as watcher:
        for _ in range(3):
            watcher.renew()
            assert site.connects()
            assert ("allow", OPEN) in watcher.inward()

        def forgotten() -> bool:
            return site.connects() and not watcher.inward()

        until(forgotten, "nothing is written down for it", 10, 0.3)
        watcher.renew()
        until(lambda: site.connects() and watcher.inward(), "it is known again", 5)


def test_a_worker_that_follows_another_goes_on_in_its_ring(site: Site) -> None:
    site.daemon.start()
    with site.watched("allow", "deny") as watcher:
        assert site.connects()
        assert ("allow", OPEN) in watcher.inward()
        before = site.daemon.worker()

        os.kill(before, signal.SIGKILL)
        until(lambda: site.daemon.ready() and site.daemon.worker() not in {0, before}, "another serves")
        watcher.renew()

        def followed() -> bool:
            watcher.renew()
            return site.connects() and ("allow", OPEN) in watcher.inward()

        until(followed, "it goes on")
        assert [reader.lost for reader in watcher.readers] == [0]
        assert site.denied()
        assert ("deny", SHUT) in watcher.inward()


def test_without_the_deny_log_watchers_see_denials_all_the_same(site: Site) -> None:
    site.daemon._flags += ("--deny-log", "no")
    site.daemon.start()
    with site.watched("deny") as watcher:
        assert site.denied()
        assert ("deny", SHUT) in watcher.inward()

    assert site.daemon.stop() == 0
    assert site.lines() == []


def test_a_scan_is_logged_in_part_and_the_rest_is_counted(site: Site) -> None:
    site.daemon.start()
    socks = [site.peer.namespace.socket() for _ in range(400)]
    for port, sock in enumerate(socks, start=20_000):
        sock.setblocking(False)
        sock.connect_ex((site.guarded.v4, port))
    until(lambda: site.daemon.denied() >= 400, "all are denied")

    ports = itertools.count(30_000)

    def told() -> bool:
        site.denied(next(ports))
        lines = site.lines()
        return bool(lines) and lines[-1]["others"] > 0

    until(told, "a line that counts the others", 10)
    lines = site.lines()
    assert len(lines) < 100
    assert sum(1 + line["others"] for line in lines) >= 300
    assert site.daemon.metric("nfq_guard_deny_log_missed_total") >= 1
    for sock in socks:
        sock.close()
