"""What of a rule a packet does not fulfil, in words.

Owns the wording, field by field of the rule. Which packets a rule accepts, compile says; a
packet that the engine lets it accept has nothing to miss here, and one that it does not has
something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.explain.steps import Field, Miss
from nfq_guard.model.addresses import format_address, parse_net
from nfq_guard.model.flow import ABSENT, ICMP_OF_FAMILY, PROTOCOL_NAMES
from nfq_guard.model.spelling import protocol_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from nfq_guard.compile.addresses import AddressBook, NamedPort
    from nfq_guard.explain.people import People
    from nfq_guard.model.flow import Packet
    from nfq_guard.resources import ICMP, EntityRule, Port, Rule
    from nfq_guard.selector import Selector

_LISTED = 4
"""Nets or ports named of a list."""
_ADDRESS = {"source": Field.SOURCE, "destination": Field.DESTINATION}
_PORT = {"source": Field.SOURCE_PORT, "destination": Field.DESTINATION_PORT}
_ICMPS = ("ICMP is IPv4's only, and ICMPv6 IPv6's: who means both writes two rules",)
_UNSEEN = "is not to be seen in a packet on a plain host: the rule matches nothing"


class Criteria:
    """Compares rules with packets, for one inventory."""

    def __init__(self, book: AddressBook, people: People) -> None:
        """Ask this book what selectors stand for, and these people by name."""
        self._book = book
        self._people = people

    def misses(self, rule: Rule, packet: Packet, namespace: str | None) -> tuple[Miss, ...]:
        """Return everything that a rule, of a policy in a namespace, wants and a packet is not."""
        unseen = tuple(_unseen(rule))
        return unseen or tuple(self._misses(rule, packet, namespace))

    def _misses(self, rule: Rule, packet: Packet, namespace: str | None) -> Iterator[Miss]:
        yield from _family(rule, packet)
        yield from _protocol(rule, packet)
        for side, entity in rule.sides():
            yield from self._addresses(side, entity, packet, namespace)
            yield from self._ports(side, entity, packet, namespace)
        yield from _icmp(rule, packet)

    def _addresses(
        self, side: str, entity: EntityRule, packet: Packet, namespace: str | None
    ) -> Iterator[Miss]:
        address = packet.src if side == "source" else packet.dst
        text = format_address(packet.family, address)
        yield from _nets(side, entity, packet.family, address)
        wanted = self._book.wanted(entity, namespace)
        if wanted.positive is not None and not self._selects(wanted.positive, packet.family, address):
            path = f"{side}.{_selector_field(entity)}"
            notes = tuple(self._people.notes(wanted.positive, packet.family, address))
            wants = f"an address of {self._people.whom(wanted.positive)}"
            yield Miss(_ADDRESS[side], path, text, wants, notes)
        if wanted.negative is not None and self._selects(wanted.negative, packet.family, address):
            wants = f"none of {self._people.whom(wanted.negative)}"
            yield Miss(_ADDRESS[side], f"{side}.notSelector", text, wants)

    def _selects(self, selector: Selector, family: int, address: int) -> bool:
        return _among(address, self._book.select(selector).family(family))

    def _ports(self, side: str, entity: EntityRule, packet: Packet, namespace: str | None) -> Iterator[Miss]:
        port = packet.sport if side == "source" else packet.dport
        found = "no port" if port == ABSENT else str(port)
        if entity.ports and not self._is_one_of(side, entity, entity.ports, packet, namespace):
            named = next((each.name for each in entity.ports if each.name is not None), None)
            notes = () if named is None else (self._where(named, entity, namespace),)
            yield Miss(_PORT[side], f"{side}.ports", found, _list(map(str, entity.ports)), notes)
        if not entity.not_ports:
            return
        # A packet whose ports are not known matches neither a number nor its negation.
        numeric = any(each.name is None for each in entity.not_ports)
        if (numeric and port == ABSENT) or self._is_one_of(side, entity, entity.not_ports, packet, namespace):
            wants = f"any but {_list(map(str, entity.not_ports))}"
            yield Miss(_PORT[side], f"{side}.notPorts", found, wants)

    def names_port(self, rule: Rule, packet: Packet, namespace: str | None) -> bool:
        """Return whether a rule lists destination ports, and a packet's is one of them."""
        return any(
            side == "destination" and self._is_one_of(side, entity, entity.ports, packet, namespace)
            for side, entity in rule.sides()
        )

    def _is_one_of(
        self, side: str, entity: EntityRule, ports: Iterable[Port], packet: Packet, namespace: str | None
    ) -> bool:
        port = packet.sport if side == "source" else packet.dport
        address = packet.src if side == "source" else packet.dst
        for wanted in ports:
            if wanted.name is None:
                if wanted.low <= port <= wanted.high:
                    return True
            elif any(
                (place.protocol, place.port) == (packet.protocol, port)
                and _among(address, place.addresses.family(packet.family))
                for place in self._places(wanted.name, entity, namespace)
            ):
                return True
        return False

    def _places(self, name: str, entity: EntityRule, namespace: str | None) -> tuple[NamedPort, ...]:
        return self._book.named(name, self._book.wanted(entity, namespace).positive)

    def _where(self, name: str, entity: EntityRule, namespace: str | None) -> str:
        places = self._places(name, entity, namespace)
        if not places:
            return f"no endpoint that may be meant has a port named {name}"
        said = _list(f"{protocol_name(one.protocol)} {one.port}" for one in places)
        return f"{name} is {said}, at the addresses of the endpoints that name it so"


