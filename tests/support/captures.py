"""Packets built with scapy, by what they are: raw bytes from the IP header on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import GRE, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Raw

if TYPE_CHECKING:
    from nfq_guard.model.flow import Packet

FRAME = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
"""Both ends named: scapy asks the machine's own network who they are otherwise, and waits for an answer."""

CLIENT4, GUARD4 = "10.0.0.2", "10.0.0.1"
CLIENT6, GUARD6 = "fd00::2", "fd00::1"


def _v4(**fields: Any) -> IP:
    return IP(src=CLIENT4, dst=GUARD4, **fields)


def _v6(**fields: Any) -> IPv6:
    return IPv6(src=CLIENT6, dst=GUARD6, **fields)


_SYN = TCP(sport=40000, dport=443, flags="S")

PACKETS: dict[str, bytes] = {
    name: bytes(packet)
    for name, packet in {
        "a TCP SYN over IPv4": _v4() / _SYN,
        "a TCP SYN with IPv4 options": _v4(options=[IPOption_Router_Alert()]) / _SYN,
        "a UDP datagram over IPv4": _v4() / UDP(sport=5353, dport=53) / Raw(b"query"),
        "an SCTP INIT over IPv4": _v4() / SCTP(sport=40000, dport=9899) / SCTPChunkInit(),
        "an echo request over IPv4": _v4() / ICMP(type=8, code=0),
        "a first fragment over IPv4": _v4(flags="MF") / UDP(sport=1000, dport=2000) / Raw(bytes(16)),
        "a later fragment over IPv4": _v4(proto=17, frag=3) / Raw(bytes(24)),
        "a GRE packet over IPv4": _v4() / GRE() / Raw(bytes(4)),
        "ICMPv6 in IPv4 has no ICMP fields": _v4(proto=58) / Raw(bytes(8)),
        "a TCP SYN over IPv6": _v6() / _SYN,
        "a UDP datagram over IPv6": _v6() / UDP(sport=5353, dport=53) / Raw(b"query"),
        "an echo request over IPv6": _v6() / ICMPv6EchoRequest(),
        "a neighbor solicitation": _v6() / ICMPv6ND_NS(tgt=GUARD6),
        "TCP behind hop-by-hop, routing and destination options": (
            _v6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / _SYN
        ),
        "TCP behind an authentication header": _v6() / AH(nh=6, payloadlen=4, icv=bytes(12)) / _SYN,
        "a first fragment over IPv6": (
            _v6() / IPv6ExtHdrFragment(nh=17, offset=0, m=1) / UDP(sport=1000, dport=2000) / Raw(bytes(16))
        ),
        "a later fragment over IPv6": _v6() / IPv6ExtHdrFragment(nh=17, offset=3, m=0) / Raw(bytes(24)),
        "no next header": _v6(nh=59),
        "ESP ends the walk": _v6() / ESP(spi=1, seq=1, data=bytes(16)),
    }.items()
}


def wire(packet: Packet) -> bytes:
    """Return the beginning of a packet as it stands on the wire."""
    _, protocol, src, dst, sport, dport, icmp_type, icmp_code = packet
    if sport >= 0:
        upper = sport.to_bytes(2) + max(dport, 0).to_bytes(2) + bytes(16)
    else:
        upper = bytes([max(icmp_type, 0), max(icmp_code, 0)]) + bytes(18)
    if packet.family == 6:
        head = b"\x60" + bytes(3) + len(upper).to_bytes(2) + bytes([protocol, 64])
        return head + src.to_bytes(16) + dst.to_bytes(16) + upper
    head = b"\x45\0" + (20 + len(upper)).to_bytes(2) + bytes(4) + bytes([64, protocol]) + bytes(2)
    return head + src.to_bytes(4) + dst.to_bytes(4) + upper
