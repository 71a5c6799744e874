"""Packets as people write them: `203.0.113.9:40000 > [2001:db8::1]:443`.

Owns the spelling that explanations and the verdict stream share. Must never be read back:
programs get the fields apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.model.addresses import format_address
from nfq_guard.model.flow import ABSENT, PROTOCOL_NAMES

if TYPE_CHECKING:
    from nfq_guard.model.flow import Packet

_IPV6 = 6


def protocol_name(number: int) -> str:
    """Return a protocol's name, or its number where it has none here."""
    return PROTOCOL_NAMES.get(number, str(number))


def ends(packet: Packet) -> str:
    """Return where a packet comes from and goes to, with ports or ICMP type and code where it has them."""
    source = _end(packet.family, packet.src, packet.sport)
    destination = _end(packet.family, packet.dst, packet.dport)
    icmp = "" if packet.icmp_type == ABSENT else f" type {packet.icmp_type} code {packet.icmp_code}"
    return f"{source} > {destination}{icmp}"


def _end(family: int, address: int, port: int) -> str:
    text = format_address(family, address)
    if port == ABSENT:
        return text
    return f"[{text}]:{port}" if family == _IPV6 else f"{text}:{port}"
