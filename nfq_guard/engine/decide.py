"""A flow's way through the host, stage by stage, to its decision.

Owns the order of the steps and the skips between them; what a chain says is the
chain's business. Mirrors what the kernel table does ahead of the queue (fast path,
invalid, failsafes, neighbor discovery), so that `decide` answers for the whole guard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.engine.chain import Match
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import ICMPV6, NEIGHBOR_DISCOVERY_TYPES, CtState, Direction, Side, Stage

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import Failsafe, GuardedEndpoint, Ruleset
    from nfq_guard.model.flow import Flow, Packet

UNMANAGED = Match(Decision(Verdict.ALLOW, Reason.UNMANAGED))
_FORWARD_DEFAULT = Match(Decision(Verdict.ALLOW, Reason.FORWARD_DEFAULT, Stage.FORWARD))


def decide(ruleset: Ruleset, flow: Flow) -> Decision:
    """Return the decisive step for a flow.

    Directions `in` and `out` are decided by the `normal` stage. Nothing is said yet
    about forwarded traffic: Calico's default for it is to allow.
    """
    decision = judge(ruleset, flow).decision
    assert decision is not None, "the last stage of a path always decides"  # noqa: S101
    return decision


def judge(ruleset: Ruleset, flow: Flow) -> Match:
    """Return the decisive step for a flow with the counters and logs it moves."""
    if flow.direction is Direction.FORWARD:
        return _forwarded(ruleset, flow)
    side = Side.INGRESS if flow.direction is Direction.IN else Side.EGRESS
    interface = flow.in_interface if side is Side.INGRESS else flow.out_interface
    if interface is None:
        raise ValueError(f"a flow with direction {flow.direction} names no interface on that side")
    endpoint = ruleset.endpoint_for(interface)
    if endpoint is None:
        return UNMANAGED
    return _ahead_of_policy(ruleset, flow, endpoint, side) or endpoint.chains[Stage.NORMAL, side].classify(
        flow.packet
    )


def _forwarded(ruleset: Ruleset, flow: Flow) -> Match:
    if flow.in_interface is None or flow.out_interface is None:
        raise ValueError("a forwarded flow needs both interfaces")
    endpoints = (ruleset.endpoint_for(flow.in_interface), ruleset.endpoint_for(flow.out_interface))
    return UNMANAGED if endpoints == (None, None) else _FORWARD_DEFAULT


def _ahead_of_policy(ruleset: Ruleset, flow: Flow, endpoint: GuardedEndpoint, side: Side) -> Match | None:
    """Return what is settled before any policy (Calico felix/rules/endpoints.go order)."""
    verdict = Verdict.ALLOW
    if flow.ct_state in {CtState.ESTABLISHED, CtState.RELATED}:
        reason = Reason.ESTABLISHED
    elif flow.ct_state is CtState.INVALID and ruleset.options.drop_invalid:
        verdict, reason = Verdict.DENY, Reason.INVALID
    elif is_failsafe(ruleset, flow.packet, side):
        reason = Reason.FAILSAFE
    elif ruleset.options.allow_neighbor_discovery and is_neighbor_discovery(flow.packet):
        reason = Reason.NEIGHBOR_DISCOVERY
    else:
        return None
    return Match(Decision(verdict, reason, Stage.NORMAL, side, endpoint.name))


def is_failsafe(ruleset: Ruleset, packet: Packet, side: Side) -> bool:
    """Return whether a packet goes to a failsafe port (calico-semantics 3.6)."""
    if side is Side.INGRESS:
        return any(_hits(failsafe, packet, packet.src) for failsafe in ruleset.failsafe_inbound)
    return any(_hits(failsafe, packet, packet.dst) for failsafe in ruleset.failsafe_outbound)


def _hits(failsafe: Failsafe, packet: Packet, peer: int) -> bool:
    if failsafe.port != packet.dport or failsafe.protocol != packet.protocol:
        return False
    net = failsafe.net
    return net is None or (net.family == packet.family and net.first <= peer <= net.last)


def is_neighbor_discovery(packet: Packet) -> bool:
    """Return whether a packet is IPv6 neighbor discovery (RFC 4861 section 4)."""
    return packet.family == 6 and packet.protocol == ICMPV6 and packet.icmp_type in NEIGHBOR_DISCOVERY_TYPES  # noqa: PLR2004 - IPv6
