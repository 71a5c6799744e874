"""A flow's way through the host, stage by stage, to its decision.

Owns the order of the steps and the skips between them (calico-semantics 3.1, 3.5, 3.7);
what a chain says is the chain's business. Mirrors what the kernel table does ahead of
the queue (fast path, invalid, failsafes, neighbor discovery), so that `decide` answers
for the whole guard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.engine.chain import Match
from nfq_guard.engine.pending import Asked, beside, tried_on_the_way
from nfq_guard.engine.ruleset import HostAction
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import ICMPV6, NEIGHBOR_DISCOVERY_TYPES, CtState, Direction, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeGuard

    from nfq_guard.engine.chain import Chain
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.flow import Flow, Packet

UNMANAGED = Match(Decision(Verdict.ALLOW, Reason.UNMANAGED))
HOST_TO_WORKLOAD = Match(Decision(Verdict.ALLOW, Reason.HOST_TO_WORKLOAD))
NO_OPINION = Match(None)
FORWARD_DEFAULT = Match(Decision(Verdict.ALLOW, Reason.FORWARD_DEFAULT, Stage.FORWARD))

_KNOWN_CONNECTION = frozenset({CtState.ESTABLISHED, CtState.RELATED})
_WORKLOAD_ICMPV6 = frozenset({130, 131, 132, 133, 135, 136})
"""Multicast listener and neighbor discovery, which a workload may always say to its host
(Calico felix/rules/static.go filterWorkloadToHostChain)."""


def decide(ruleset: Ruleset, flow: Flow) -> Decision:
    """Return the decisive step for a flow.

    For a deny the step that denied, for an allow the last that allowed. ValueError if the
    flow lacks an interface that its direction has.
    """
    decision = judge(ruleset, flow).decision
    assert decision is not None, "the last stage of a path always decides"  # noqa: S101
    return decision


def judge(ruleset: Ruleset, flow: Flow) -> Match:
    """Return the decisive step's outcome: as `decide`, with what its chain counts and logs."""
    return _PATHS[flow.direction](ruleset, flow)


def _inbound(ruleset: Ruleset, flow: Flow) -> Match:
    interface = _named(flow.in_interface, flow)
    if ruleset.is_workload(interface):
        return _from_workload(ruleset, flow, interface)
    endpoint = ruleset.endpoint_for(interface)
    if endpoint is None:
        return UNMANAGED
    return (
        _before_nat(ruleset, flow, interface)
        or _by_connection(ruleset, flow, Stage.NORMAL, Side.INGRESS, endpoint.name)
        or at_stage(ruleset, Stage.NORMAL, Side.INGRESS, interface, flow.packet)
        or UNMANAGED
    )


def _outbound(ruleset: Ruleset, flow: Flow) -> Match:
    interface = _named(flow.out_interface, flow)
    if ruleset.is_workload(interface):
        return HOST_TO_WORKLOAD
    endpoint = ruleset.endpoint_for(interface)
    if endpoint is None:
        return UNMANAGED
    return (
        at_stage(ruleset, Stage.UNTRACKED, Side.EGRESS, interface, _as_sent(flow))
        or _by_connection(ruleset, flow, Stage.NORMAL, Side.EGRESS, endpoint.name)
        or at_stage(ruleset, Stage.NORMAL, Side.EGRESS, interface, flow.packet)
        or UNMANAGED
    )


def _from_workload(ruleset: Ruleset, flow: Flow, interface: str) -> Match:
    """Decide a workload's packet to its host: before DNAT `*` may deny it, then its own policy may."""
    before = _before_nat(ruleset, flow, interface)
    if _denies(before):
        return before
    workload = ruleset.workloads.get(interface)
    name = None if workload is None else workload.name
    settled = _by_connection(ruleset, flow, Stage.NORMAL, Side.EGRESS, name)
    if settled is not None:
        return settled
    return workload_to_host(ruleset, interface, flow.packet)