def _among(address: int, addresses: Container[object]) -> bool:
    return address in addresses


def _unseen(rule: Rule) -> Iterator[Miss]:
    if rule.http is not None:
        yield Miss(Field.PROTOCOL, "http", "a packet", "an HTTP request", (f"http {_UNSEEN}",))
    for side, entity in rule.sides():
        for field, value in (("services", entity.services), ("serviceAccounts", entity.service_accounts)):
            if value:
                yield Miss(
                    _ADDRESS[side], f"{side}.{field}", "an address", "Kubernetes", (f"{field} {_UNSEEN}",)
                )


def _family(rule: Rule, packet: Packet) -> Iterator[Miss]:
    if rule.ip_version is not None and rule.ip_version != packet.family:
        yield Miss(Field.FAMILY, "ipVersion", f"IPv{packet.family}", f"IPv{rule.ip_version}")


def _protocol(rule: Rule, packet: Packet) -> Iterator[Miss]:
    found = protocol_name(packet.protocol)
    if rule.protocol is not None and rule.protocol.number != packet.protocol:
        wanted = rule.protocol.text
        notes = _ICMPS if {found, wanted} == {"ICMP", "ICMPv6"} else ()
        yield Miss(Field.PROTOCOL, "protocol", found, wanted, notes)
    if rule.not_protocol is not None and rule.not_protocol.number == packet.protocol:
        yield Miss(Field.PROTOCOL, "notProtocol", found, f"any but {rule.not_protocol.text}")


def _nets(side: str, entity: EntityRule, family: int, address: int) -> Iterator[Miss]:
    text = format_address(family, address)
    for name, texts in (("nets", entity.nets), ("notNets", entity.not_nets)):
        own = [net for net in map(parse_net, texts) if net.family == family]
        path, negated = f"{side}.{name}", name == "notNets"
        if texts and not own:
            other = f"a rule with IPv{10 - family} nets only is no rule for IPv{family}"
            yield Miss(Field.FAMILY, path, f"IPv{family} address {text}", _list(texts), (other,))
        elif texts and any(net.first <= address <= net.last for net in own) is negated:
            yield Miss(_ADDRESS[side], path, text, f"any but {_list(texts)}" if negated else _list(texts))


def _icmp(rule: Rule, packet: Packet) -> Iterator[Miss]:
    for path, match in (("icmp", rule.icmp), ("notICMP", rule.not_icmp)):
        if match is None:
            continue
        if packet.protocol != ICMP_OF_FAMILY[packet.family]:
            wants = PROTOCOL_NAMES[ICMP_OF_FAMILY[packet.family]]
            yield Miss(Field.PROTOCOL, path, protocol_name(packet.protocol), wants)
        elif packet.icmp_type == ABSENT or _is_icmp(match, packet) is (path == "notICMP"):
            found = (
                "no type"
                if packet.icmp_type == ABSENT
                else f"type {packet.icmp_type} code {packet.icmp_code}"
            )
            wants = ("any but " if path == "notICMP" else "") + _icmp_text(match)
            yield Miss(Field.ICMP, path, found, wants)


def _is_icmp(match: ICMP, packet: Packet) -> bool:
    return match.type in {None, packet.icmp_type} and (
        match.type is None or match.code in {None, packet.icmp_code}
    )


def _icmp_text(match: ICMP) -> str:
    if match.type is None:
        return "any type"
    return f"type {match.type}" + ("" if match.code is None else f" code {match.code}")


def _selector_field(entity: EntityRule) -> str:
    return (
        "selector" if entity.selector else "namespaceSelector" if entity.namespace_selector else "notSelector"
    )


def _list(items: Iterable[str]) -> str:
    texts = list(items)
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more
