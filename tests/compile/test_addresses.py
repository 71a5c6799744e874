"""What selectors in rules stand for."""

from __future__ import annotations

from typing import Any

import pytest
from policy import host_endpoint, inventory_of, resource

from nfq_guard.compile.addresses import AddressBook, AddressMemory, NamedPort
from nfq_guard.model.addresses import AddressSet, parse_net
from nfq_guard.model.flow import SCTP, TCP, UDP
from nfq_guard.selector import SelectorCache, parse


def port(name: str, protocol: str, number: int) -> dict[str, Any]:
    return {"name": name, "protocol": protocol, "port": number}


WEB, METRICS = port("http", "TCP", 8080), port("metrics", "TCP", 9100)
RESOURCES = (
    host_endpoint("web-a", expectedIPs=["10.0.0.1", "fd00::1"], labels={"role": "web"}, ports=[WEB, METRICS]),
    host_endpoint(
        "web-b",
        node="host-b",
        interfaceName="eth9",
        expectedIPs=["10.0.0.2"],
        labels={"role": "web", "zone": "b"},
        profiles=["base", "rack", "missing"],
        ports=[WEB, port("http", "UDP", 443), port("http", "TCP", 80), port("sync", "SCTP", 7)],
    ),
    host_endpoint("mapped", expectedIPs=["::ffff:10.0.0.3"], labels={"role": "mapped"}),
    host_endpoint("nowhere", labels={"role": "nowhere"}, profiles=["base"], ports=[port("ghost", "TCP", 1)]),
    resource("Profile", "base", labelsToApply={"tier": "front", "rack": "base", "zone": "profile"}),
    resource("Profile", "rack", labelsToApply={"tier": "back", "power": "b"}),
    resource(
        "GlobalNetworkSet",
        "office",
        labels={"site": "office"},
        nets=["192.0.2.7/24", "192.0.2.9", "2001:db8::/64"],
    ),
    resource(
        "GlobalNetworkSet", "halves", labels={"site": "halves"}, nets=["172.16.0.0/13", "172.24.0.0/13"]
    ),
    resource("GlobalNetworkSet", "bare", nets=["198.51.100.0/24"]),
    resource("GlobalNetworkSet", "empty", labels={"site": "empty"}),
)


def book(*resources: dict[str, Any]) -> AddressBook:
    return AddressBook(inventory_of(*(resources or RESOURCES)), SelectorCache(), AddressMemory())


def addresses(*nets: str) -> AddressSet:
    return AddressSet.of(parse_net(net, bare=True) for net in nets)


SELECTED: dict[str, tuple[str, ...]] = {
    "role == 'web'": ("10.0.0.1", "fd00::1", "10.0.0.2"),
    "role == 'web' && has(zone)": ("10.0.0.2",),
    "role == 'mapped'": ("10.0.0.3",),
    "role == 'nowhere'": (),
    "site == 'office'": ("192.0.2.0/24", "2001:db8::/64"),
    "site == 'halves'": ("172.16.0.0/12",),
    "site == 'empty'": (),
    "!has(role) && !has(site)": ("198.51.100.0/24",),
    "tier == 'front'": ("10.0.0.2",),
    "tier == 'back'": (),
    "power == 'b'": ("10.0.0.2",),
    "zone == 'profile'": (),
    "has(projectcalico.org/namespace)": (),
    "nobody == 'x'": (),
}


@pytest.mark.parametrize("selector", SELECTED)
def test_a_selector_stands_for_the_addresses_of_everything_it_selects(selector: str) -> None:
    assert book().select(parse(selector)) == addresses(*SELECTED[selector])


def test_all_is_every_known_address_and_no_other() -> None:
    everything = {net for nets in SELECTED.values() for net in nets}

    assert book().select(parse("all()")) == addresses(*everything)


def test_two_spellings_of_a_selector_are_looked_up_once() -> None:
    known = book()

    assert known.select(parse("role=='web'")) is known.select(parse('(role == "web")'))


def test_an_address_book_of_nothing_gives_nothing() -> None:
    empty = AddressBook(inventory_of(), SelectorCache(), AddressMemory())

    assert empty.select(parse("all()")) == AddressSet()
    assert empty.named("http", None) == ()


NAMED: dict[str, tuple[str, str | None, list[tuple[AddressSet, int, int]]]] = {
    "each number and protocol has the addresses of those that have it so": (
        "http",
        None,
        [
            (addresses("10.0.0.2"), TCP, 80),
            (addresses("10.0.0.1", "10.0.0.2", "fd00::1"), TCP, 8080),
            (addresses("10.0.0.2"), UDP, 443),
        ],
    ),
    "one endpoint": ("metrics", None, [(addresses("10.0.0.1", "fd00::1"), TCP, 9100)]),
    "SCTP": ("sync", None, [(addresses("10.0.0.2"), SCTP, 7)]),
    "among those that a selector selects": (
        "http",
        "!has(zone)",
        [(addresses("10.0.0.1", "fd00::1"), TCP, 8080)],
    ),
    "a selector that selects by inherited labels": (
        "metrics",
        "has(power)",
        [],
    ),
    "no endpoint has it": ("https", None, []),
    "names are compared whole": ("htt", None, []),
}


@pytest.mark.parametrize("case", NAMED)
def test_where_a_named_port_is(case: str) -> None:
    name, selector, expected = NAMED[case]

    found = book().named(name, None if selector is None else parse(selector))

    assert found == tuple(NamedPort(*entry) for entry in expected)


def test_a_named_port_of_an_endpoint_without_addresses_is_nowhere() -> None:
    assert [entry for entry in book().named("ghost", None) if entry.addresses != AddressSet()] == []


def test_a_lookup_with_a_selector_is_not_answered_by_the_one_without() -> None:
    known = book()

    assert len(known.named("http", None)) == 3
    assert len(known.named("http", parse("!has(zone)"))) == 1
    assert len(known.named("http", None)) == 3
