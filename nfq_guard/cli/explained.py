"""Explanations as text for people, and as JSON objects.

Owns their form: the verdict and its causes on top, then the whole way, rule by rule.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nfq_guard.cli.flows import verdict_object
from nfq_guard.explain.causes import told
from nfq_guard.explain.steps import Outcome
from nfq_guard.model.addresses import format_address
from nfq_guard.model.flow import ABSENT
from nfq_guard.model.spelling import ends, protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nfq_guard.explain.steps import Explanation, PolicyStep, RuleStep, StageStep
    from nfq_guard.explain.survey import Group, Survey
    from nfq_guard.model.addresses import Intervals
    from nfq_guard.model.decision import Decision
    from nfq_guard.model.flow import Flow, Packet
    from nfq_guard.model.problem import Position

MOST_RULES = 40
"""Rules of a policy, policies of a tier, policies not asked, and answers, that are shown without --all."""
WAY = " (shown with --all)"
"""How whoever runs `explain` gets to see what is left out."""
_ONE = {"rules": "rule", "policies": "policy", "answers": "answer"}
_MATCHED = frozenset({Outcome.DECIDED, Outcome.PASSED, Outcome.LOGGED})
_RANGES = 6
_NAMES = {
    "src": "source address",
    "dst": "destination address",
    "sport": "source port",
    "dport": "destination port",
}
_NAMES["icmp"] = "ICMP type and code"


def text_of(
    explanation: Explanation, sentence: str, differs: str = "", *, everything: bool, way: str = WAY
) -> Iterator[str]:
    """Yield the lines of an explanation; `sentence`: its verdict, as `decide` tells it.

    `differs`: how a verdict that was recorded differs from it; empty where none does. `way`: how
    whoever reads it gets to see what is left out.
    """
    yield sentence
    if differs:
        yield f"  differs: {differs}"
    for cause in explanation.causes:
        yield f"  why: {cause}"
    for remedy in explanation.remedies:
        yield f"  change: {remedy}"
    for step in explanation.steps:
        yield ""
        yield from _stage(step, everything=everything, way=way)
    if explanation.bystanders:
        yield ""
        yield "not asked:"
        shown = explanation.bystanders if everything else explanation.bystanders[:MOST_RULES]
        for one in shown:
            would = "" if one.would is None else f" (rule {one.rule} would {one.would} it)"
            yield f"  {one.title} ({_at(one.title.position)}): {one.why}{would}"
        yield from _more(len(explanation.bystanders) - len(shown), "policies", way)


def _stage(step: StageStep, *, everything: bool, way: str) -> Iterator[str]:
    yield f"{step.endpoint}, {step.stage} stage, {step.side}: {packet_text(step.packet)}"
    if step.spared is not None:
        yield f"  let by ahead of policy: {step.spared}"
    for tier in step.tiers:
        order = "last" if tier.order is None else f"order {tier.order:.12g}"
        yield f"  tier {tier.name} ({order})"
        shown = tier.policies if everything else _telling(tier.policies)
        for policy in shown:
            yield from _policy(policy, everything=everything, way=way)
        yield from _more(len(tier.policies) - len(shown), "policies", way, indent="    ")
        yield f"    end of tier: {tier.default_action} [{tier.end}]"
    for profile in step.profiles:
        yield from _policy(profile, everything=everything, way=way)
    if step.decision is None and step.spared is None:
        yield "  no opinion: the next stage is asked"


def _telling(policies: Sequence[PolicyStep]) -> Sequence[PolicyStep]:
    """Return the policies that are shown: of many, those with a rule that matched, or nearly did."""
    if len(policies) <= MOST_RULES:
        return policies
    telling = [policy for policy in policies if any(map(_is_telling, policy.rules))]
    return telling[:MOST_RULES]


def _is_telling(rule: RuleStep) -> bool:
    return rule.outcome in _MATCHED or (rule.outcome is Outcome.RULED_OUT and rule.nearly)


def _policy(policy: PolicyStep, *, everything: bool, way: str) -> Iterator[str]:
    order = "" if policy.order is None else f" order {policy.order:.12g}"
    yield f"    {policy.title}{order}"
    if not policy.rules:
        yield "      no rules in this direction"
    told_of = [rule for rule in policy.rules if everything or rule.outcome is not Outcome.NOT_REACHED]
    shown = told_of if everything else told_of[:MOST_RULES]
    for rule in shown:
        yield f"      rule {rule.rule} {rule.action} {_at(rule.position)} [{rule.outcome}]{_said(rule)}"
    yield from _more(len(policy.rules) - len(shown), "rules", way, indent="      ")


def _said(rule: RuleStep) -> str:
    if rule.outcome is Outcome.LOGGED:
        return f" writes prefix={json.dumps(rule.prefix, ensure_ascii=False)}"
    return f" {told(rule.misses)}" if rule.outcome is Outcome.RULED_OUT and rule.misses else ""


def _more(number: int, what: str, way: str, *, indent: str = "  ") -> Iterator[str]:
    if number > 0:
        yield f"{indent}{number} more {_ONE[what] if number == 1 else what}{way}"


def survey_text(found: Survey, fields: Sequence[str], *, everything: bool) -> Iterator[str]:
    """Yield lines that say what a verdict depends on."""
    names = " and ".join(_NAMES[name] for name in fields)
    if not found.matters:
        verdict = found.groups[0].decision.verdict
        yield f"{names} left open: {verdict}, whatever {'it is' if len(fields) == 1 else 'they are'}"
        return
    yield f"{names} left open: it depends on the {' and the '.join(_NAMES[name] for name in found.matters)}"
    shown = found.groups if everything else found.groups[:MOST_RULES]
    for group in shown:
        values = "; ".join(f"{name} {_ranges(name, group)}" for name in found.matters)
        yield f"  {group.decision.verdict}  {_step(group.decision)}: {values}"
    yield from _more(len(found.groups) - len(shown), "answers", WAY)


def _step(decision: Decision) -> str:
    rule = decision.rule
    if rule is not None:
        return f"{rule.kind}({rule.full_name}) rule {rule.rule}"
    return str(decision.reason) + (f" of tier {decision.tier}" if decision.tier else "")


def _ranges(name: str, group: Group) -> str:
    spans = group.values[name].spans
    said = ", ".join(_range(name, low, high, group.example.packet.family) for low, high in spans[:_RANGES])
    return said + (f" and {len(spans) - _RANGES} more" if len(spans) > _RANGES else "")


def _range(name: str, low: int, high: int, family: int) -> str:
    def shown(value: int) -> str:
        if name in {"src", "dst"}:
            return format_address(family, value)
        return "/".join(map(str, divmod(value, 256))) if name == "icmp" else str(value)

    return shown(low) if low == high else f"{shown(low)}-{shown(high)}"


def packet_text(packet: Packet) -> str:
    """Return `TCP 203.0.113.9:40000 > 10.0.0.1:443`."""
    return f"{protocol_name(packet.protocol)} {ends(packet)}"


def _at(position: Position) -> str:
    return f"{position.file}:{position.line}"


def object_of(explanation: Explanation, found: Survey | None, fields: Sequence[str]) -> dict[str, Any]:
    """Return an explanation as a JSON object: the keys of `decide`'s verdict, and the way there."""
    answer: dict[str, Any] = {
        "flow": flow_object(explanation.flow),
        **verdict_object(explanation.decision),
        "causes": explanation.causes,
        "remedies": explanation.remedies,
        "steps": [_stage_object(step) for step in explanation.steps],
        "not_asked": [_plain(one) for one in explanation.bystanders],
    }
    if found is not None:
        answer["open"] = {
            "fields": list(fields),
            "matters": found.matters,
            "groups": [
                {
                    **verdict_object(group.decision),
                    "values": {name: _spans(name, values, group) for name, values in group.values.items()},
                }
                for group in found.groups
            ],
        }
    return answer


