"""What is asked about: a packet's fields and where the host sees it.

Owns the vocabulary of directions, stages, connection states and protocols.
Values made per packet are NamedTuples of ints: a frozen dataclass costs three
times as much to make.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

ICMP, TCP, UDP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 58, 132, 136

PROTOCOL_NUMBERS = {
    "TCP": TCP,
    "UDP": UDP,
    "ICMP": ICMP,
    "ICMPv6": ICMPV6,
    "SCTP": SCTP,
    "UDPLite": UDPLITE,
}
"""Calico's protocol names, exact case, as rules spell them."""

PROTOCOL_NAMES = {number: name for name, number in PROTOCOL_NUMBERS.items()}

PORT_PROTOCOLS = frozenset({TCP, UDP, SCTP})
"""Protocols a rule with numeric ports may name (Calico: ports need one of these)."""

ICMP_OF_FAMILY = {4: ICMP, 6: ICMPV6}

NEIGHBOR_DISCOVERY_TYPES = range(133, 138)
"""ICMPv6 router/neighbor solicitation/advertisement and redirect (RFC 4861 section 4)."""

ABSENT = -1
"""Stands for a port or ICMP field that the packet does not have."""


class Direction(StrEnum):
    """How a packet crosses the host."""

    IN = "in"
    OUT = "out"
    FORWARD = "forward"


class Side(StrEnum):
    """Which list of a policy's rules is asked: a policy's direction."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Stage(StrEnum):
    """Where in the packet's path a policy is enforced, in path order."""

    UNTRACKED = "untracked"
    PRE_DNAT = "pre-dnat"
    NORMAL = "normal"
    FORWARD = "forward"


class Gate(NamedTuple):
    """A place in the packet's path where the kernel asks, and what it knows of the packet there."""

    stage: Stage
    """NORMAL stands for a workload's packets to its host too."""
    direction: Direction
    """IN at the stages before DNAT, also for packets that will be forwarded."""
    before_nat: bool = False
    """Valid for FORWARD: untracked or pre-DNAT policy allowed the packet already."""


class CtState(StrEnum):
    """Connection tracking's opinion of a packet."""

    NEW = "new"
    ESTABLISHED = "established"
    RELATED = "related"
    INVALID = "invalid"
    UNTRACKED = "untracked"


class Packet(NamedTuple):
    """The fields rules can match. Ports and ICMP fields are ABSENT where there are none."""

    family: int
    """4 or 6."""
    protocol: int
    """IP protocol number; of the upper layer behind IPv6 extension headers."""
    src: int
    dst: int
    sport: int = ABSENT
    dport: int = ABSENT
    icmp_type: int = ABSENT
    icmp_code: int = ABSENT


class Flow(NamedTuple):
    """A packet at a place in the host: everything a decision depends on."""

    direction: Direction
    packet: Packet
    in_interface: str | None = None
    """Valid for IN and FORWARD."""
    out_interface: str | None = None
    """Valid for OUT and FORWARD."""
    ct_state: CtState = CtState.NEW
    original_dst: int | None = None
    """Destination before DNAT; None: as in the packet."""
    original_dport: int | None = None
    """Destination port before DNAT; None: as in the packet."""
