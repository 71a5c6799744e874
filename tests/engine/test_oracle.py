"""The engine answers as the slow, obvious evaluator does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Oracle
from policy import flow_of, ruleset_of
from strategies import FACTS, flows, inventories

from nfq_guard.engine import decide

if TYPE_CHECKING:
    from nfq_guard.model.decision import Decision

FLOWS_AN_EXAMPLE = 25
DEEP_EXAMPLES = int(os.environ.get("NFQ_GUARD_ORACLE_EXAMPLES", "4400"))
"""25 flows each: 110,000 decisions."""

agreed = 0


def told(decision: Decision) -> dict[str, Any]:
    rule = decision.rule
    return {
        "verdict": str(decision.verdict),
        "reason": str(decision.reason),
        "endpoint": decision.endpoint,
        "tier": decision.tier,
        "policy": rule and (rule.kind, rule.name),
        "rule": rule and rule.rule,
    }


def agree(resources: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
    global agreed  # noqa: PLW0603 - counts what the deep profile has to show
    ruleset, oracle = ruleset_of(FACTS, *resources), Oracle(resources, FACTS)
    for flow in asked:
        assert told(decide(ruleset, flow_of(flow))) == oracle.decide(flow), flow
        agreed += 1


asked = st.lists(flows(), min_size=FLOWS_AN_EXAMPLE, max_size=FLOWS_AN_EXAMPLE)


@given(inventories(), asked)
def test_engine_and_oracle_agree(resources: list[dict[str, Any]], flows: list[dict[str, Any]]) -> None:
    agree(resources, flows)


@pytest.mark.deep
@settings(max_examples=DEEP_EXAMPLES)
@given(inventories(), asked)
def _deep(resources: list[dict[str, Any]], flows: list[dict[str, Any]]) -> None:
    agree(resources, flows)


@pytest.mark.deep
def test_engine_and_oracle_agree_on_a_hundred_thousand_decisions(record_property: Any) -> None:
    before = agreed
    _deep()
    record_property("decisions", agreed - before)
    print(f"{agreed - before} decisions, no difference")
    assert agreed - before >= 25 * DEEP_EXAMPLES * 0.9
