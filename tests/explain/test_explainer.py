"""Explanations agree with the engine, rule by rule."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from policy import facts_of, flow_of, inventory_of
from strategies import FACTS, inventories, random_flow

from nfq_guard.compile import compile_ruleset
from nfq_guard.engine import decide
from nfq_guard.explain import Explainer
from nfq_guard.explain.steps import Outcome, StageStep
from nfq_guard.model.decision import Action, Reason, Verdict

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import Ruleset

FLOWS = 12


def compiled(resources: list[dict[str, Any]]) -> tuple[Ruleset, Explainer]:
    inventory = inventory_of(*resources)
    ruleset = compile_ruleset(inventory, facts_of(FACTS)).ruleset
    return ruleset, Explainer(inventory, ruleset)


def rules_of(step: StageStep) -> list[Any]:
    policies = [policy for tier in step.tiers for policy in tier.policies]
    return [rule for policy in (*policies, *step.profiles) for rule in policy.rules]


@given(inventories(), st.integers(0, 2**32).map(Random))
def test_an_explanation_is_the_engines_own_evaluation(
    resources: list[dict[str, Any]], chance: Random
) -> None:
    ruleset, explainer = compiled(resources)
    for _ in range(FLOWS):
        flow = flow_of(random_flow(chance))

        found = explainer.explain(flow)

        assert found.decision == decide(ruleset, flow)
        for step in found.steps:
            rules = rules_of(step)
            # What the engine lets a rule accept misses nothing of it, and what it does not, something.
            assert [bool(rule.misses) for rule in rules] == [not rule.accepts for rule in rules]
            for rule in rules:
                met = rule.outcome in {Outcome.DECIDED, Outcome.PASSED, Outcome.LOGGED}
                unasked = rule.outcome in {Outcome.SKIPPED, Outcome.NOT_REACHED}
                assert unasked or rule.accepts is met
            ends = [tier.end for tier in step.tiers]
            decided = [rule.outcome for rule in rules].count(Outcome.DECIDED) + ends.count(Outcome.DECIDED)
            by_default = step.decision is not None and step.decision.reason is Reason.NO_MATCH
            assert decided == (step.spared is None and step.decision is not None and not by_default)
        if found.remedies:
            assert found.decision.verdict is Verdict.DENY


@given(inventories(), st.integers(0, 2**32).map(Random))
def test_a_rule_that_decided_is_the_one_that_the_decision_names(
    resources: list[dict[str, Any]], chance: Random
) -> None:
    _, explainer = compiled(resources)
    for _ in range(FLOWS):
        found = explainer.explain(flow_of(random_flow(chance)))
        if found.decision.rule is None:
            continue
        step = next(step for step in reversed(found.steps) if step.decision == found.decision)
        policies = (*(policy for tier in step.tiers for policy in tier.policies), *step.profiles)
        decided = {
            (policy.title.kind, policy.title.name, rule.rule, rule.action)
            for policy in policies
            for rule in policy.rules
            if rule.outcome is Outcome.DECIDED
        }
        wanted = Action.ALLOW if found.decision.verdict is Verdict.ALLOW else Action.DENY
        rule = found.decision.rule
        assert decided == {(rule.kind, rule.name, rule.rule, wanted)}
