"""Rules of policies and profiles: what a packet must be, and what then happens.

Owns Rule and its parts with both halves of Calico's validation: `findings` are those
that its Go code makes of every rule; `policy_findings` those of the CRD schemas, which
exist for policies but not for Profile (calico-semantics 1.0). Must never evaluate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from nfq_guard.model.addresses import parse_net
from nfq_guard.model.decision import Action
from nfq_guard.model.flow import ICMP as ICMP_NUMBER
from nfq_guard.model.flow import ICMPV6, TCP
from nfq_guard.resources.base import Finding, OmitEmpty, Path, Strict, bad_annotations, duplicates
from nfq_guard.resources.fields import (
    AnyProtocol,
    Cidr,
    Integer,
    IpVersion,
    Name,
    RuleAction,
    RulePort,
    SelectorText,
    Text,
    between,
    icmp_type,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nfq_guard.resources.values import Protocol

MAX_NETS = 256
MAX_PORTS = 50
MAX_HTTP = 20
MAX_SELECTOR = 1024
MAX_HTTP_PATH = 1024

_GLOBAL = "global("
_GLOBAL_ALONE = re.compile(r"[ \t]*global\([ \t]*\)[ \t]*")
_SIDES = ("source", "destination")
_PORT_RULE = "expected TCP, UDP or SCTP"


class ICMP(Strict):
    """ICMP type and code; what is None is not looked at."""

    type: Annotated[int, BeforeValidator(icmp_type), between(0, 254)] | None = None
    code: Annotated[Integer, between(0, 255)] | None = None


class HTTPPath(Strict):
    """An HTTP path, whole or its beginning."""

    exact: Text = ""
    prefix: Text = ""

    def findings(self) -> Iterator[Finding]:
        """Check that one of both is set, and looks like a path."""
        if self.exact and self.prefix:
            yield Finding((), "conflict", "exact and prefix cannot both be set")
            return
        path = self.exact or self.prefix
        if not path:
            yield Finding((), "missing-field", "expected exact or prefix", (("exact",), ("prefix",)))
        elif not path.startswith("/") or any(char in path for char in "? #"):
            field = "exact" if self.exact else "prefix"
            yield Finding(
                (field,),
                "bad-value",
                f"found {show(path)}, expected a path that starts with / without ? or #",
            )


class HTTPMatch(Strict):
    """What an HTTP request must be. No packet shows it, so such a rule never matches here."""

    methods: tuple[Text, ...] = ()
    paths: tuple[HTTPPath, ...] = ()

    def findings(self) -> Iterator[Finding]:
        """Check that no method is there twice."""
        return duplicates("methods", self.methods)


class ServiceMatch(OmitEmpty):
    """A Kubernetes service. There is none on a plain host, so such a rule never matches here."""

    name: Name | None = None
    namespace: Name | None = None


class ServiceAccountMatch(Strict):
    """Kubernetes service accounts. There are none on a plain host."""

    names: tuple[Text, ...] = ()
    selector: SelectorText = ""


class EntityRule(Strict):
    """One side of a rule. All that is given must match; members of a list are alternatives."""

    nets: tuple[Cidr, ...] = ()
    not_nets: tuple[Cidr, ...] = ()
    selector: SelectorText = ""
    not_selector: SelectorText = ""
    namespace_selector: SelectorText = ""
    ports: tuple[RulePort, ...] = ()
    not_ports: tuple[RulePort, ...] = ()
    services: ServiceMatch | None = None
    service_accounts: ServiceAccountMatch | None = None

    def findings(self) -> Iterator[Finding]:
        """Check what Calico checks on every entity rule."""
        text = self.namespace_selector
        if _GLOBAL in text and not _GLOBAL_ALONE.fullmatch(text):
            yield Finding(
                ("namespaceSelector",), "conflict", "global() cannot be combined with other selectors"
            )
        for index, net in enumerate(self.not_nets):
            if parse_net(net).prefix == 0:
                yield Finding(("notNets", index), "conflict", f"excluding {net} leaves no packet to match")

    def policy_findings(self) -> Iterator[Finding]:
        """Check what the CRD schemas of policies add."""
        if _GLOBAL in self.selector:
            yield Finding(("selector",), "conflict", GLOBAL_ONLY)
        if self.services is not None:
            yield from self._service_findings(self.services)
        limits = (("nets", self.nets, MAX_NETS), ("notNets", self.not_nets, MAX_NETS))
        for field, items, most in (
            *limits,
            ("ports", self.ports, MAX_PORTS),
            ("notPorts", self.not_ports, MAX_PORTS),
        ):
            yield from too_many(field, items, most)
        yield from duplicates("nets", self.nets)
        yield from duplicates("notNets", self.not_nets)
        if self.service_accounts is not None:
            for finding in duplicates("names", self.service_accounts.names):
                yield finding._replace(path=("serviceAccounts", *finding.path))
        for field, text in (
            ("selector", self.selector),
            ("notSelector", self.not_selector),
            ("namespaceSelector", self.namespace_selector),
        ):
            yield from too_long(field, text)

    def _service_findings(self, services: ServiceMatch) -> Iterator[Finding]:
        if not services.name:
            yield Finding(
                ("services",), "missing-field", "services needs the name of a service", (("services",),)
            )
        others = (
            ("namespaceSelector", self.namespace_selector),
            ("serviceAccounts", self.service_accounts),
            ("selector", self.selector),
            ("notSelector", self.not_selector),
            ("nets", self.nets),
            ("notNets", self.not_nets),
        )
        for field, value in others:
            if value:
                yield Finding((field,), "conflict", f"{field} cannot stand beside services")


GLOBAL_ONLY = "global() is allowed in the namespaceSelector of a rule's source or destination only"


class RuleMetadata(Strict):
    """Notes on a rule, without effect."""

    annotations: dict[Text, Text] = Field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """Check the annotations' keys and size."""
        return bad_annotations(self.annotations)


