"""Endpoints: the interfaces that policy is enforced on.

Owns HostEndpoint and its parts. Must never ask whether an interface exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from nfq_guard.resources import names
from nfq_guard.resources.base import Finding, Resource, Strict, duplicates
from nfq_guard.resources.fields import Address, AnyProtocol, Name, PortName, PortNumber, Text, refuse, show

if TYPE_CHECKING:
    from collections.abc import Iterator

WILDCARD = "*"


def _interface(text: str) -> str:
    wrong = names.interface(text) if text not in {"", WILDCARD} else None
    if wrong is not None:
        refuse("bad-name", f'found {show(text)}: {wrong}, or "*" for every interface')
    return text


class EndpointPort(Strict):
    """A name for a port of an endpoint, to be used in rules."""

    name: PortName
    protocol: AnyProtocol
    port: PortNumber

    def findings(self) -> Iterator[Finding]:
        """Check that the protocol has ports."""
        if not self.protocol.has_ports:
            message = f"found {self.protocol.text}, expected a protocol with ports: TCP, UDP or SCTP"
            yield Finding(("protocol",), "bad-protocol", message)


def _node(text: str) -> str:
    if not text:
        refuse("missing-field", "expected the name of the node that has the interface")
    wrong = names.subdomain(text)
    if wrong is not None:
        refuse("bad-name", f"found {show(text)}: {wrong}")
    return text


class HostEndpointSpec(Strict):
    """Which interface of which node."""

    node: Annotated[Text, AfterValidator(_node)]
    interface_name: Annotated[Text, AfterValidator(_interface)] = ""
    expected_ips: tuple[Address, ...] = Field(default=(), alias="expectedIPs")
    profiles: tuple[Name, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    def findings(self) -> Iterator[Finding]:
        """Check that the endpoint can be found, and that sets are sets."""
        if not self.interface_name and not self.expected_ips:
            yield Finding(
                (),
                "missing-field",
                "expected interfaceName, expectedIPs, or both",
                (("interfaceName",), ("expectedIPs",)),
            )
        yield from duplicates("expectedIPs", self.expected_ips)
        yield from duplicates("profiles", self.profiles)


class HostEndpoint(Resource):
    """An interface of a host."""

    spec: HostEndpointSpec
