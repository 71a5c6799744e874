"""Who is selected, and who has an address."""

from __future__ import annotations

import pytest
from policy import host_endpoint, inventory_of, resource

from nfq_guard.explain.people import People
from nfq_guard.model.addresses import parse_address
from nfq_guard.selector import parse

INVENTORY = inventory_of(
    host_endpoint("db", labels={"role": "db"}, expectedIPs=["10.0.0.7"]),
    host_endpoint("dark", labels={"role": "dark"}, interfaceName="eth9"),
    resource("GlobalNetworkSet", "office", labels={"role": "office"}, nets=["198.51.100.0/24"]),
    {
        "kind": "NetworkSet",
        "metadata": {"name": "lab", "namespace": "shop", "labels": {"role": "lab"}},
        "spec": {"nets": ["192.0.2.0/24"]},
    },
)
PEOPLE = People(INVENTORY)


def notes(selector: str, address: str) -> list[str]:
    return list(PEOPLE.notes(parse(selector), *parse_address(address)))


def test_whom_a_selector_selects_is_told_by_name() -> None:
    assert PEOPLE.whom(parse("role == 'db'")) == 'HostEndpoint(db), by role == "db"'
    assert PEOPLE.whom(parse("role == 'none'")) == 'nobody, by role == "none"'
    assert PEOPLE.whom(parse("all()")).startswith(
        "HostEndpoint(db), HostEndpoint(dark), GlobalNetworkSet(office) and 1 more"
    )
    assert PEOPLE.whom(parse("projectcalico.org/namespace == 'shop'")).startswith("NetworkSet(shop/lab)")


@pytest.mark.parametrize(
    ("selector", "address", "said"),
    [
        (
            "role == 'dark'",
            "203.0.113.9",
            ["HostEndpoint(dark) is selected, but has no expectedIPs: it stands for no address"],
        ),
        ("role == 'db'", "2001:db8::1", ["those selected have no IPv6 address"]),
        (
            "role == 'db'",
            "198.51.100.9",
            [
                "the address is GlobalNetworkSet(office)'s, which is not selected: label role is 'office', role == \"db\" is wanted"
            ],
        ),
        (
            "role == 'ofice'",
            "198.51.100.9",
            [
                (
                    "the address is GlobalNetworkSet(office)'s, which is not selected: "
                    "label role is 'office', role == \"ofice\" is wanted"
                ),
                "role is 'office', and 'ofice' is wanted: is one of them a slip?",
            ],
        ),
        (
            "role == 'ofice'",
            "203.0.113.9",
            ["role is 'office', and 'ofice' is wanted: is one of them a slip?"],
        ),
        ("role == 'db'", "203.0.113.9", []),
    ],
)
def test_what_may_be_behind_an_address_that_is_not_meant(
    selector: str, address: str, said: list[str]
) -> None:
    assert notes(selector, address) == said
