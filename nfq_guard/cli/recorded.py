"""What a guard has said of a packet, beside what the rule files say of it now.

Owns the comparison and its sentence. An explanation is of the files; the verdict may be
of a policy before them, or of another host's facts: that is said, never smoothed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.explain.steps import Outcome
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Direction, Flow, Stage
from nfq_guard.model.printable import printable
from nfq_guard.stream.record import LOG, PASS, UNJUDGED

if TYPE_CHECKING:
    from nfq_guard.explain.steps import Explanation
    from nfq_guard.model.decision import Decision
    from nfq_guard.stream.comments import Comment
    from nfq_guard.stream.event import Event

_AHEAD_OF_NAT = frozenset({Stage.UNTRACKED, Stage.PRE_DNAT})
_OF_RULES = frozenset({Reason.POLICY, Reason.PROFILE})
_WHY = "they have changed since, or are not those of that guard"


class Recorded(NamedTuple):
    """A verdict about one packet at one stage, as the stream tells it. Empty text: nothing is said."""

    verdict: str
    reason: str
    stage: str
    side: str
    tier: str
    kind: str
    """Of what decided; empty where that is not known."""
    name: str
    """Of the policy or profile, with its namespace where it has one."""
    rule: str
    """Index of its rule."""

    @classmethod
    def of_event(cls, event: Event) -> Recorded:
        """Return what an event says."""
        rule = event.rule
        tier, kind, name, index = ("",) * 4 if rule is None else (rule.tier, rule.kind, rule.name, rule.rule)
        return cls(event.verdict, event.reason, event.stage, event.side, tier, kind, name, index)

    @classmethod
    def of_document(cls, document: Any) -> Recorded | None:  # noqa: ANN401 - decoded JSON
        """Return what a line of the stream says, None for a line that is no verdict's."""
        if not isinstance(document, dict):
            return None
        if not all(isinstance(document.get(key), str) for key in ("verdict", "stage")):
            return None
        policy = document.get("policy")
        kind = name = rule = ""
        if isinstance(policy, dict):
            kind, rule = _text(policy.get("kind")), _text(document.get("rule"))
            name = "/".join(filter(None, (_text(policy.get("namespace")), _text(policy.get("name")))))
        verdict, reason, stage, side, tier = (
            _text(document.get(key)) for key in ("verdict", "reason", "stage", "side", "tier")
        )
        return cls(verdict, reason, stage, side, tier, kind, name, rule)

    @classmethod
    def of_comment(cls, comment: Comment) -> Recorded:
        """Return what the comment of a captured packet says."""
        return cls(
            comment.verdict,
            comment.reason,
            comment.stage,
            comment.side,
            comment.tier,
            comment.kind,
            comment.name,
            comment.rule,
        )


def _text(value: object) -> str:
    return "" if value is None else str(value)


def flow_of(event: Event) -> Flow | None:
    """Return the flow that an event is about, None where its packet could not be read."""
    if event.packet is None:
        return None
    direction = Direction(event.direction)
    incoming = event.in_interface if direction is not Direction.OUT else ""
    outgoing = event.out_interface if direction is not Direction.IN else ""
    return Flow(direction, event.packet, incoming or None, outgoing or None)


def difference(recorded: Recorded, explanation: Explanation) -> str:
    """Return a sentence about how a verdict differs from what the files say; empty where it does not."""
    told = _told(recorded)
    if recorded.verdict == LOG:
        met = not recorded.name or _logs(recorded, explanation)
        return (
            ""
            if met
            else printable(f"{told}; by the rules and facts read here it meets no such rule: {_WHY}")
        )
    if recorded.verdict == UNJUDGED or not (recorded.reason or recorded.verdict == PASS):
        return printable(f"{told}, and asked no rule: its fail mode answered, and its log says why")
    decision = _answer(recorded, explanation)
    if _agree(recorded, decision):
        return ""
    said = (
        "leave it to the next stage"
        if decision is None
        else f"say {_said(decision)}{_where(recorded, decision)}"
    )
    return printable(f"{told}; the rules and facts read here {said}: {_WHY}")


def _logs(recorded: Recorded, explanation: Explanation) -> bool:
    """Return whether the packet meets this Log rule."""
    wanted = (recorded.kind, recorded.name, recorded.rule)
    return any(
        (policy.title.kind, policy.title.full_name, str(rule.rule)) == wanted
        for step in explanation.steps
        if recorded.side in {"", step.side}
        for policy in (*(policy for tier in step.tiers for policy in tier.policies), *step.profiles)
        for rule in policy.rules
        if rule.outcome is Outcome.LOGGED
    )


def _told(recorded: Recorded) -> str:
    if recorded.verdict == LOG:
        rule = f"{recorded.kind}({recorded.name}) {recorded.side} rule {recorded.rule}"
        return f"the packet met a Log rule at the guard's {recorded.stage} stage ({rule})"
    head = f"the guard said {recorded.verdict} at its {recorded.stage} stage"
    return f"{head} ({_step(recorded)})" if recorded.reason else head


def _step(recorded: Recorded) -> str:
    if recorded.reason in _OF_RULES and recorded.name:
        return f"{recorded.reason}, {recorded.kind}({recorded.name}) {recorded.side} rule {recorded.rule}"
    if recorded.reason == Reason.TIER_DEFAULT and recorded.tier:
        return f"{recorded.reason} of tier {recorded.tier}"
    return recorded.reason


def _said(decision: Decision) -> str:
    rule = decision.rule
    if rule is not None:
        named = f"{rule.kind}({rule.full_name}) {rule.side} rule {rule.rule}"
        return f"{decision.verdict} ({decision.reason}, {named})"
    of_tier = f" of tier {decision.tier}" if decision.reason is Reason.TIER_DEFAULT else ""
    return f"{decision.verdict} ({decision.reason}{of_tier})"


def _where(recorded: Recorded, decision: Decision) -> str:
    if decision.stage not in _AHEAD_OF_NAT or recorded.stage in _AHEAD_OF_NAT:
        return ""
    return f" at the {decision.stage} stage already (a verdict does not tell the destination ahead of DNAT)"


def _answer(recorded: Recorded, explanation: Explanation) -> Decision | None:
    """Return what the files say where a verdict fell; None: nothing, at a stage that others come behind."""
    if recorded.stage not in _AHEAD_OF_NAT:
        return explanation.decision
    said = (step.decision for step in explanation.steps if step.stage == recorded.stage)
    return next((decision for decision in said if decision is not None), None)


def _agree(recorded: Recorded, decision: Decision | None) -> bool:
    if recorded.verdict == PASS:
        return decision is None or recorded.stage not in _AHEAD_OF_NAT
    if decision is None or recorded.verdict != decision.verdict:
        return False
    if decision.stage in _AHEAD_OF_NAT and recorded.stage not in _AHEAD_OF_NAT:
        # Allowed ahead of NAT, and at the stage behind it nobody has anything against it.
        return recorded.reason == Reason.FORWARD_DEFAULT
    return recorded.reason == decision.reason and _same_step(recorded, decision)


def _same_step(recorded: Recorded, decision: Decision) -> bool:
    if recorded.side and decision.side and recorded.side != decision.side:
        return False
    rule = decision.rule
    if rule is None:
        return not (recorded.tier and decision.tier) or recorded.tier == decision.tier
    # A guard that has forgotten the generation tells no rule: there is nothing to compare.
    known = (recorded.kind, recorded.name, recorded.rule)
    return not recorded.name or known == (rule.kind, rule.full_name, str(rule.rule))