def _stage_object(step: StageStep) -> dict[str, Any]:
    found: dict[str, Any] = _plain(step)
    decisions = {"decision": step.decision, "unspared": step.unspared}
    told = {name: None if one is None else verdict_object(one) for name, one in decisions.items()}
    beyond = [verdict_object(one) for one in step.beyond]
    return found | {"packet": packet_text(step.packet), "beyond": beyond} | told


def _spans(name: str, values: Intervals, group: Group) -> list[str]:
    return [_range(name, low, high, group.example.packet.family) for low, high in values.spans]


def flow_object(flow: Flow) -> dict[str, object]:
    """Return a flow as `decide` takes it."""
    packet = flow.packet
    family = packet.family
    found: dict[str, object] = {"direction": flow.direction}
    found |= {"in_interface": flow.in_interface, "out_interface": flow.out_interface}
    found |= {"protocol": protocol_name(packet.protocol), "ct_state": flow.ct_state}
    found |= {"src": format_address(family, packet.src), "dst": format_address(family, packet.dst)}
    numbers = {name: getattr(packet, name) for name in ("sport", "dport", "icmp_type", "icmp_code")}
    found |= {name: value for name, value in numbers.items() if value != ABSENT}
    if flow.original_dst is not None:
        found["original_dst"] = format_address(family, flow.original_dst)
    if flow.original_dport is not None:
        found["original_dport"] = flow.original_dport
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return values of explain/steps.py as JSON values."""
    if hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple | list | frozenset):
        return [_plain(each) for each in value]
    return value
