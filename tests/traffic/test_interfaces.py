"""Which interfaces are workloads' and which keep their addresses to themselves: Docker's, libvirt's and QEMU's."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from guarded import ROOT, Daemon, Server, address, connect, connects, documents, is_denied, ping
from netns import End, Namespace, link
from router import endpoint, policy, resource, rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.traffic

PORT, SSH = 8080, 22
FAMILIES = (4, 6)
SILENCE = 1.0
"""Seconds in which packets are answered if they are at all: all are sent before the first is waited for."""
PAGE = (
    (ROOT / "docs" / "operations.md")
    .read_text(encoding="utf-8")
    .partition("## Containers and virtual machines")[2]
)
SHOWN = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[0]
"""The configuration that the documentation shows."""
PREFIXES = re.findall(r"interfacePrefix: (\S+)", SHOWN)[0]
NAMES = ("cali1", "docker0", "br-1f2e3d", "virbr0", "vnet3", "tap0")
"""docker0 is a bridge with the workload's link as a port, as Docker makes it."""


class Site:
    """A host with an uplink and a workload behind an interface of each name, its daemon not started."""

    def __init__(self, spaces: list[Namespace], base: Path) -> None:
        self.space, outside, *inside = spaces
        self.uplink, self.peer = link(self.space, outside, subnet=77)
        self.ends: dict[str, tuple[End, End]] = {}
        for subnet, (name, other) in enumerate(zip(NAMES, inside, strict=True), start=80):
            self.ends[name] = link(self.space, other, names=(name, "eth0"), subnet=subnet)
        self._bridge("docker0")
        self.daemon = Daemon(self.space, base)
        self.servers = [Server(space, PORT) for space in spaces if space is not outside]

    def _bridge(self, name: str) -> None:
        near, _ = self.ends[name]
        self.space.ip("link", "set", name, "down")
        self.space.ip("address", "flush", "dev", name)
        self.space.ip("link", "set", name, "name", "veth0")
        self.space.ip("link", "add", name, "type", "bridge")
        self.space.ip("link", "set", "veth0", "master", name, "up")
        self.space.sysctl(f"net/ipv6/conf/{name}/accept_dad", 0)
        self.space.ip("link", "set", name, "up")
        self.space.ip("address", "add", f"{near.v4}/24", "dev", name)
        self.space.ip("-6", "address", "add", f"{near.v6}/64", "dev", name, "nodad")

    def start(self, *texts: str) -> None:
        self.daemon.write(documents(*texts))
        self.daemon.start()

    def change(self, *texts: str) -> None:
        with self.daemon.change():
            self.daemon.write(documents(*texts))

    def reach_host(self) -> set[str]:
        """Return by which interfaces workloads reach their host, in both families alike."""
        return _answered({name: (far, near) for name, (near, far) in self.ends.items()})

    def reached(self) -> set[str]:
        """Return by which interfaces the host reaches workloads, in both families alike."""
        return _answered(self.ends)

    def governed(self) -> dict[str, list[str]]:
        """Return the interfaces that each host endpoint governs."""
        return {each["name"]: each["interfaces"] for each in self.daemon.status()["endpoints"]}


def _answered(ways: Mapping[str, tuple[End, End]]) -> set[str]:
    """Return the ways of which both families' packets are answered; AssertionError if only one's is."""
    asked = {}
    for name, (source, target) in ways.items():
        for family in FAMILIES:
            kind, where = address(target, PORT, family)
            sock = source.namespace.socket(kind, socket.SOCK_DGRAM)
            # The sender of a denied packet may be told so by the kernel that it would leave.
            with contextlib.suppress(PermissionError):
                sock.sendto(b"ping", where)
            asked[name, family] = sock
    until = time.monotonic() + SILENCE
    answers = {place: _hears(sock, until) for place, sock in asked.items()}
    for name in ways:
        assert answers[name, 4] == answers[name, 6], answers
    return {name for name in ways if answers[name, 4]}


def _hears(sock: socket.socket, until: float) -> bool:
    sock.settimeout(max(0.001, until - time.monotonic()))
    with sock, contextlib.suppress(TimeoutError):
        return sock.recv(4) == b"ping"
    return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    spaces = [Namespace() for _ in range(2 + len(NAMES))]
    try:
        made = Site(spaces, tmp_path)
        with made.daemon:
            yield made
        for server in made.servers:
            server.close()
    finally:
        for space in spaces:
            space.close()


def felix(**spec: Any) -> str:
    return resource("FelixConfiguration", "default", **spec)