def workload_to_host(ruleset: Ruleset, interface: str, packet: Packet) -> Match:
    """Return what a workload's packet to its host gets, once connection tracking has had its say.

    Its endpoint's policy may deny it; what that allows, and what has none, gets
    defaultEndpointToHostAction.
    """
    workload = ruleset.workloads.get(interface)
    name = None if workload is None else workload.name
    if packet.family == 6 and packet.protocol == ICMPV6 and packet.icmp_type in _WORKLOAD_ICMPV6:  # noqa: PLR2004 - IPv6
        if packet.icmp_type in NEIGHBOR_DISCOVERY_TYPES:
            return Match(Decision(Verdict.ALLOW, Reason.NEIGHBOR_DISCOVERY, Stage.NORMAL, Side.EGRESS, name))
        return Match(Decision(Verdict.ALLOW, Reason.ENDPOINT_TO_HOST, endpoint=name))
    verdict = Verdict.DENY if ruleset.endpoint_to_host is HostAction.DROP else Verdict.ALLOW
    action = Match(Decision(verdict, Reason.ENDPOINT_TO_HOST, endpoint=name))
    chain, pending = _of_workload(ruleset, Side.EGRESS, interface)
    if chain is None:
        return action
    policy = chain.classify(packet)
    if pending is not None:
        policy = beside(policy, pending, packet) or policy
    return policy if _denies(policy) else _both(policy, action)


def _forwarded(ruleset: Ruleset, flow: Flow) -> Match:
    incoming, outgoing = _named(flow.in_interface, flow), _named(flow.out_interface, flow)
    if not (_sees_forwarded(ruleset, incoming) or _sees_forwarded(ruleset, outgoing)):
        return UNMANAGED
    before = _before_nat(ruleset, flow, incoming)
    if _denies(before):
        return before
    if before is None or _stage_of(before) is not Stage.UNTRACKED:
        # What untracked policy allowed has no connection that could be known or invalid.
        settled = _by_connection(ruleset, flow, Stage.FORWARD, None, None)
        if settled is not None and (not _denies(settled) or asks_forwarded(ruleset, incoming, outgoing)):
            return settled
    match = forward_policy(ruleset, incoming, outgoing, flow.packet, before_nat=before is not None)
    return before if before is not None and match.decision is FORWARD_DEFAULT.decision else match


def asks_forwarded(ruleset: Ruleset, incoming: str, outgoing: str) -> bool:
    """Return whether any policy looks at what is forwarded from one interface to another."""
    return (
        incoming in ruleset.workloads
        or outgoing in ruleset.workloads
        or ruleset.chain_for(Stage.FORWARD, Side.INGRESS, incoming) is not None
        or ruleset.chain_for(Stage.FORWARD, Side.EGRESS, outgoing) is not None
    )


def forward_policy(
    ruleset: Ruleset, incoming: str, outgoing: str, packet: Packet, *, before_nat: bool
) -> Match:
    """Return what policy says of a forwarded packet, past the stages before NAT and its connection."""
    places = tuple(_crossed(ruleset, incoming, outgoing, before_nat=before_nat))
    said = along(chain.classify(packet) for chain, _ in places if chain is not None)
    if ruleset.staged_policies:
        return said._replace(counters=said.counters + tried_on_the_way(places, packet))
    return said


def forward_chains(ruleset: Ruleset, incoming: str, outgoing: str, *, before_nat: bool) -> tuple[Chain, ...]:
    """Return the chains that a forwarded packet has to pass, in order.

    `before_nat`: policy ahead of NAT allowed it, which spares it the incoming interface's
    (calico-semantics 3.1).
    """
    return tuple(
        chain
        for chain, _ in _crossed(ruleset, incoming, outgoing, before_nat=before_nat)
        if chain is not None
    )


def along(matches: Iterable[Match]) -> Match:
    """Return the outcome of a forwarded packet's steps: the first that denies decides, else the last that allows."""
    said = FORWARD_DEFAULT
    for match in matches:
        said = _both(said, match)
        if _denies(match):
            break
    return said


def _crossed(ruleset: Ruleset, incoming: str, outgoing: str, *, before_nat: bool) -> Iterator[Asked]:
    """Yield the policy that a forwarded packet passes, in order."""
    if not before_nat:
        yield _of_host(ruleset, Stage.FORWARD, Side.INGRESS, incoming)
    yield _of_workload(ruleset, Side.EGRESS, incoming)
    yield _of_workload(ruleset, Side.INGRESS, outgoing)
    yield _of_host(ruleset, Stage.FORWARD, Side.EGRESS, outgoing)