class Rule(Strict):
    """One rule. A field that is absent matches everything."""

    action: RuleAction
    ip_version: IpVersion | None = None
    protocol: AnyProtocol | None = None
    not_protocol: AnyProtocol | None = None
    icmp: ICMP | None = None
    not_icmp: ICMP | None = Field(default=None, alias="notICMP")
    source: EntityRule = EntityRule()
    destination: EntityRule = EntityRule()
    http: HTTPMatch | None = None
    metadata: RuleMetadata | None = None

    def sides(self) -> Iterator[tuple[str, EntityRule]]:
        """Return both sides with their field names."""
        return zip(_SIDES, (self.source, self.destination), strict=True)

    def findings(self) -> Iterator[Finding]:
        """Check what Calico checks on every rule, also in profiles."""
        if self.protocol is None or not self.protocol.has_ports:
            yield from self._port_findings()
        yield from self._family_findings()

    def _port_findings(self) -> Iterator[Finding]:
        for side, entity in self.sides():
            for field, ports in (("ports", entity.ports), ("notPorts", entity.not_ports)):
                if self.protocol is not None and ports:
                    message = f"{field} need a protocol with ports: found {self.protocol.text}, {_PORT_RULE}"
                    yield Finding((side, field), "conflict", message, (("protocol",),))
                elif any(port.name is None for port in ports):
                    message = f"{field} with numbers need the rule's protocol: found none, {_PORT_RULE}"
                    yield Finding((side, field), "conflict", message, (("protocol",),))

    def _family_findings(self) -> Iterator[Finding]:
        first: int | None = None
        for path, family in self._families():
            if self.ip_version is not None:
                if family != self.ip_version:
                    message = f"an IPv{family} net in a rule with ipVersion {self.ip_version}"
                    yield Finding(path, "conflict", message)
            elif first is not None and family != first:
                message = f"an IPv{family} net in a rule that also has IPv{first} nets: write one rule for each family"
                yield Finding(path, "conflict", message)
            first = family if first is None else first

    def _families(self) -> Iterator[tuple[Path, int]]:
        for side, entity in self.sides():
            for field, nets in (("nets", entity.nets), ("notNets", entity.not_nets)):
                for index, net in enumerate(nets):
                    yield (side, field, index), parse_net(net).family

    def policy_findings(self) -> Iterator[Finding]:
        """Check what the CRD schemas of policies add."""
        if self.http is not None:
            yield from self._http_findings(self.http)
        yield from self._icmp_findings()
        for side, entity in self.sides():
            for finding in entity.policy_findings():
                yield finding._replace(path=(side, *finding.path))
        if self.destination.services is not None:
            for field, ports in (("ports", self.destination.ports), ("notPorts", self.destination.not_ports)):
                if ports:
                    yield Finding(("destination", field), "conflict", f"{field} cannot stand beside services")

    def _http_findings(self, http: HTTPMatch) -> Iterator[Finding]:
        if self.protocol is not None and self.protocol.number != TCP:
            yield Finding(("protocol",), "conflict", f"an http match needs TCP: found {self.protocol.text}")
        if self.action is not Action.ALLOW:
            yield Finding(
                ("http",), "conflict", f"an http match is for Allow rules only: found {self.action}"
            )
        for field, items in (("methods", http.methods), ("paths", http.paths)):
            for finding in too_many(field, items, MAX_HTTP):
                yield finding._replace(path=("http", *finding.path))
        for index, path in enumerate(http.paths):
            for field, text in (("exact", path.exact), ("prefix", path.prefix)):
                if len(text) > MAX_HTTP_PATH:
                    message = f"the path has {len(text)} characters, at most {MAX_HTTP_PATH} are allowed"
                    yield Finding(("http", "paths", index, field), "too-long", message)

    def _icmp_findings(self) -> Iterator[Finding]:
        protocol = self.protocol
        if self.icmp is not None and (protocol is None or protocol.number not in _ICMP_FAMILY):
            found = "none" if protocol is None else protocol.text
            message = f"icmp needs protocol ICMP or ICMPv6: found {found}"
            yield Finding(("icmp",), "conflict", message, (("protocol",),))
        for field, match in (("icmp", self.icmp), ("notICMP", self.not_icmp)):
            if match is not None and match.code is not None and match.type is None:
                yield Finding(
                    (field, "code"), "conflict", "an ICMP code needs an ICMP type beside it", ((field,),)
                )
        if self.ip_version is not None:
            yield from _icmp_version("protocol", protocol, self.ip_version)
            yield from _icmp_version("notProtocol", self.not_protocol, self.ip_version)


