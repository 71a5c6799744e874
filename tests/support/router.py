"""A host that forwards: outside and inside peers, DNAT in between, and the real daemon on it.

Owns three joined namespaces and the servers in them. Must never be used for anything
but tests.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from guarded import Daemon, Server, asks_udp, connects, is_denied
from netns import End, Namespace, link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCAL, ENTRY, INNER_ENTRY = 8080, 8000, 8001
"""Servers listen on LOCAL, on the router and inside. The router translates ENTRY to its own
LOCAL, and INNER_ENTRY to the inside's."""

NAT = f"""table inet nat {{
	chain prerouting {{
		type nat hook prerouting priority dstnat;
		iifname "outer0" meta l4proto {{ tcp, udp }} th dport {ENTRY} redirect to :{LOCAL}
		iifname "outer0" ip daddr 10.77.0.1 meta l4proto {{ tcp, udp }} th dport {INNER_ENTRY} dnat ip to 10.78.0.2:{LOCAL}
		iifname "outer0" ip6 daddr fd00:77::1 meta l4proto {{ tcp, udp }} th dport {INNER_ENTRY} dnat ip6 to [fd00:78::2]:{LOCAL}
	}}
}}
"""


def resource(kind: str, name: str, labels: dict[str, str] | None = None, **spec: Any) -> str:
    """Return a resource as text: JSON is YAML."""
    namespaced = {"namespace": "shop"} if kind in {"WorkloadEndpoint", "NetworkPolicy"} else {}
    metadata = {"name": name, "labels": labels or {}, **namespaced}
    body = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}
    return json.dumps(body)


def endpoint(interface: str, name: str = "") -> str:
    """Return a host endpoint labelled with its interface's name, `any` for `*`."""
    label = "any" if interface == "*" else interface
    spec = {"node": "guarded", "interfaceName": interface}
    return resource("HostEndpoint", name or f"on-{label}", {"on": label}, **spec)


def workload(interface: str) -> str:
    """Return a workload endpoint of the guarded node."""
    spec = {"node": "guarded", "orchestrator": "k8s", "workload": "w", "pod": "w", "endpoint": "eth0"}
    spec |= {"interfaceName": interface}
    networks = {"ipNetworks": ["10.79.0.2/32", "fd00:79::2/128"]}
    return resource("WorkloadEndpoint", "guarded-k8s-w-eth0", {"on": interface}, **spec, **networks)


def policy(name: str, on: str, **spec: Any) -> str:
    """Return a global policy for the endpoint with this label."""
    return resource("GlobalNetworkPolicy", name, None, selector=f"on == '{on}'", **spec)


def rule(action: str, *ports: int, source_ports: bool = False) -> dict[str, Any]:
    """Return a rule about TCP, to these ports if any are given."""
    if not ports:
        return {"action": action}
    side = "source" if source_ports else "destination"
    return {"action": action, "protocol": "TCP", side: {"ports": list(ports)}}


class Router:
    """The three namespaces. `outer` and `inner` are the router's own ends."""

    def __init__(self, space: Namespace, outside: Namespace, inside: Namespace, base: Path) -> None:
        self.space = space
        self.outer, self.outside = link(space, outside, names=("outer0", "eth0"), subnet=77)
        self.inner, self.inside = link(space, inside, names=("inner0", "eth0"), subnet=78)
        for family in ("ipv4", "ipv6"):
            space.sysctl(f"net/{family}/conf/all/forwarding", 1)
        for flag, far, near in (("-4", self.outside, self.outer), ("-4", self.inside, self.inner)):
            far.namespace.ip(flag, "route", "add", "default", "via", near.v4)
            far.namespace.ip("-6", "route", "add", "default", "via", near.v6)
        space.nft(NAT)
        self.daemon = Daemon(space, base)
        self.servers = [Server(space, LOCAL), Server(space, 22), Server(inside, LOCAL), Server(inside, 22)]

    def start(self, *texts: str) -> Daemon:
        """Start the guard under these resources."""
        self.daemon.write(*texts)
        return self.daemon.start()

    def change(self, *texts: str) -> None:
        """Replace all resources and wait until they are in force."""
        with self.daemon.change():
            self.daemon.write(*texts)

    def enters(self, port: int, family: int = 4) -> bool:
        """Return whether the outside gets a TCP connection to the router's address."""
        return connects(self.outside, self.outer, port, family)

    def refused(self, port: int, family: int = 4) -> bool:
        """Return whether the outside's connection to the router's address is counted as denied."""
        return is_denied(self.daemon, self.outside, self.outer, port, family)

    def crosses(self, port: int = LOCAL, family: int = 4) -> bool:
        """Return whether the outside gets a TCP connection to the inside's address."""
        return connects(self.outside, self.inside, port, family)

    def stopped(self, port: int = LOCAL, family: int = 4) -> bool:
        """Return whether the outside's connection to the inside's address is counted as denied."""
        return is_denied(self.daemon, self.outside, self.inside, port, family)

    def asks(self, target: End, port: int = LOCAL, family: int = 4) -> bool:
        """Return whether the outside's UDP packet is answered."""
        return asks_udp(self.outside, target, port, family)

    def verdicts(self, least: float = 0, /, **labels: str) -> float:
        """Return how many verdicts were counted under these labels, when it is that many (`Daemon.counts`)."""
        return self.daemon.counts(least, "nfq_guard_verdicts_total", **labels)

    def hits(self, name: str, least: float = 0) -> float:
        """Return how many packets the rules of a policy matched: the router sends some of its own, too."""
        return self.daemon.counts(least, "nfq_guard_policy_verdicts_total", policy=name)

    def connections(self, family: int = 4) -> list[str]:
        """Return the TCP connections that the router tracks, without those to itself."""
        listed = self.space.run("conntrack", "-L", "-p", "tcp", "-f", f"ipv{family}").stdout
        return [line for line in listed.splitlines() if "127.0.0.1" not in line]

    def base_chains(self) -> set[str]:
        """Return the names of the table's chains that hang on hooks."""
        listed = json.loads(self.space.run("nft", "-j", "list", "chains").stdout)["nftables"]
        chains = [entry["chain"] for entry in listed if "chain" in entry]
        return {chain["name"] for chain in chains if chain["table"] == "nfq_guard" and "hook" in chain}


@contextlib.contextmanager
def router(base: Path) -> Iterator[Router]:
    """Yield a router whose guard is not started yet."""
    with Namespace() as space, Namespace() as outside, Namespace() as inside:
        made = Router(space, outside, inside, base)
        with made.daemon:
            yield made
        for server in made.servers:
            server.close()
