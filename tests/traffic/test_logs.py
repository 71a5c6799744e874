"""Log rules of a real daemon: what their lines begin with, and how often they come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from guarded import Daemon, Server, connect, connects, documents, policy, tcp
from netns import End, pair, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic

PORT, OTHER = 8080, 8081
ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: guarded-eth0, labels: {guarded: "yes"}}
spec: {node: guarded, interfaceName: eth0, profiles: [watch]}
"""
PROFILE = """
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: watch}
spec: {ingress: [{action: Log}, {action: Allow}], egress: [{action: Allow}]}
"""
FELIX = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {%s}
"""


def log(port: int) -> str:
    return tcp(port, action="Log")


class Site:
    """A guarded end with two servers, a peer, and a daemon that logs JSON."""

    def __init__(self, ends: tuple[End, End], base: Path) -> None:
        self.guarded, self.peer = ends
        self.daemon = Daemon(self.guarded.namespace, base, "--log-format", "json")
        self.servers = [Server(self.guarded.namespace, port) for port in (PORT, OTHER)]

    def write(self, *rules: str, **settings: str) -> None:
        spec = ", ".join(f"{name}: {value}" for name, value in settings.items())
        self.daemon.write(documents(ENDPOINT, PROFILE, FELIX % spec, policy(*rules)))

    def connect(self, times: int, port: int = PORT, family: int = 4) -> None:
        for _ in range(times):
            assert connects(self.peer, self.guarded, port, family)

    def matched(self) -> int:
        return int(self.daemon.metric("nfq_guard_policy_verdicts_total", action="log"))

    def lines(self, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of Log rules that have these fields."""
        return self.daemon.logged("packet", **fields)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with pair() as ends:
        made = Site(ends, tmp_path)
        with made.daemon:
            yield made
        for server in made.servers:
            server.close()


def test_lines_begin_with_the_prefix_worked_out_for_their_rule(site: Site) -> None:
    site.write(log(PORT), "{action: Pass}", logPrefix='"host:%k/%t/%p %%n %x"')
    site.daemon.start()
    site.connect(1)

    until(lambda: len(site.lines()) == 2, "a line of the policy and one of the profile")
    assert [(line["prefix"], line["policy"], line["tier"], line["rule"]) for line in site.lines()] == [
        ("host:gnp/default/traffic %traffic %x", "traffic", "default", 0),
        ("host:pro//watch %watch %x", "watch", "", 0),
    ]

    with site.daemon.change():
        site.write(log(PORT), tcp(PORT))
    site.connect(1)

    until(lambda: len(site.lines()) == 3, "a line under the new settings")
    assert site.lines()[-1]["prefix"] == "calico-packet"


def test_each_rule_has_a_limit_of_its_own_in_each_family_and_a_reload_is_no_way_around_it(site: Site) -> None:
    limit = {"logActionRateLimit": "1/day", "logActionRateLimitBurst": "3"}
    site.write(log(PORT), log(OTHER), tcp(PORT, OTHER), **limit)
    site.daemon.start()

    site.connect(6)
    site.connect(5, family=6)
    site.connect(1, OTHER)
    until(lambda: site.lines(dport=OTHER), "the line of the other rule")
    assert [line["src"] for line in site.lines(dport=PORT)] == [site.peer.v4] * 3 + [site.peer.v6] * 3
    until(lambda: site.matched() >= 12, "all are counted")
    assert site.matched() == 12

    with site.daemon.change():
        site.write(log(PORT), log(OTHER), tcp(PORT, OTHER), "{action: Deny}", **limit)
    site.connect(2)
    site.connect(1, OTHER)
    until(lambda: len(site.lines(dport=OTHER)) == 2, "another line of the other rule")
    assert len(site.lines(dport=PORT)) == 6

    with site.daemon.change():
        site.write(log(PORT), log(OTHER), tcp(PORT, OTHER))
    site.connect(1)
    until(lambda: len(site.lines(dport=PORT)) == 7, "a line once there is no limit")


def test_a_line_says_how_many_the_limit_left_out_before_it(site: Site) -> None:
    site.write(log(PORT), tcp(PORT), logActionRateLimit="1/second", logActionRateLimitBurst="1")
    site.daemon.start()
    ports: list[int] = []

    def told() -> list[dict[str, Any]]:
        with connect(site.peer, site.guarded, PORT) as sock:
            ports.append(sock.getsockname()[1])
        lines = site.lines()
        return lines if any(line["more"] for line in lines) else []

    lines = until(told, "a line after others were left out")
    assert lines[0]["more"] == 0
    assert sum(1 + line["more"] for line in lines) == ports.index(lines[-1]["sport"]) + 1


def test_without_a_limit_a_flood_is_bounded_all_the_same(site: Site) -> None:
    site.write(log(PORT), tcp(PORT))
    site.daemon.start()

    began = time.monotonic()
    site.connect(200)
    until(lambda: site.matched() == 200, "all are counted")
    assert len(site.lines()) <= 21 + 10 * (time.monotonic() - began)
    until(lambda: len(site.lines()) >= 20, "what is let through at once")

    def told() -> bool:
        site.connect(1)
        return any(line["more"] for line in site.lines())

    until(told, "a line after others were left out")
