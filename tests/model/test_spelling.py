"""Packets as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from events import DNS, FRAGMENT, GRE, PING, WEB6

from nfq_guard.model.spelling import ends, protocol_name

if TYPE_CHECKING:
    from nfq_guard.model.flow import Packet


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (DNS, "192.0.2.10:5353 > 192.0.2.53:53"),
        (WEB6, "[2001:db8::7]:40000 > [2001:db8:77::10]:443"),
        (PING, "203.0.113.99 > 192.0.2.10 type 8 code 0"),
        (FRAGMENT, "10.0.0.2 > 10.0.0.1"),
        (GRE, "10.0.0.2 > 10.0.0.1"),
    ],
)
def test_the_ends_of_a_packet(packet: Packet, said: str) -> None:
    assert ends(packet) == said


@pytest.mark.parametrize(("number", "name"), [(6, "TCP"), (58, "ICMPv6"), (47, "47")])
def test_a_protocol_without_a_name_is_its_number(number: int, name: str) -> None:
    assert protocol_name(number) == name
