"""Packets of an allowed flow that come by an interface where policy says something else."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from guarded import Daemon, documents
from netns import End, Namespace, link
from router import endpoint, policy
from scapy.layers.inet import IP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic

SYSLOG, SENDER = 514, 5555
SILENCE = 1.0


class Site:
    """A host with two links, and a sender at the far end of each; either may send as the other."""

    def __init__(self, spaces: list[Namespace], name: str, base: Path) -> None:
        host, first, second = spaces
        self.near, self.far = link(host, first, subnet=77)
        self.other, self.spoofer = link(host, second, names=(name, "eth0"), subnet=78)
        for interface in ("all", "eth0", name):
            host.sysctl(f"net/ipv4/conf/{interface}/rp_filter", 0)
        second.ip("route", "add", self.near.v4, "via", self.other.v4)
        self.daemon = Daemon(host, base)
        self.receiver = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("0.0.0.0", SYSLOG))
        self.receiver.settimeout(SILENCE)

    def hears(self, end: End, data: bytes) -> bool:
        """Return whether the host gets a datagram of the one flow that an end sends."""
        packet = bytes(IP(src=self.far.v4, dst=self.near.v4) / UDP(sport=SENDER, dport=SYSLOG) / data)
        with end.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            sock.sendto(packet, (self.near.v4, 0))
        try:
            return self.receiver.recv(100) == data
        except TimeoutError:
            return False

    def reply(self) -> None:
        """Answer the flow."""
        self.receiver.sendto(b"heard", (self.far.v4, SENDER))


@pytest.fixture(params=["eth1", "cali1"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        spaces = [stack.enter_context(Namespace()) for _ in range(3)]
        made = Site(spaces, request.param, tmp_path)
        stack.enter_context(made.daemon)
        stack.enter_context(made.receiver)
        yield made


def test_nobody_gets_in_by_another_interface_on_a_flow_that_has_no_reply(site: Site) -> None:
    logs = {"action": "Allow", "protocol": "UDP", "destination": {"ports": [SYSLOG]}}
    allowing = policy("logs", "eth0", ingress=[logs], egress=[{"action": "Allow"}])
    endpoints = [endpoint(name) for name in ("eth0", site.other.interface) if name != "cali1"]
    site.daemon.write(documents(*endpoints, allowing))
    site.daemon.start()

    assert not site.hears(site.spoofer, b"before")
    for number in range(3):
        assert site.hears(site.far, b"%d" % number)
        assert not site.hears(site.spoofer, b"behind %d" % number)

    # Behind a reply the connection is established, and its packets pass wherever they come by, as in Calico.
    site.reply()
    assert site.hears(site.far, b"established")
    assert site.hears(site.spoofer, b"as well")
