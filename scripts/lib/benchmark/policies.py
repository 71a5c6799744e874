"""A policy of N policies in two languages: Calico resources for the guard, nft chains as Calico lays them out.

Owns who may do what, hence which flows there are to try. Pure: text and values out, nothing is read or run.

Policy number i lets its own network set (three nets, one of them a /24 of 10.64.0.0/10) reach its own port over
TCP (rule 0) and UDP (rule 1), and denies that set another port (rule 2). All policies apply to the one host
endpoint, in the order of their numbers.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GUARDED = "10.0.0.1"
"""Address of the guarded eth0."""
SENDER = "10.0.0.2"
CLIENT_NET = ipaddress.IPv4Network("10.64.0.0/10")
"""Everybody who is in some policy's network set."""
CLIENTS = 250
"""Source addresses that send. The same number for every count of policies: what is learned per source is then alike."""
MOST_POLICIES_TRIED = 50
FIRST_PORT, FIRST_DENIED_PORT = 20_000, 40_000
SHIFT = 15_000
"""By how much an edit moves a port: to where no other policy has one that the set of this one may reach."""
MOST_POLICIES = 16_384
NODE = "bench"
_ACCEPT, _PASS = 0x10000, 0x20000
_STRIDE = 5
_OFFICES, _MACHINES = ipaddress.IPv4Address("100.64.0.0"), ipaddress.IPv4Address("198.18.0.0")


class Client(NamedTuple):
    """A source that sends, and the port that its policy lets it reach."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class PolicySet:
    """`count` policies, of which the traffic is to meet some: `spread` evenly over the list, or the `last` alone."""

    count: int
    match: str = "spread"
    sets: int = 0
    """Network sets that the policies share in turn; 0: each has its own."""

    def __post_init__(self) -> None:
        """Refuse what there are no addresses for."""
        if not 1 <= self.count <= MOST_POLICIES:
            raise ValueError(f"policies must number 1-{MOST_POLICIES}, got {self.count}")

    # -- who sends ----------------------------------------------------------------------------------

    @property
    def tried(self) -> tuple[int, ...]:
        """Numbers of the policies that decide about the traffic."""
        if self.match == "last":
            return (self.count - 1,)
        tried = min(self.count, MOST_POLICIES_TRIED)
        return tuple((2 * at + 1) * self.count // (2 * tried) for at in range(tried))

    @property
    def clients(self) -> tuple[Client, ...]:
        """Who sends: as many from each policy's set, one policy after the other in turn."""
        each = CLIENTS // len(self.tried)
        return tuple(
            Client(_host(number, 1 + at), _port(number)) for at in range(each) for number in self.tried
        )

    def clients_of(self, number: int, *, shift: int = 0) -> tuple[Client, ...]:
        """Return the sources of one policy, and the port that they may reach while it is moved by `shift`."""
        return tuple(Client(_host(number, 1 + at), _port(number) + shift) for at in range(CLIENTS))

    def describe(self) -> str:
        """Return, in words, which policies decide."""
        decided = (
            "the last" if self.match == "last" else f"{len(self.tried)} of them, spread evenly over the list"
        )
        return f"{policies(self.count)}: {len(self.clients)} sources, decided by {decided}"

    # -- Calico resources -----------------------------------------------------------------------------

    def documents(self) -> Iterator[str]:
        """Yield each policy with its network set, if it has one of its own, as YAML."""
        for number in range(self.count):
            yield self.document(number)

    def document(self, number: int, *, shift: int = 0) -> str:
        """Return policy `number`; `shift` moves the port that it allows, for an edit that means something."""
        own = self.set_of(number)
        text = _POLICY.format(
            number=number, order=number + 1, own=own, port=_port(number) + shift, denied=_denied(number)
        )
        return (
            text
            if own != number
            else f"{_SET.format(number=number, nets=', '.join(_nets(number)))}---\n{text}"
        )

    def set_of(self, number: int) -> int:
        """Return the number of a policy's network set."""
        return number % self.sets if self.sets else number

    # -- nft --------------------------------------------------------------------------------------------

    def chains(self) -> str:
        """Return the same policy as nft rules in the layout of Calico's nftables mode.

        One chain a policy; an Allow sets the accept bit and returns; the chain over the policies looks at the bits
        before each jump and returns every fifth time (policies with one selector are a group to Calico, and this
        is how it walks a group); behind the tier, what no policy passed on is dropped.
        """
        return "\n".join(_table(self.count)) + "\n"


