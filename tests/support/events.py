"""Events from a universe small enough that filters meet them, and one of each sort that people see."""

from __future__ import annotations

from typing import Any

from captures import wire
from hypothesis import strategies as st

from nfq_guard.model.addresses import parse_address
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import ICMP, ICMPV6, TCP, UDP, Direction, Packet, Side, Stage
from nfq_guard.packet import UnparsableReason
from nfq_guard.stream.event import Event, Rule
from nfq_guard.stream.pcapng import Capture
from nfq_guard.stream.record import VERDICTS


def packet(src: str, dst: str, protocol: int, *rest: int) -> Packet:
    """Return a packet; `rest`: ports, or type and code for ICMP."""
    family, number = parse_address(src)
    fields: tuple[int, ...] = (-1, -1, *rest) if protocol in {ICMP, ICMPV6} else rest
    return Packet(family, protocol, number, parse_address(dst)[1], *fields)


SSH = packet("198.51.100.7", "192.0.2.10", TCP, 40000, 22)
WEB6 = packet("2001:db8::7", "2001:db8:77::10", TCP, 40000, 443)
DNS = packet("192.0.2.10", "192.0.2.53", UDP, 5353, 53)
PING = packet("203.0.113.99", "192.0.2.10", ICMP, 8, 0)
PING6 = packet("fd00::2", "fd00::1", ICMPV6, 128, 0)
FRAGMENT = packet("10.0.0.2", "10.0.0.1", UDP)
GRE = packet("10.0.0.2", "10.0.0.1", 47)
PACKETS = (SSH, WEB6, DNS, PING, PING6, FRAGMENT, GRE)

ALLOW_SSH = Rule("default", "GlobalNetworkPolicy", "allow-ssh", "0", "ingress", "allow", "rules/ssh.yaml", 14)
LOG_SSH = Rule("default", "GlobalNetworkPolicy", "log-ssh", "0", "ingress", "log", "rules/log.yaml", 12)
SHOP_WEB = Rule("shop", "NetworkPolicy", "shop/allow-web", "2", "egress", "deny", "rules/shop.yaml", 9)
PROFILE = Rule("", "Profile", "open", "1", "egress", "allow", "rules/open.yaml", 3)
END_OF_TIER = Rule("default", "Tier", "default", "default", "ingress", "deny")
DEFAULT = Rule("", "HostEndpoint", "worker-1-eth0", "default", "ingress", "deny")
RULES = (ALLOW_SSH, LOG_SSH, SHOP_WEB, PROFILE, END_OF_TIER, DEFAULT)

_SSH_EVENT = Event(
    time_ns=1_767_225_600_123_456_789,
    queue=4600,
    generation=3,
    verdict="allow",
    reason="policy",
    stage="normal",
    direction="in",
    side="ingress",
    in_interface="eth0",
    out_interface="",
    rule=ALLOW_SSH,
    packet=SSH,
    unparsable="",
    data=wire(SSH),
    length=60,
    rejected=False,
)


def event(**changes: Any) -> Event:
    """Return an allowed SSH connection's first packet, but for these fields; `data` follows `packet`."""
    if changes.get("packet") and "data" not in changes:
        changes["data"] = wire(changes["packet"])
    return _SSH_EVENT._replace(**changes)


def denied(**changes: Any) -> Event:
    """Return a denial at the end of the tier, but for these fields."""
    return event(**{"verdict": "deny", "reason": "tier-default", "rule": END_OF_TIER, **changes})


def logged(**changes: Any) -> Event:
    """Return a Log rule that an SSH connection's first packet met, but for these fields."""
    return event(**{"verdict": "log", "reason": "", "rule": LOG_SSH, **changes})


def capture_of(*events: Event) -> bytes:
    """Return the capture file of these."""
    capture = Capture()
    return b"".join([capture.head(), *(block for one in events for block in capture.blocks(one))])


NAMES = st.sampled_from(["", "eth0", "eth1", "cali1"])
EVENTS = st.builds(
    Event,
    time_ns=st.integers(0, 2**64 - 1),
    queue=st.just(4600),
    generation=st.integers(1, 3),
    verdict=st.sampled_from(VERDICTS),
    reason=st.just("") | st.sampled_from([str(reason) for reason in Reason]),
    stage=st.sampled_from([str(stage) for stage in Stage]),
    direction=st.sampled_from([str(direction) for direction in Direction]),
    side=st.just("") | st.sampled_from([str(side) for side in Side]),
    in_interface=NAMES,
    out_interface=NAMES,
    rule=st.none() | st.sampled_from(RULES),
    packet=st.none() | st.sampled_from(PACKETS),
    unparsable=st.just("") | st.sampled_from([str(reason) for reason in UnparsableReason]),
    data=st.binary(max_size=80),
    length=st.sampled_from([0, 40, 60, 1500]),
    rejected=st.booleans(),
)