_ICMP_FAMILY = {ICMP_NUMBER: 4, ICMPV6: 6}


def _icmp_version(field: str, protocol: Protocol | None, version: int) -> Iterator[Finding]:
    family = version if protocol is None else _ICMP_FAMILY.get(protocol.number, version)
    if protocol is not None and family != version:
        yield Finding((field,), "conflict", f"{protocol.text} needs ipVersion {family}: found {version}")


class PolicyRule(Rule):
    """A rule of a policy: both halves of the validation."""

    def findings(self) -> Iterator[Finding]:
        """Check both halves."""
        yield from super().findings()
        yield from self.policy_findings()


def too_many(field: str, items: Sequence[object], most: int) -> Iterator[Finding]:
    """Return a finding if a list has more items than the schema allows."""
    if len(items) > most:
        message = f"the list has {len(items)} items, at most {most} are allowed"
        yield Finding((field,), "too-many-items", message)


def too_long(field: str, text: str) -> Iterator[Finding]:
    """Return a finding if a selector has more characters than the schema allows."""
    if len(text) > MAX_SELECTOR:
        message = f"the selector has {len(text)} characters, at most {MAX_SELECTOR} are allowed"
        yield Finding((field,), "too-long", message)


def has_global(text: str) -> bool:
    """Return whether a selector has `global(` in it, which Calico looks for as plain text."""
    return _GLOBAL in text
