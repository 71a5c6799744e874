"""Workload endpoints: the interfaces of containers and virtual machines.

Owns WorkloadEndpoint and its parts. No CRD exists for it, so that only the checks of
Calico's Go code are made (calico-semantics 1.0). Must never ask whether one exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from nfq_guard.model.addresses import Net, parse_address, parse_net
from nfq_guard.resources import names
from nfq_guard.resources.base import Finding, OmitEmpty, Resource, Strict
from nfq_guard.resources.endpoints import WILDCARD
from nfq_guard.resources.fields import (
    MAX_UINT16,
    Address,
    AddressOrCidr,
    AnyProtocol,
    Integer,
    Name,
    PortName,
    PortNumber,
    Text,
    address_of,
    between,
    matching,
    named,
    refuse,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAC = re.compile(
    r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1)*[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.)+[0-9A-Fa-f]{4}"
)
_MAC_DIGITS = frozenset({12, 16, 40})
"""Of Ethernet, EUI-64 and InfiniBand, as Go's net.ParseMAC."""


def _mac(text: str) -> str:
    if not _MAC.fullmatch(text) or sum(char.isalnum() for char in text) not in _MAC_DIGITS:
        refuse("bad-value", f"found {show(text)}, expected a MAC address")
    return text


def _single(text: str) -> str:
    net = parse_net(text, bare=True, host_bits=True)
    if net.first != net.last:
        refuse("bad-net", f"found {show(text)}, expected one address: /32 or /128")
    return text


def _networks(texts: tuple[str, ...]) -> list[Net]:
    return [parse_net(text, bare=True, host_bits=True) for text in texts]


def _address_or_masked_net(text: str) -> str:
    try:
        parse_net(text, bare=True)
    except ValueError:
        refuse("bad-address", f"found {show(text)}, expected an IPv4 or IPv6 address")
    return text


class WorkloadEndpointPort(OmitEmpty):
    """A name for a port of a workload, or a port of the host that leads to it."""

    name: PortName = ""
    protocol: AnyProtocol
    port: PortNumber
    host_port: Annotated[Integer, between(0, MAX_UINT16)] = 0
    host_ip: Annotated[Text, AfterValidator(_address_or_masked_net)] | None = Field(
        default=None, alias="hostIP"
    )

    def findings(self) -> Iterator[Finding]:
        """Check that the protocol has ports, and that the port is good for something."""
        if not self.protocol.has_ports:
            message = f"found {self.protocol.text}, expected a protocol with ports: TCP, UDP or SCTP"
            yield Finding(("protocol",), "bad-protocol", message)
        if not self.name and not self.host_port:
            yield Finding(
                (), "missing-field", "expected a name, a hostPort, or both", (("name",), ("hostPort",))
            )


class IPNAT(Strict):
    """An address of the outside that stands for one of the workload's."""

    internal_ip: Address = Field(alias="internalIP")
    external_ip: Address = Field(alias="externalIP")

    def findings(self) -> Iterator[Finding]:
        """Check that both are of one family."""
        if parse_address(self.internal_ip)[0] != parse_address(self.external_ip)[0]:
            yield Finding(("externalIP",), "conflict", "internalIP and externalIP are of different families")


class WorkloadEndpointSpec(OmitEmpty):
    """Whose interface it is, and what is behind it."""

    orchestrator: Name = ""
    workload: Name = ""
    node: Name = ""
    container_id: Annotated[
        Text, matching(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?", "letters, digits and inner '-'")
    ] = Field(default="", alias="containerID")
    pod: Name = ""
    endpoint: Name = ""
    service_account_name: Name = ""
    ip_networks: tuple[Annotated[AddressOrCidr, AfterValidator(_single)], ...] = ()
    ip_nats: tuple[IPNAT, ...] = Field(default=(), alias="ipNATs")
    ipv4_gateway: Annotated[Text, address_of(4)] = ""
    ipv6_gateway: Annotated[Text, address_of(6)] = ""
    profiles: tuple[Name, ...] = ()
    interface_name: Annotated[Text, named(lambda text: None if text == WILDCARD else names.interface(text))]
    mac: Annotated[Text, AfterValidator(_mac)] = ""
    ports: tuple[WorkloadEndpointPort, ...] = ()
    allow_spoofed_source_prefixes: tuple[AddressOrCidr, ...] = ()
    qos_controls: dict[Text, Any] | None = None

    def findings(self) -> Iterator[Finding]:
        """Check that each NAT leads to an address of the workload."""
        networks = _networks(self.ip_networks)
        for index, nat in enumerate(self.ip_nats):
            inside = parse_net(nat.internal_ip, bare=True)
            if not any(net.family == inside.family and net.first == inside.first for net in networks):
                message = f"{nat.internal_ip} is not among ipNetworks"
                yield Finding(("ipNATs", index, "internalIP"), "conflict", message, (("ipNetworks",),))


_NAMING = (
    *(("spec", field) for field in ("node", "orchestrator", "pod", "containerID", "workload", "endpoint")),
    ("metadata", "name"),
)


class WorkloadEndpoint(Resource):
    """An interface of a workload."""

    spec: WorkloadEndpointSpec

    def findings(self) -> Iterator[Finding]:
        """Check that the name says what the spec says, as far as that is given."""
        spec = self.spec
        workload = {"k8s": spec.pod, "cni": spec.container_id, "libnetwork": "libnetwork"}.get(
            spec.orchestrator, spec.workload
        )
        parts = (spec.node, spec.orchestrator, workload, spec.endpoint)
        expected = "-".join(part.replace("-", "--") for part in parts)
        if all(parts) and self.metadata.name != expected:
            message = f"found {show(self.metadata.name)}, expected {expected}: node, orchestrator, workload, endpoint"
            yield Finding(("metadata", "name"), "bad-name", message, _NAMING)
