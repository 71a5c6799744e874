"""One policy rule to the lines of a chain.

Owns what a rule's fields mean to a packet. A rule is one line unless it has named
ports: those bind address, protocol and port together, so each place where a named
port is becomes a line of its own, and a negated one becomes a line ahead that jumps
over the rule.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple, Protocol, overload

from nfq_guard.engine.chain import PROTOCOLS, Criteria, icmp_key, port_key
from nfq_guard.model.addresses import FAMILIES, LAST_ADDRESS, Intervals, parse_net
from nfq_guard.model.flow import ICMP_OF_FAMILY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nfq_guard.compile.addresses import NamedPort
    from nfq_guard.model.addresses import AddressSet, Net
    from nfq_guard.resources import ICMP, EntityRule, Port, Rule
    from nfq_guard.resources.labels import Wanted
    from nfq_guard.selector import Selector

_LAST_PORT = port_key(65_535)
_LAST_ICMP = icmp_key(255, 255)


class Book(Protocol):
    """Who says what selectors stand for."""

    def wanted(self, entity: EntityRule, namespace: str | None = None) -> Wanted:
        """Return what one side of a rule, of a policy in a namespace, selects by labels."""

    def select(self, selector: Selector) -> AddressSet:
        """Return the addresses of everything a selector selects."""

    def named(self, name: str, selector: Selector | None) -> tuple[NamedPort, ...]:
        """Return where a named port is, among the endpoints a selector selects (None: all)."""


class RuleLines(NamedTuple):
    """The lines of one rule, in order: those that jump over it, then those that match."""

    skips: tuple[Mapping[int, Criteria], ...]
    matches: tuple[Mapping[int, Criteria], ...]


class _Side(NamedTuple):
    """One side of a rule, apart from the family."""

    nets: tuple[Net, ...] = ()
    not_nets: tuple[Net, ...] = ()
    positive: AddressSet | None = None
    negative: AddressSet | None = None
    ports: Intervals | None = None
    """Its numeric ports; None: it has none."""
    allowed: Intervals | None = None
    """What its negated numeric ports leave; None: it has none."""
    places: Sequence[NamedPort | None] = (None,)
    """Where its ports may match; None stands for its numeric ports, or for any port."""
    barred: Sequence[NamedPort] = ()
    """Where its negated named ports are."""

    def address(self, family: int) -> Intervals | None:
        """Return the addresses that it accepts."""
        last = LAST_ADDRESS[family]
        address: Intervals | None = None
        if self.nets:
            address = _of_family(self.nets, family)
        if self.not_nets:
            address = _both(address, _of_family(self.not_nets, family).complement(last))
        if self.positive is not None:
            address = _both(address, self.positive.family(family))
        if self.negative is not None:
            address = _both(address, self.negative.family(family).complement(last))
        return address


_ANYWHERE = _Side()


class _Base(NamedTuple):
    """What every line of a rule accepts in one family, ports left aside."""

    protocol: Intervals | None
    icmp: Intervals | None
    source: Intervals | None
    destination: Intervals | None


def flatten(rule: Rule, book: Book, namespace: str | None = None) -> RuleLines:
    """Return the lines of a rule; at least one, which may accept nothing.

    `namespace` is the policy's own: without a namespaceSelector its rules select there only.
    """
    if _never_matches(rule):
        return RuleLines((), ({},))
    source, destination = (_side(entity, book, namespace) for entity in (rule.source, rule.destination))
    base: dict[int, _Base] = {}
    for family in FAMILIES:
        if _exists(rule, source, destination, family):
            from_address, to_address = source.address(family), destination.address(family)
            # What no address of the family satisfies is said by leaving the family out.
            if not (_is_nothing(from_address) or _is_nothing(to_address)):
                base[family] = _Base(*_base(rule, family), from_address, to_address)
    skips = [
        {family: _skip(barred, family, is_source=is_source) for family in base}
        for side, is_source in ((source, True), (destination, False))
        for barred in side.barred
    ]
    matches = [
        {family: _line(base[family], family, source, src, destination, dst) for family in base}
        for src, dst in product(source.places, destination.places)
    ]
    return RuleLines(tuple(skips), tuple(matches) or ({},))


def _never_matches(rule: Rule) -> bool:
    """Return whether a rule asks for what no host packet can show (said as a warning at load).

    Services and service accounts need Kubernetes objects, HTTP needs a proxy. Matching
    without them would allow more than the rule says.
    """
    sides = (rule.source, rule.destination)
    return rule.http is not None or any(side.services or side.service_accounts for side in sides)


def _exists(rule: Rule, source: _Side, destination: _Side, family: int) -> bool:
    """Return whether a rule exists for packets of a family (Calico felix/rules/policy.go).

    A list of nets that holds none of the family makes the rule vanish, negated or not.
    """
    if rule.ip_version is not None and rule.ip_version != family:
        return False
    lists = (source.nets, source.not_nets, destination.nets, destination.not_nets)
    return all(any(net.family == family for net in nets) for nets in lists if nets)


def _base(rule: Rule, family: int) -> tuple[Intervals | None, Intervals | None]:
    """Return the protocols and the ICMP fields a rule accepts in a family."""
    protocol: Intervals | None = None
    if rule.protocol is not None:
        protocol = _one(rule.protocol.number)
    if rule.not_protocol is not None:
        protocol = _both(protocol, _one(rule.not_protocol.number).complement(PROTOCOLS - 1))
    icmp: Intervals | None = None
    if rule.icmp is not None:
        icmp = _icmp(rule.icmp)
    if rule.not_icmp is not None:
        icmp = _both(icmp, _icmp(rule.not_icmp).complement(_LAST_ICMP))
    if icmp is not None:
        # An ICMP match, negated or not, is made on ICMP packets of the family only.
        protocol = _both(protocol, _one(ICMP_OF_FAMILY[family]))
        icmp = _both(icmp, Intervals(((1, _LAST_ICMP),)))
    return protocol, icmp


def _icmp(match: ICMP) -> Intervals:
    if match.type is None:
        return Intervals(((1, _LAST_ICMP),))
    if match.code is None:
        return Intervals(((icmp_key(match.type, 0), icmp_key(match.type, 255)),))
    return _one(icmp_key(match.type, match.code))


def _side(entity: EntityRule, book: Book, namespace: str | None) -> _Side:
    wanted = book.wanted(entity, namespace)
    if wanted == (None, None) and not (entity.nets or entity.not_nets or entity.ports or entity.not_ports):
        return _ANYWHERE
    positive = wanted.positive
    names = [port.name for port in entity.ports if port.name is not None]
    places: list[NamedPort | None] = [place for name in names for place in book.named(name, positive)]
    if len(names) < len(entity.ports) or not entity.ports:
        places.insert(0, None)
    barred = [
        place
        for port in entity.not_ports
        if port.name is not None
        for place in book.named(port.name, positive)
    ]
    denied = _numeric(entity.not_ports)
    return _Side(
        nets=tuple(map(parse_net, entity.nets)),
        not_nets=tuple(map(parse_net, entity.not_nets)),
        positive=None if positive is None else book.select(positive),
        negative=None if wanted.negative is None else book.select(wanted.negative),
        ports=_numeric(entity.ports),
        allowed=None if denied is None else _with_port(denied.complement(_LAST_PORT)),
        places=places,
        barred=barred,
    )


def _skip(place: NamedPort, family: int, *, is_source: bool) -> Criteria:
    address = place.addresses.family(family)
    port = _one(port_key(place.port))
    if is_source:
        return Criteria(src=address, protocol=_one(place.protocol), sport=port)
    return Criteria(dst=address, protocol=_one(place.protocol), dport=port)


def _line(
    base: _Base,
    family: int,
    source: _Side,
    src: NamedPort | None,
    destination: _Side,
    dst: NamedPort | None,
) -> Criteria:
    protocol, icmp, from_address, to_address = base
    if src is not None:
        protocol, from_address = (
            _both(protocol, _one(src.protocol)),
            _both(from_address, src.addresses.family(family)),
        )
    if dst is not None:
        protocol, to_address = (
            _both(protocol, _one(dst.protocol)),
            _both(to_address, dst.addresses.family(family)),
        )
    return Criteria(from_address, to_address, protocol, _port(source, src), _port(destination, dst), icmp)


def _port(side: _Side, place: NamedPort | None) -> Intervals | None:
    return _both(side.allowed, side.ports if place is None else _one(port_key(place.port)))


def _of_family(nets: Iterable[Net], family: int) -> Intervals:
    return Intervals.of((net.first, net.last) for net in nets if net.family == family)


def _numeric(ports: Iterable[Port]) -> Intervals | None:
    """Return the numeric ports of a list on the port axis, None if it has none."""
    spans = [(port_key(port.low), port_key(port.high)) for port in ports if port.name is None]
    return Intervals.of(spans) if spans else None


def _with_port(ports: Intervals) -> Intervals:
    """Return the ports without the place that stands for `no port`.

    A packet whose ports are not known, a later fragment, matches neither a port nor its
    negation, as in the kernel's port matches.
    """
    return ports.intersect(Intervals(((1, _LAST_PORT),)))


def _is_nothing(intervals: Intervals | None) -> bool:
    return intervals is not None and not intervals.spans


def _one(value: int) -> Intervals:
    return Intervals(((value, value),))


@overload
def _both(one: Intervals, other: Intervals | None) -> Intervals: ...
@overload
def _both(one: Intervals | None, other: Intervals) -> Intervals: ...
@overload
def _both(one: None, other: None) -> None: ...
@overload
def _both(one: Intervals | None, other: Intervals | None) -> Intervals | None: ...
def _both(one: Intervals | None, other: Intervals | None) -> Intervals | None:
    if one is None:
        return other
    return one if other is None else one.intersect(other)
