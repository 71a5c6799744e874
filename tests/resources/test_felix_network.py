"""Settings of routes and tunnels: the two forms of route tables, and how many there may be."""

from __future__ import annotations

from typing import Any

import pytest
from parts import faults, messages

from nfq_guard.resources.felix_network import (
    MAX_ROUTE_TABLES,
    NetworkSettings,
    RouteTableIdRange,
    RouteTableRange,
)


def span(low: int, high: int) -> dict[str, int]:
    return {"min": low, "max": high}


RANGES: dict[tuple[int, int], tuple[bool, bool]] = {
    (1, 1): (True, True),
    (1, 250): (True, True),
    (250, 250): (True, True),
    (1, 251): (False, True),
    (2, 1): (False, False),
    (0, 1): (False, False),
    (-1, -1): (False, False),
    (0xFFFFFFFF, 0xFFFFFFFF): (False, True),
    (1, 0x100000000): (False, False),
}
"""Range to whether it fits the older form, and the newer one."""


@pytest.mark.parametrize("ends", RANGES, ids=str)
def test_a_range_of_tables(ends: tuple[int, int]) -> None:
    found = tuple(faults(model, span(*ends)) for model in (RouteTableRange, RouteTableIdRange))

    assert found == tuple([] if fits else [("", "out-of-range")] for fits in RANGES[ends])


def test_a_range_needs_both_ends() -> None:
    assert faults(RouteTableRange, {"min": 1}) == [("max", "missing")]
    assert faults(RouteTableIdRange, {"max": 1}) == [("min", "missing")]


OLD, NEW = {"routeTableRange": span(1, 250)}, {"routeTableRanges": [span(1, MAX_ROUTE_TABLES)]}

SETTINGS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": ({}, []),
    "the older form": (OLD, []),
    "the newer one, with as many tables as there may be": (NEW, []),
    "no range in the newer one": ({"routeTableRanges": []}, []),
    "both forms": ({**OLD, **NEW}, [("routeTableRange", "conflict")]),
    "both forms, though one is empty": (
        {**OLD, "routeTableRanges": []},
        [("routeTableRange", "conflict")],
    ),
    "a table too many in one range": (
        {"routeTableRanges": [span(1, MAX_ROUTE_TABLES + 1)]},
        [("routeTableRanges", "out-of-range")],
    ),
    "a table too many in all of them": (
        {"routeTableRanges": [span(1, 0x8000), span(0x10000, 0x17FFF)]},
        [("routeTableRanges", "out-of-range")],
    ),
    "both faults": (
        {**OLD, "routeTableRanges": [span(1, MAX_ROUTE_TABLES), span(70_000, 70_000)]},
        [("routeTableRange", "conflict"), ("routeTableRanges", "out-of-range")],
    ),
    "a bad range stands where it is": (
        {"routeTableRanges": [span(1, 2), span(2, 1)]},
        [("routeTableRanges[1]", "out-of-range")],
    ),
    "a source address of the other family": (
        {"deviceRouteSourceAddress": "::1", "deviceRouteSourceAddressIPv6": "10.0.0.1"},
        [("deviceRouteSourceAddress", "bad-address"), ("deviceRouteSourceAddressIPv6", "bad-address")],
    ),
    "abbreviations as Calico spells them": (
        {"vxlanMTUV6": 1400, "vxlanVNI": 4096, "requireMTUFile": True},
        [],
    ),
    "priorities": ({"wireguardRoutingRulePriority": 32_765, "ipv4NormalRoutePriority": 1}, []),
    "a range of ports": ({"natPortRange": "1:65535"}, []),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_of(case: str) -> None:
    fields, expected = SETTINGS[case]

    assert faults(NetworkSettings, fields) == expected


def test_what_is_said_of_too_many_tables_counts_them() -> None:
    (message,) = messages(NetworkSettings, {"routeTableRanges": [span(1, 65_535), span(70_000, 70_001)]})

    assert message == "the ranges have 65537 tables, at most 65535 are allowed"
