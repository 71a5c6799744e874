"""Policies that had no say about a packet, and why.

Owns why a policy is not asked: by whom it selects, in which stage it is enforced, in which
direction. What its rules would have said, a chain of its own says, by the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.compile.policies import stages_of
from nfq_guard.compile.rules import flatten
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.explain.labels import slip, why_not
from nfq_guard.explain.layout import title_of
from nfq_guard.explain.steps import Absence, Bystander
from nfq_guard.model.decision import Action, Decision, Reason, Verdict
from nfq_guard.model.flow import Side, Stage
from nfq_guard.resources.labels import NAMESPACE, applying
from nfq_guard.resources.policies import staged_action

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nfq_guard.explain.layout import Layout
    from nfq_guard.explain.steps import StageStep
    from nfq_guard.model.flow import Packet
    from nfq_guard.resources import Inventory, Located, Rule
    from nfq_guard.resources.policies import AnyPolicy
    from nfq_guard.selector import SelectorCache

    Policy = Located[AnyPolicy]

_SETTLING = {Action.ALLOW: Verdict.ALLOW, Action.DENY: Verdict.DENY}
_FLAGS = {
    Stage.UNTRACKED: "doNotTrack",
    Stage.PRE_DNAT: "preDNAT",
    Stage.FORWARD: "applyOnForward",
}


class Place(NamedTuple):
    """Where policy was asked: one endpoint, in one stage and direction."""

    endpoint: str
    """As messages name it."""
    labels: Mapping[str, str]
    stage: Stage
    side: Side
    packet: Packet


class Bystanders:
    """Finds them, for one inventory."""

    def __init__(self, inventory: Inventory, layout: Layout, selectors: SelectorCache) -> None:
        """Know all policies."""
        self._inventory = inventory
        self._layout = layout
        self._selectors = selectors
        self._chains: dict[tuple[str, str | None, str, Side], Chain] = {}

    def of(self, steps: Sequence[StageStep], place: Place) -> Iterator[Bystander]:
        """Yield every policy that no step asked, with what keeps it away from a place."""
        asked = {
            (policy.title.kind, policy.title.namespace, policy.title.name)
            for step in steps
            for tier in step.tiers
            for policy in tier.policies
        }
        for policy in self._inventory.policies():
            if (policy.kind, policy.namespace, policy.name) not in asked:
                yield self._one(policy, place)

    def _one(self, policy: Policy, place: Place) -> Bystander:
        absence, why = self._why(policy, place)
        rule, verdict = self._would(policy, place)
        return Bystander(title_of(policy), absence, why, verdict, rule)

    def _why(self, policy: Policy, place: Place) -> tuple[Absence, str]:
        obstacle = self._obstacle(policy, place)
        if staged_action(policy.value) is None:
            return obstacle or _other_direction(policy, place)
        staged = "it is staged: tried out, never enforced"
        if obstacle is None and str(place.side).capitalize() not in policy.value.spec.types:
            obstacle = _other_direction(policy, place)
        if obstacle is None:
            return Absence.STAGED, staged
        # Enforcing it would not be enough.
        return obstacle[0], f"{staged}; besides, {obstacle[1]}"

    def _obstacle(self, policy: Policy, place: Place) -> tuple[Absence, str] | None:
        """Return what keeps a policy from a place, in whichever direction; None: nothing does."""
        spec = policy.value.spec
        if policy.namespace is not None and place.labels.get(NAMESPACE.member) != policy.namespace:
            return (
                Absence.NAMESPACE,
                f"it is for the workloads of namespace {policy.namespace}, not for {place.endpoint}",
            )
        selector = applying(spec, self._selectors)
        if not selector.matches(place.labels):
            guess = slip(selector, place.labels)
            said = (
                f"its selector {selector} does not select {place.endpoint}: {why_not(selector, place.labels)}"
            )
            return Absence.SELECTOR, f"{said} ({guess})" if guess else said
        if place.stage not in stages_of(policy.value):
            return Absence.STAGE, _other_stage(policy, place)
        return None

    def _would(self, policy: Policy, place: Place) -> tuple[int | None, Verdict | None]:
        """Return the first rule of a direction that accepts a packet, and its verdict."""
        spec = policy.value.spec
        rules = spec.ingress if place.side is Side.INGRESS else spec.egress
        key = (policy.kind, policy.namespace, policy.name, place.side)
        if key not in self._chains:
            self._chains[key] = self._alone(rules, policy.namespace)
        chain = self._chains[key]
        decision = chain.classify(place.packet).decision
        if decision is None:
            return None, None
        return decision.counter, decision.verdict

    def _alone(self, rules: Sequence[Rule], namespace: str | None) -> Chain:
        """Return a chain of some rules; a decision's counter is the index of the rule."""
        lines: list[FlatRule] = []
        for index, rule in enumerate(rules):
            verdict = _SETTLING.get(rule.action)
            found = flatten(rule, self._layout.book, namespace)
            after = len(lines) + len(found.skips) + len(found.matches)
            if rule.action is Action.LOG:
                continue
            lines.extend(FlatRule(Step.JUMP, criteria, target=after) for criteria in found.skips)
            # Pass settles nothing here: who comes next is not ours to say.
            decision = None if verdict is None else Decision(verdict, Reason.POLICY, counter=index)
            lines.extend(FlatRule(Step.DECIDE, criteria, decision) for criteria in found.matches)
        return Chain([*lines, FlatRule(Step.DECIDE, ANYTHING)])


def _other_direction(policy: Policy, place: Place) -> tuple[Absence, str]:
    spec = policy.value.spec
    where = policy.position("spec.types" if spec.declared_types else "spec")
    types = ", ".join(spec.types)
    said = (
        f"types: [{types}]" if spec.declared_types else f"no types given and no {place.side} rules: {types}"
    )
    return Absence.DIRECTION, f"it is not asked about {place.side} ({said}, {where.file}:{where.line})"


def _other_stage(policy: Policy, place: Place) -> str:
    stages = stages_of(policy.value)
    if place.stage is Stage.FORWARD and Stage.NORMAL in stages:
        where = policy.position("spec")
        return (
            f"it is not asked about forwarded traffic: applyOnForward is not set ({where.file}:{where.line})"
        )
    flag = next((_FLAGS[stage] for stage in stages if stage in _FLAGS), "")
    where_else = f"another stage ({flag}: true)" if flag else "the normal stage"
    return f"it is enforced in {where_else}, and not in the {place.stage} stage"