def _of_host(ruleset: Ruleset, stage: Stage, side: Side, interface: str) -> Asked:
    found = ruleset.chain_for(stage, side, interface)
    pending = ruleset.pending_for(stage, side, interface) if ruleset.staged_policies else None
    return Asked(None if found is None else found[1], pending)


def _of_workload(ruleset: Ruleset, side: Side, interface: str) -> Asked:
    workload = ruleset.workloads.get(interface)
    if workload is None:
        return Asked(None, None)
    return Asked(workload.chains[Stage.NORMAL, side], workload.pending.get((Stage.NORMAL, side)))


def _both(first: Match, second: Match) -> Match:
    """Return two steps as one: the later decision, and what both count and log."""
    last = first if second.decision is None else second
    return last._replace(counters=first.counters + second.counters, logs=first.logs + second.logs)


_PATHS = {Direction.IN: _inbound, Direction.OUT: _outbound, Direction.FORWARD: _forwarded}


def _named(interface: str | None, flow: Flow) -> str:
    if interface is None:
        raise ValueError(f"a flow with direction {flow.direction} needs the name of its interface")
    return interface


def _sees_forwarded(ruleset: Ruleset, interface: str) -> bool:
    return (
        ruleset.own_endpoint(interface) is not None
        or interface in ruleset.workloads
        or ruleset.wildcard is not None
    )


def _denies(match: Match | None) -> TypeGuard[Match]:
    return match is not None and match.decision is not None and match.decision.verdict is Verdict.DENY


def _stage_of(match: Match) -> Stage | None:
    return match.decision and match.decision.stage


def _as_sent(flow: Flow) -> Packet:
    """Return the packet with its destination before DNAT, as the stages ahead of NAT see it."""
    packet = flow.packet
    return packet._replace(
        dst=packet.dst if flow.original_dst is None else flow.original_dst,
        dport=packet.dport if flow.original_dport is None else flow.original_dport,
    )


def _before_nat(ruleset: Ruleset, flow: Flow, interface: str) -> Match | None:
    """Return what untracked or pre-DNAT policy says of a packet that comes in, None for nothing."""
    packet = _as_sent(flow)
    untracked = at_stage(ruleset, Stage.UNTRACKED, Side.INGRESS, interface, packet)
    if untracked is not None:
        return untracked
    found = ruleset.chain_for(Stage.PRE_DNAT, Side.INGRESS, interface)
    if found is None or flow.ct_state in _KNOWN_CONNECTION:
        return None
    return _by_connection(ruleset, flow, Stage.PRE_DNAT, Side.INGRESS, found[0].name) or at_stage(
        ruleset, Stage.PRE_DNAT, Side.INGRESS, interface, packet
    )


def _by_connection(
    ruleset: Ruleset, flow: Flow, stage: Stage, side: Side | None, endpoint: str | None
) -> Match | None:
    """Return what connection tracking settles ahead of any policy (felix/rules/endpoints.go)."""
    if flow.ct_state in _KNOWN_CONNECTION:
        return Match(Decision(Verdict.ALLOW, Reason.ESTABLISHED, stage, side, endpoint))
    if flow.ct_state is CtState.INVALID and ruleset.options.drop_invalid:
        return Match(Decision(Verdict.DENY, Reason.INVALID, stage, side, endpoint))
    return None


def at_stage(ruleset: Ruleset, stage: Stage, side: Side, interface: str, packet: Packet) -> Match | None:
    """Return what a host endpoint's policy decides about a packet in one stage, None for nothing."""
    match = stage_policy(ruleset, stage, side, interface, packet)
    return None if match is None or match.decision is None else match


def stage_policy(ruleset: Ruleset, stage: Stage, side: Side, interface: str, packet: Packet) -> Match | None:
    """Return what a stage other than `forward` makes of a packet: no decision where no rule of it decides.

    None where nobody is asked.
    """
    chain, pending = _of_host(ruleset, stage, side, interface)
    match = None if chain is None else chain.classify(packet)
    return match if pending is None else beside(match, pending, packet)
