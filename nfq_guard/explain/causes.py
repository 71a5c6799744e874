"""What made a verdict, in sentences: the decisive step, and what a reader may not expect of it.

Owns which of all that is known is said first. Must never say what the steps do not show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.explain.steps import Absence, Outcome
from nfq_guard.model.decision import Action, Reason, Verdict
from nfq_guard.model.flow import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nfq_guard.explain.steps import Bystander, Miss, PolicyStep, RuleStep, StageStep, TierStep
    from nfq_guard.model.decision import Decision

_NAMED = 3
"""Rules or policies named at a time: those nearest to the verdict that was expected."""
_OPPOSITE = {Verdict.DENY: Verdict.ALLOW, Verdict.ALLOW: Verdict.DENY}
_SHADOWED = {Verdict.DENY: Action.ALLOW, Verdict.ALLOW: Action.DENY}
"""What would have said the opposite."""
_UNDECIDED = frozenset({Reason.TIER_DEFAULT, Reason.NO_MATCH})


def causes(
    decision: Decision, steps: Sequence[StageStep], bystanders: Sequence[Bystander], interface: str
) -> Iterator[str]:
    """Yield sentences about a verdict, the most telling first. `interface`: the one whose policy decided."""
    step = next((step for step in reversed(steps) if step.decision == decision), None)
    absent = _absent(decision, bystanders)
    if step is not None and decision.reason in _UNDECIDED:
        said = tuple(_of_end(decision, step, absent, interface))
        yield from said or _nothing_near(step)
        return
    if step is not None and decision.reason is Reason.FAILSAFE:
        yield from _failsafe(step)
    if step is not None and decision.rule is not None:
        yield from _comes_later(decision, step)
    yield from _not_asked(decision, absent[:_NAMED])
    yield from _more(decision, absent[_NAMED:])


def _of_end(
    decision: Decision, step: StageStep, absent: Sequence[Bystander], interface: str
) -> Iterator[str]:
    """Yield what is behind a denial that no rule pronounced."""
    near = _near(step)
    yield from _only_logged(step)
    yield from _cut_off(decision, step)
    yield from _without_rules(step)
    # What accepts this packet, and is for this endpoint, is nearer than what would accept another packet.
    yield from _not_asked(decision, [one for one in absent[:_NAMED] if one.absence in _OWN])
    yield from _near_misses([one for one in near[:_NAMED] if not one[1].wants_other_port])
    yield from _wildcard(step, interface)
    yield from _not_asked(decision, [one for one in absent[:_NAMED] if one.absence not in _OWN])
    yield from _near_misses([one for one in near[:_NAMED] if one[1].wants_other_port])
    yield from _more(decision, absent[_NAMED:], near[_NAMED:])


def _more(
    decision: Decision, absent: Sequence[Bystander], near: Sequence[tuple[PolicyStep, RuleStep]] = ()
) -> Iterator[str]:
    """Yield how many there are that are not named."""
    if absent:
        who = "1 more policy" if len(absent) == 1 else f"{len(absent)} more policies"
        yield f"{who} would {_OPPOSITE[decision.verdict]} it and {'is' if len(absent) == 1 else 'are'} not asked"
    if near:
        who = "1 more Allow rule is" if len(near) == 1 else f"{len(near)} more Allow rules are"
        yield f"{who} ruled out by one field{'' if len(near) == 1 else ' each'}"


def _failsafe(step: StageStep) -> Iterator[str]:
    setting = "failsafeInboundHostPorts" if step.side is Side.INGRESS else "failsafeOutboundHostPorts"
    yield (
        f"failsafe ports ({setting} of the FelixConfiguration) are accepted ahead of every policy, so that nobody "
        "locks himself out: no policy can deny them, only that setting"
    )
    would = step.unspared
    if would is not None and would.verdict is Verdict.DENY:
        rule = would.rule
        who = f"the end of tier {would.tier}" if would.tier else "the default"
        if rule is not None:
            who = f"{rule.kind}({rule.full_name}) rule {rule.rule} ({rule.file}:{rule.line})"
        yield f"{who} would deny it, and is not asked"


def _only_logged(step: StageStep) -> Iterator[str]:
    for policy, rule in _rules(step):
        if rule.outcome is Outcome.LOGGED:
            yield (
                f"{policy.title} matched, but by a Log rule ({_at(rule)}): Log writes a line and decides nothing"
            )


def _cut_off(decision: Decision, step: StageStep) -> Iterator[str]:
    """Yield the rule of a later tier, or of a profile, that the end of a tier keeps from being asked."""
    *ends, would = step.beyond or (decision,)
    rule = would.rule
    if would.verdict is Verdict.ALLOW and rule is not None:
        too = f" (and behind it {_list([end.tier or '' for end in ends])})" if ends else ""
        yield (
            f"{rule.kind}({rule.full_name}) rule {rule.rule} ({rule.file}:{rule.line}) would allow it, but is never "
            f"reached: tier {decision.tier}{too} ends in Deny, its defaultAction, and has no rule that passes it on "
            "(action Pass)"
        )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _without_rules(step: StageStep) -> Iterator[str]:
    for tier in step.tiers:
        for policy in tier.policies:
            if not policy.rules and tier.end is Outcome.DECIDED:
                where = policy.title.position
                yield (
                    f"{policy.title} applies to {step.side} and has no {step.side} rules ({where.file}:{where.line}): "
                    f"that puts {step.side} under the default action of tier {tier.name}, {tier.default_action}"
                )


def _near(step: StageStep) -> list[tuple[PolicyStep, RuleStep]]:
    """Return the Allow rules that one field alone keeps from allowing, the nearest first."""
    near = [(policy, rule) for policy, rule in _allows(step) if rule.nearly]
    return sorted(near, key=lambda one: one[1].distance)


def _allows(step: StageStep) -> Iterator[tuple[PolicyStep, RuleStep]]:
    """Yield the Allow rules that were asked in vain."""
    for policy, rule in _rules(step):
        if rule.action is Action.ALLOW and rule.outcome is Outcome.RULED_OUT:
            yield policy, rule


def _near_misses(near: Sequence[tuple[PolicyStep, RuleStep]]) -> Iterator[str]:
    for policy, rule in near:
        yield f"{policy.title} rule {rule.rule} ({_at(rule)}) would allow it, but for {told(rule.misses)}"


def _nothing_near(step: StageStep) -> Iterator[str]:
    """Yield what there is to say of a packet that nothing here was made for."""
    policies = sum(len(tier.policies) for tier in step.tiers)
    if not policies and not step.profiles:
        yield (
            f"no policy for {step.side} applies to {step.endpoint} in the {step.stage} stage, and it has no profiles: nobody "
            "allows anything"
        )
        return
    allows = list(_allows(step))
    if not allows:
        yield f"no Allow rule was asked: none of the {policies + len(step.profiles)} policies and profiles asked has one for {step.side} that came to its turn"
        return
    policy, rule = min(allows, key=_amiss)
    many = (
        f"none of the {len(allows)} Allow rules asked is near" if len(allows) > 1 else "no Allow rule is near"
    )
    which = "the nearest" if len(allows) > 1 else "the only one asked"
    who = f"{policy.title} rule {rule.rule} ({_at(rule)})"
    yield f"{many}; {which}, {who}, is ruled out by {told(rule.misses)}"


def _amiss(one: tuple[PolicyStep, RuleStep]) -> tuple[bool, int, tuple[int, bool]]:
    rule = one[1]
    return rule.foreign, len({miss.field for miss in rule.misses}), rule.distance


def told(misses: Sequence[Miss]) -> str:
    """Return what a packet misses of a rule, in words."""
    return "; ".join(_miss(miss) for miss in misses)


def _miss(miss: Miss) -> str:
    notes = f" ({'; '.join(miss.notes)})" if miss.notes else ""
    return f"{miss.path}: found {miss.found}, wanted {miss.wanted}{notes}"


def _wildcard(step: StageStep, interface: str) -> Iterator[str]:
    # Whoever puts an endpoint on all interfaces seldom means loopback, which Calico takes in too.
    if interface == "lo":
        yield (
            f'{step.endpoint} governs lo, the host\'s talk with itself, too: interfaceName "*" takes in every '
            "interface, loopback included, and Calico does the same"
        )


def _comes_later(decision: Decision, step: StageStep) -> Iterator[str]:
    """Yield a rule that would have said the opposite, had it been asked first."""
    wanted = _SHADOWED[decision.verdict]
    assert decision.rule is not None, "asked for rules only"  # noqa: S101
    ahead = decision.rule.tier
    for tier in step.tiers:
        for policy in tier.policies:
            for rule in policy.rules:
                if rule.outcome is not Outcome.NOT_REACHED or not rule.accepts or rule.action is not wanted:
                    continue
                yield (
                    f"{policy.title} rule {rule.rule} ({_at(rule)}) would {_verb(wanted)} it, but comes later: "
                    + _order(step, ahead, decision, tier, policy)
                )
                return


def _order(step: StageStep, ahead: str | None, decision: Decision, tier: TierStep, policy: PolicyStep) -> str:
    before = next((one for one in step.tiers if one.name == ahead), None)
    if before is not None and before.name != tier.name:
        return f"tier {before.name} (order {_number(before.order)}) is asked ahead of tier {tier.name} (order {_number(tier.order)})"
    assert decision.rule is not None, "as above"  # noqa: S101
    if (decision.rule.kind, decision.rule.full_name) == (policy.title.kind, policy.title.full_name):
        return f"in one policy the first rule that matches decides, and rule {decision.rule.rule} stands ahead of it"
    first = next(
        (
            one
            for one in tier.policies
            if (one.title.kind, one.title.full_name) == (decision.rule.kind, decision.rule.full_name)
        ),
        None,
    )
    order = "" if first is None else f" (order {_number(first.order)})"
    return f"{decision.rule.kind}({decision.rule.full_name}){order} is asked ahead of it (order {_number(policy.order)})"


def _number(order: float | None) -> str:
    return "none, which is last" if order is None else f"{order:.12g}"


def _absent(decision: Decision, bystanders: Sequence[Bystander]) -> Sequence[Bystander]:
    """Return the policies that would have said the opposite, and were not asked, the likeliest first."""
    wanted = _OPPOSITE[decision.verdict]
    # Whether a policy that is only tried out would have come ahead of a rule that decided is not known.
    left_out = frozenset({Absence.STAGED}) if decision.rule is not None else frozenset()
    absent = (one for one in bystanders if one.would is wanted and one.absence not in left_out)
    return sorted(absent, key=lambda one: _LIKELY[one.absence])


def _not_asked(decision: Decision, absent: Sequence[Bystander]) -> Iterator[str]:
    for one in absent:
        yield f"{one.title} rule {one.rule} would {_OPPOSITE[decision.verdict]} it, but is not asked: {one.why}"


_LIKELY = {
    Absence.DIRECTION: 0,
    Absence.STAGED: 1,
    Absence.STAGE: 2,
    Absence.SELECTOR: 3,
    Absence.NAMESPACE: 4,
}
"""The nearer to being asked, the likelier it was meant to be."""
_OWN = frozenset({Absence.DIRECTION, Absence.STAGED, Absence.STAGE})
"""It selects the endpoint, and something else keeps it away."""


def _rules(step: StageStep) -> Iterator[tuple[PolicyStep, RuleStep]]:
    for tier in step.tiers:
        for policy in tier.policies:
            for rule in policy.rules:
                yield policy, rule
    for profile in step.profiles:
        for rule in profile.rules:
            yield profile, rule


def _at(rule: RuleStep) -> str:
    return f"{rule.position.file}:{rule.position.line}"


def _verb(action: Action) -> str:
    return str(action).lower()
