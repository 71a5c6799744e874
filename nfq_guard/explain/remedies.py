"""What would have to change about a denied packet, where one field is all.

Owns the trying: a remedy is told only if the engine allows the packet that it makes.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from nfq_guard.engine.decide import decide
from nfq_guard.explain.layout import lines_by_rule
from nfq_guard.explain.steps import Field, Outcome
from nfq_guard.model.addresses import format_address
from nfq_guard.model.decision import Action, Verdict
from nfq_guard.model.flow import ICMP_OF_FAMILY
from nfq_guard.model.spelling import protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nfq_guard.engine.chain import Chain, Criteria, FlatRule
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.explain.steps import PolicyStep, RuleStep, StageStep
    from nfq_guard.model.addresses import Intervals
    from nfq_guard.model.flow import Flow, Packet

_TRIED = 4
"""Values of a field that are tried for one rule: another rule may be ahead of it for some."""
_MOST = 3
_FIELDS = {
    Field.SOURCE: ("src", "the source address"),
    Field.DESTINATION: ("dst", "the destination address"),
    Field.SOURCE_PORT: ("sport", "the source port"),
    Field.DESTINATION_PORT: ("dport", "the destination port"),
    Field.PROTOCOL: ("protocol", "the protocol"),
}
"""What can be changed, and what it is called."""


def remedies(ruleset: Ruleset, flow: Flow, step: StageStep, chain: Chain) -> Iterator[str]:
    """Yield what else than the packet's own value of a field would be allowed, by Allow rules that it nearly fulfils."""
    yield from islice(_found(ruleset, flow, step, chain), _MOST)


def _found(ruleset: Ruleset, flow: Flow, step: StageStep, chain: Chain) -> Iterator[str]:
    lines = lines_by_rule(chain)
    for policy, rule in sorted(_allows(step), key=lambda one: one[1].distance):
        fields = {miss.field for miss in rule.misses}
        if rule.outcome is not Outcome.RULED_OUT or not rule.nearly or not fields <= _FIELDS.keys():
            continue
        if fields == {Field.PROTOCOL} and flow.packet.protocol == ICMP_OF_FAMILY[flow.packet.family]:
            # There is no ICMP of the other family in this one: that is no packet to be tried.
            continue
        title = policy.title
        own = [chain.rules[line] for line in lines[title.kind, title.namespace, title.name, rule.rule]]
        attribute, name = _FIELDS[fields.pop()]
        value = _tried(ruleset, flow, own, attribute)
        if value is not None:
            shown = _shown(attribute, value, flow.packet.family)
            yield f"with {name} {shown}, say, it would be allowed, by {title} rule {rule.rule}"


def _allows(step: StageStep) -> Iterator[tuple[PolicyStep, RuleStep]]:
    everywhere: Sequence[PolicyStep] = (
        *(one for tier in step.tiers for one in tier.policies),
        *step.profiles,
    )
    for policy in everywhere:
        for rule in policy.rules:
            if rule.action is Action.ALLOW:
                yield policy, rule


def _tried(ruleset: Ruleset, flow: Flow, lines: Sequence[FlatRule], attribute: str) -> int | None:
    """Return a value with which a packet would be allowed by the rule of some lines; None: none was found."""
    for line in lines:
        for value in _values(line.criteria, flow.packet, attribute):
            changed = flow._replace(packet=flow.packet._replace(**{attribute: value}))
            # By this very rule: a failsafe, or a rule ahead of it, would be another story.
            by = decide(ruleset, changed)
            if by.verdict is Verdict.ALLOW and by.rule == line.ref:
                return value
    return None


def _shown(attribute: str, value: int, family: int) -> str:
    if attribute == "protocol":
        return protocol_name(value)
    return format_address(family, value) if attribute in {"src", "dst"} else str(value)


def _values(criteria: Mapping[int, Criteria], packet: Packet, attribute: str) -> Sequence[int]:
    one = criteria.get(packet.family)
    intervals: Intervals | None = None if one is None else getattr(one, attribute)
    if intervals is None:
        return ()
    # Ports stand one higher on their axis.
    shift = 1 if attribute in {"sport", "dport"} else 0
    return [low - shift for low, _ in intervals.spans[:_TRIED] if low - shift >= 0]
