"""The policy in force as a map: endpoints, and what each asks in which order, with counts.

Owns the shape of the web page's map, and its bounds: an endpoint's rules are told when
somebody opens it, some hundred at a time. Reads the ruleset in force, which is there
anyhow; must only read.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.daemon.ruletext import RuleTexts
from nfq_guard.daemon.status import compiled_endpoints, rules_of
from nfq_guard.model.flow import Side, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.daemon.telemetry import Telemetry
    from nfq_guard.engine.chain import Chain
    from nfq_guard.engine.ruleset import EndpointState, GuardedEndpoint, Ruleset

MOST_ENDPOINTS = 500
MOST_RULES = 300
"""Of one answer."""


class Which(NamedTuple):
    """One chain of one endpoint."""

    kind: str
    name: str
    namespace: str
    stage: str
    side: str
    staged: bool
    """As it would be with staged policies live."""


def overview(telemetry: Telemetry) -> dict[str, Any]:
    """Return every endpoint of this node with its chains, without their rules."""
    ruleset = telemetry.ruleset
    if ruleset is None:
        return {"generation": 0, "endpoints": [], "more": 0}
    states = {(state.kind, state.name, state.namespace): state for state in ruleset.endpoint_states}
    chains = {
        (whose["kind"], endpoint.name, endpoint.namespace): list(_chains(endpoint))
        for whose, endpoint in compiled_endpoints(ruleset)
    }
    listed = list(dict.fromkeys([*states, *chains]))
    return {
        "generation": ruleset.generation,
        "endpoints": [
            _endpoint(name, states.get(name), telemetry) | {"chains": chains.get(name, [])}
            for name in listed[:MOST_ENDPOINTS]
        ],
        "more": max(0, len(listed) - MOST_ENDPOINTS),
    }


def _endpoint(
    name: tuple[str, str, str], state: EndpointState | None, telemetry: Telemetry
) -> dict[str, Any]:
    facts = telemetry.facts
    known = {} if facts is None else facts.interfaces
    interfaces = () if state is None else state.interfaces
    kind, plain, namespace = name
    return {
        "kind": kind,
        "name": plain,
        "namespace": namespace,
        "status": "" if state is None else state.status,
        "reason": "" if state is None else state.reason,
        "interfaces": [
            {"name": each, "addresses": list(known[each].addresses) if each in known else []}
            for each in interfaces
        ],
    }


def _chains(endpoint: GuardedEndpoint) -> Iterator[dict[str, Any]]:
    for staged, chains in ((False, endpoint.chains), (True, endpoint.pending)):
        for stage, side in sorted(chains, key=_in_order):
            yield {"stage": str(stage), "side": str(side), "staged": staged}


def _in_order(place: tuple[Stage, Side]) -> tuple[int, int]:
    return list(Stage).index(place[0]), list(Side).index(place[1])


def chain_rules(telemetry: Telemetry, which: Which, start: int = 0) -> dict[str, Any] | None:
    """Return the rules of a chain in the order in which they are asked, from one on; None: there is none."""
    ruleset = telemetry.ruleset
    chain = None if ruleset is None else _chain(ruleset, which)
    if ruleset is None or chain is None:
        return None
    texts = RuleTexts(telemetry.sources)
    rows = rules_of(chain, ruleset, telemetry)
    told = [_row(row, texts) for row in islice(rows, start, start + MOST_RULES)]
    counters = [line.counter for line in chain.rules if line.counter >= 0]
    every = sum(one != before for one, before in zip(counters, [-1, *counters], strict=False))
    return {
        "generation": ruleset.generation,
        "start": start,
        "rules": told,
        "more": max(0, every - start - len(told)),
    }


def _chain(ruleset: Ruleset, which: Which) -> Chain | None:
    if which.stage not in set(Stage) or which.side not in set(Side):
        return None
    place = Stage(which.stage), Side(which.side)
    for whose, endpoint in compiled_endpoints(ruleset):
        if (whose["kind"], endpoint.name, endpoint.namespace) == which[:3]:
            if which.staged:
                pending = endpoint.pending.get(place)
                return None if pending is None else pending.chain
            return endpoint.chains.get(place)
    return None


def _row(row: dict[str, Any], texts: RuleTexts) -> dict[str, Any]:
    file = row.get("file", "")
    return row | {"text": texts.text(file, row["line"]) if file else ""}