OTHERS = set(NAMES) - {"cali1"}
NOTHING = policy("nothing", "any", types=["Ingress", "Egress"])
LOOPBACK = documents(
    endpoint("lo"),
    policy("loopback", "lo", types=["Ingress", "Egress"], ingress=[rule("Allow")], egress=[rule("Allow")]),
)
"""The tests read metrics over it."""
ANY = documents(endpoint("*"), NOTHING, LOOPBACK)


def test_interfaces_with_a_listed_prefix_are_workloads_and_get_the_action(site: Site) -> None:
    site.start(ANY)
    assert site.reached() == {"cali1"}
    assert site.reach_host() == set()

    site.change(ANY, felix(interfacePrefix=PREFIXES))
    assert site.reached() == set(NAMES)
    assert site.reach_host() == set()
    counted = site.daemon.counts(len(NAMES), "nfq_guard_verdicts_total", reason="endpoint-to-host")
    assert counted >= len(NAMES)

    site.change(ANY, SHOWN)
    assert site.reach_host() == set(NAMES)
    assert is_denied(site.daemon, site.peer, site.uplink, PORT)
    assert is_denied(site.daemon, site.uplink, site.peer, PORT)


def test_failsafe_ports_do_not_spare_a_workload_the_action(site: Site) -> None:
    near, far = site.ends["docker0"]
    server = Server(site.space, SSH)
    site.start(ANY)
    assert connects(far, near, SSH)

    site.change(ANY, felix(interfacePrefix=PREFIXES))
    with pytest.raises(OSError, match="timed out"):
        connect(far, near, SSH, timeout=1)
    server.close()


def test_the_list_replaces_the_default_one(site: Site) -> None:
    site.start(ANY, felix(interfacePrefix="docker,br-", defaultEndpointToHostAction="Accept"))

    assert site.reach_host() == {"docker0", "br-1f2e3d"}


def test_no_host_endpoint_governs_a_workload_interface_by_name_or_by_address(site: Site) -> None:
    near, _ = site.ends["br-1f2e3d"]
    by_address = resource("HostEndpoint", "by-address", node="guarded", expectedIPs=[near.v4])
    texts = (endpoint("docker0", "by-name"), by_address)
    site.start(*texts)
    assert site.governed() == {"by-name": ["docker0"], "by-address": ["br-1f2e3d"]}
    assert site.reach_host() == OTHERS - {"docker0", "br-1f2e3d"}

    site.change(*texts, felix(interfacePrefix=PREFIXES, defaultEndpointToHostAction="Accept"))
    assert site.governed() == {"by-name": [], "by-address": []}
    assert site.reach_host() == set(NAMES)


def test_a_workload_endpoint_gives_a_listed_interface_policy_of_its_own(site: Site) -> None:
    of_bridge = {"node": "guarded", "orchestrator": "docker", "workload": "web", "endpoint": "eth0"}
    site.start(
        felix(interfacePrefix=PREFIXES, defaultEndpointToHostAction="Accept"),
        resource(
            "WorkloadEndpoint",
            "guarded-docker-web-eth0",
            {"on": "docker0"},
            **of_bridge,
            interfaceName="docker0",
            ipNetworks=["10.81.0.2/32"],
        ),
        policy("web", "docker0", types=["Egress"], egress=[rule("Deny")]),
    )

    assert site.reach_host() == set(NAMES) - {"docker0"}


@pytest.mark.parametrize("excluded", ["kube-ipvs0,docker0", "/^dock/", "br-1f2e3d,/ker/"])
def test_an_excluded_interface_is_matched_by_name_only(site: Site, excluded: str) -> None:
    near, far = site.ends["docker0"]
    by_address = resource("HostEndpoint", "a-by-address", node="guarded", expectedIPs=[near.v4])
    site.start(by_address)
    assert site.governed() == {"a-by-address": ["docker0"]}
    assert not ping(far, near)

    site.change(by_address, felix(interfaceExclude=excluded))
    assert site.governed() == {"a-by-address": []}
    assert ping(far, near)

    by_name = endpoint("docker0", "b-by-name")
    site.change(by_address, by_name, felix(interfaceExclude=excluded))
    assert site.governed() == {"a-by-address": [], "b-by-name": ["docker0"]}
    assert not ping(far, near)


def test_the_wildcard_governs_an_excluded_interface(site: Site) -> None:
    near, far = site.ends["docker0"]
    site.start(ANY, felix(interfaceExclude="docker0"))

    assert not ping(far, near)
