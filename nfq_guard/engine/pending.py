"""What staged policies would have said of a packet, counted beside what is enforced.

Owns the comparison of the two at one place, and at several that a packet passes one after
the other. Must never change a decision: it adds counters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.engine.chain import Match
from nfq_guard.model.decision import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nfq_guard.engine.chain import Chain
    from nfq_guard.engine.ruleset import Pending
    from nfq_guard.model.flow import Packet


class Asked(NamedTuple):
    """One endpoint's policy at one place: as it is, and as it would be."""

    chain: Chain | None
    """None: nothing is enforced there."""
    pending: Pending | None
    """None: staged policies change nothing there."""


def beside(match: Match | None, pending: Pending, packet: Packet) -> Match | None:
    """Return what is enforced at a place (None: nothing), with what staged policies would have done.

    What is let by ahead of policy is not put to them.
    """
    if pending.chain.spares(packet):
        return match
    enforced = Match(None) if match is None else match
    return enforced._replace(counters=enforced.counters + _tried(pending, enforced, packet).counters)


def tried_on_the_way(places: Iterable[Asked], packet: Packet) -> tuple[int, ...]:
    """Return what to count of staged policies at places one behind the other.

    Up to the first that would deny, were they live: what is enforced may end earlier, or go on.
    """
    counters: tuple[int, ...] = ()
    for chain, pending in places:
        would = Match(None) if chain is None else chain.classify(packet)
        if pending is not None:
            would = _tried(pending, would, packet)
            counters += would.counters
        if _verdict(would) is Verdict.DENY:
            break
    return counters


def _tried(pending: Pending, enforced: Match, packet: Packet) -> Match:
    """Return what would be said, counting each staged line that was met and how it compares."""
    would = pending.chain.classify(packet)
    outcome = pending.outcomes[_verdict(enforced), _verdict(would)]
    return Match(would.decision, (*would.counters, outcome))


def _verdict(match: Match) -> Verdict | None:
    return None if match.decision is None else match.decision.verdict