_SET = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {{name: clients-{number:05}, labels: {{role: clients-{number:05}}}}}
spec:
  nets: [{nets}]
"""

_POLICY = """\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: policy-{number:05}}}
spec:
  order: {order}
  selector: guarded == 'yes'
  types: [Ingress]
  ingress:
  - action: Allow
    protocol: TCP
    source: {{selector: role == 'clients-{own:05}'}}
    destination: {{ports: [{port}]}}
  - action: Allow
    protocol: UDP
    source: {{selector: role == 'clients-{own:05}'}}
    destination: {{ports: [{port}]}}
  - action: Deny
    protocol: TCP
    source: {{selector: role == 'clients-{own:05}'}}
    destination: {{ports: [{denied}]}}
"""

ENDPOINT = f"""\
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {NODE}-eth0, labels: {{guarded: "yes"}}}}
spec: {{node: {NODE}, interfaceName: eth0}}
"""


def policies(count: int) -> str:
    """Return `1 policy`, `2 policies`."""
    return f"{count} polic{'y' if count == 1 else 'ies'}"


def files(documents: Iterable[str], each: int) -> Iterator[str]:
    """Yield the text of files that hold `each` documents."""
    held: list[str] = []
    for document in documents:
        held.append(document)
        if len(held) == each:
            yield "---\n".join(held)
            held = []
    if held:
        yield "---\n".join(held)


def _nets(number: int) -> tuple[str, ...]:
    """Return what network set `number` holds."""
    return (
        f"{CLIENT_NET.network_address + 256 * number}/24",
        f"{_OFFICES + 16 * number}/28",
        f"{_MACHINES + number}/32",
    )


def _host(number: int, at: int) -> str:
    return str(CLIENT_NET.network_address + 256 * number + at)


def _port(number: int) -> int:
    return FIRST_PORT + number


def _denied(number: int) -> int:
    return FIRST_DENIED_PORT + number


def _table(count: int) -> Iterator[str]:
    yield "table ip bench {"
    for number in range(count):
        yield f"set clients-{number:05} {{ type ipv4_addr; flags interval; elements = {{ {', '.join(_nets(number))} }}; }}"
    for number in range(count):
        yield from _policy_chain(number)
    yield "chain failsafe-in {"
    yield from (f"tcp dport {port} counter accept" for port in (22, 179, 2379, 2380, 5473, 6443, 6666, 6667))
    yield "udp dport 68 counter accept"
    yield "}"
    yield "chain group {"
    for number in range(count):
        first = number % _STRIDE == 0
        if first and number:
            yield f"meta mark & {_ACCEPT | _PASS:#x} != 0 counter return"
        guard = "" if first else f"meta mark & {_ACCEPT | _PASS:#x} == 0 "
        yield f"{guard}counter jump policy-{number:05}"
    yield "}"
    yield f"""\
chain from-endpoint-eth0 {{
ct state established,related counter accept
ct state invalid counter drop
counter jump failsafe-in
counter meta mark set meta mark & {~(_ACCEPT | _PASS) & 0xFFFFFFFF:#x}
counter meta mark set meta mark & {~_PASS & 0xFFFFFFFF:#x}
meta mark & {_PASS:#x} == 0 counter jump group
meta mark & {_ACCEPT:#x} == {_ACCEPT:#x} counter return
meta mark & {_PASS:#x} == 0 counter drop
counter drop
}}
chain from-endpoint {{
iifname vmap {{ "eth0" : goto from-endpoint-eth0 }}
}}
chain input {{
type filter hook input priority filter; policy accept;
meta mark & {_ACCEPT:#x} == {_ACCEPT:#x} counter accept
counter meta mark set meta mark & {~(_ACCEPT | _PASS) & 0xFFFFFFFF:#x}
counter jump from-endpoint
meta mark & {_ACCEPT:#x} == {_ACCEPT:#x} counter accept
}}
}}"""


def _policy_chain(number: int) -> Iterator[str]:
    allow = f"counter meta mark set meta mark | {_ACCEPT:#x}"
    done = f"meta mark & {_ACCEPT:#x} == {_ACCEPT:#x} counter return"
    source = f"ip saddr @clients-{number:05}"
    yield f"chain policy-{number:05} {{"
    for protocol in ("tcp", "udp"):
        yield f"meta l4proto {protocol} {source} {protocol} dport {{ {_port(number)} }} {allow}"
        yield done
    yield f"meta l4proto tcp {source} tcp dport {{ {_denied(number)} }} counter drop"
    yield "}"
