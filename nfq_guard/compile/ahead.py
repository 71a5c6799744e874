"""What is let by ahead of a host endpoint's policy: failsafe ports and IPv6 neighbor discovery.

Owns their lines at the head of a chain. The kernel accepts the same ahead of the queue,
so that no worker is needed for it; here it is for packets that were queued under the
sets before, and for `decide`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.engine.chain import Criteria, icmp_key, port_key
from nfq_guard.model.addresses import FAMILIES, Intervals
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import ICMPV6, NEIGHBOR_DISCOVERY_TYPES, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nfq_guard.engine.ruleset import Failsafe

_NEIGHBOR_DISCOVERY: Mapping[int, Criteria] = {
    6: Criteria(
        protocol=Intervals(((ICMPV6, ICMPV6),)),
        icmp=Intervals(
            ((icmp_key(NEIGHBOR_DISCOVERY_TYPES[0], 0), icmp_key(NEIGHBOR_DISCOVERY_TYPES[-1], 255)),)
        ),
    )
}


class Ahead(NamedTuple):
    """What a host's endpoints have ahead of their policy."""

    inbound: tuple[Failsafe, ...] = ()
    outbound: tuple[Failsafe, ...] = ()
    neighbor_discovery: bool = True

    def lines(self, stage: Stage, side: Side) -> Iterator[tuple[Reason, Mapping[int, Criteria]]]:
        """Yield why, and what, in evaluation order; nothing for forwarded traffic (calico-semantics 3.6)."""
        if stage is Stage.FORWARD:
            return
        asked, answered = (
            (self.inbound, self.outbound) if side is Side.INGRESS else (self.outbound, self.inbound)
        )
        for failsafe in asked:
            yield Reason.FAILSAFE, _criteria(failsafe, side, is_answer=False)
        if stage is Stage.UNTRACKED:
            # No connection to know an answer by (felix/rules/static.go, raw chains).
            for failsafe in answered:
                yield Reason.FAILSAFE, _criteria(failsafe, side, is_answer=True)
        if self.neighbor_discovery:
            yield Reason.NEIGHBOR_DISCOVERY, _NEIGHBOR_DISCOVERY


@lru_cache(maxsize=1024)
def _criteria(failsafe: Failsafe, side: Side, *, is_answer: bool) -> Mapping[int, Criteria]:
    """Return what a failsafe accepts: a port, and where it names a net, peers in it.

    The same object each time: whoever knows its slices need not look at it again.
    """
    port = Intervals(((port_key(failsafe.port), port_key(failsafe.port)),))
    protocol = Intervals(((failsafe.protocol, failsafe.protocol),))
    net = failsafe.net
    peer = None if net is None else Intervals(((net.first, net.last),))
    criteria = Criteria(
        src=peer if side is Side.INGRESS else None,
        dst=peer if side is Side.EGRESS else None,
        protocol=protocol,
        sport=port if is_answer else None,
        dport=None if is_answer else port,
    )
    return dict.fromkeys(FAMILIES if net is None else (net.family,), criteria)
