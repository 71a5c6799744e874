"""The engine answers as the slow, obvious evaluator does."""

from __future__ import annotations

import os
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle, rehearse
from policy import flow_of, ruleset_of
from strategies import FACTS, inventories, random_flow

from nfq_guard.engine import Rehearsal, decide
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Stage

if TYPE_CHECKING:
    from nfq_guard.model.decision import Decision

FAST_FLOWS = 40
DEEP_FLOWS = 500
DEEP_EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "4400"))
"""2.2 million decisions."""

met: Counter[tuple[str, Stage | None, Reason]] = Counter()
changed: Counter[str] = Counter()
"""What staged policies would do to verdicts."""


def told(decision: Decision) -> dict[str, Any]:
    rule = decision.rule
    return {
        "verdict": str(decision.verdict),
        "reason": str(decision.reason),
        "stage": decision.stage and str(decision.stage),
        "endpoint": decision.endpoint,
        "tier": decision.tier,
        "policy": rule and (rule.kind, rule.name),
        "rule": rule and rule.rule,
    }


def agree(resources: list[dict[str, Any]], chance: Random, number: int) -> None:
    ruleset, oracle = ruleset_of(FACTS, *resources), Oracle(resources, FACTS)
    rehearsal = Rehearsal(ruleset)
    for _ in range(number):
        flow = random_flow(chance)
        decision, would = decide(ruleset, flow_of(flow)), rehearsal.decide(flow_of(flow))
        assert told(decision) == oracle.decide(flow), flow
        assert (would and told(would)) == rehearse(resources, FACTS, flow), flow
        changed[f"{decision.verdict} -> {would and would.verdict}"] += 1
        met[flow["direction"], decision.stage, decision.reason] += 1


chances = st.integers(0, 2**32).map(Random)


@given(inventories(), chances)
def test_engine_and_oracle_agree(resources: list[dict[str, Any]], chance: Random) -> None:
    agree(resources, chance, FAST_FLOWS)


@settings(max_examples=DEEP_EXAMPLES)
@given(inventories(), chances)
def _deep(resources: list[dict[str, Any]], chance: Random) -> None:
    agree(resources, chance, DEEP_FLOWS)


@pytest.mark.deep
def test_engine_and_oracle_agree_on_two_million_decisions() -> None:
    met.clear()
    changed.clear()
    _deep()

    decisions = sum(met.values())
    for place, number in sorted(met.items(), key=str):
        print(f"{number:9} {' '.join(map(str, place))}")
    print(f"{decisions} decisions, no difference")
    assert decisions >= DEEP_FLOWS * DEEP_EXAMPLES * 0.9
    # Agreement on what never happens would show nothing.
    assert {reason for _direction, _stage, reason in met} == set(Reason)
    assert {stage for _direction, stage, _reason in met} == {None, *Stage}
    assert changed.keys() == {f"{one} -> {other}" for one in Verdict for other in (None, *Verdict)}
