from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from events import ALLOW_SSH, END_OF_TIER, SHOP_WEB, SSH, denied, event
from hypothesis import given
from hypothesis import strategies as st
from policy import facts_of, inventory_of
from policy import flow_of as flow_of_policy
from strategies import FACTS, inventories, random_flow

from nfq_guard.cli.recorded import Recorded, difference, flow_of
from nfq_guard.compile import compile_ruleset
from nfq_guard.engine import Place, decide
from nfq_guard.engine.decide import NO_OPINION, forward_policy, stage_policy, workload_to_host
from nfq_guard.explain import Explainer
from nfq_guard.explain.steps import Explanation, Outcome, PolicyStep, RuleStep, StageStep, TierStep, Title
from nfq_guard.model.decision import Action, Decision, Reason, RuleRef, Verdict
from nfq_guard.model.flow import CtState, Direction, Flow, Gate, Side, Stage
from nfq_guard.model.problem import Position
from nfq_guard.stream.event import Legend
from nfq_guard.stream.lines import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.engine.chain import Match
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.flow import Packet
    from nfq_guard.stream.event import Event

REF = RuleRef("default", "GlobalNetworkPolicy", "allow-ssh", None, 0, Side.INGRESS, Action.ALLOW, "a.yaml", 1)
BY_SSH = Decision(
    Verdict.ALLOW, Reason.POLICY, Stage.NORMAL, Side.INGRESS, "host-eth0", "default", REF, counter=0
)
BY_TIER = Decision(Verdict.DENY, Reason.TIER_DEFAULT, Stage.NORMAL, Side.INGRESS, "host-eth0", "default")
AHEAD = BY_SSH._replace(stage=Stage.PRE_DNAT)
HOST = Title("HostEndpoint", "host-eth0", None, Position("a.yaml", 1, 1))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["verdict", "stage", "generation", "policy", "name"]), inner)
    ),
)


def explained(decision: Decision, *steps: StageStep) -> Explanation:
    flow = Flow(Direction.IN, SSH, "eth0")
    return Explanation(flow, decision, (), (), steps, ())


def step(stage: Stage, decision: Decision | None) -> StageStep:
    return StageStep(HOST, stage, Side.INGRESS, SSH, None, decision)


def recorded(**changes: Any) -> Recorded:
    return Recorded.of_event(event(**changes))


@pytest.mark.parametrize(
    "made", [event(), denied(), event(rule=SHOP_WEB), event(rule=None), denied(reason="")]
)
def test_an_event_and_its_line_say_the_same(made: Any) -> None:
    line = json.loads(json.dumps(document(made)))
    of_line, of_event = Recorded.of_document(line), Recorded.of_event(made)

    assert of_line is not None
    if of_event.kind != "Tier":
        assert of_line == of_event
    assert of_line[:5] == of_event[:5]


@given(JSON)
def test_any_document_is_a_verdict_or_none(line: Any) -> None:
    found = Recorded.of_document(line)

    assert found is None or all(isinstance(text, str) for text in found)


@pytest.mark.parametrize(
    "line",
    [None, [], {"verdict": "deny", "reason": "policy"}, {"src": "10.0.0.1"}, {"stage": "normal"}],
)
def test_what_is_no_verdict_about_a_packet_is_none(line: Any) -> None:
    assert Recorded.of_document(line) is None


@pytest.mark.parametrize(
    ("said", "now"),
    [
        (event(), explained(BY_SSH)),
        (event(rule=None), explained(BY_SSH)),
        (denied(), explained(BY_TIER)),
        (event(verdict="pass", reason="", rule=None, stage="pre-dnat"), explained(BY_SSH)),
        (event(verdict="pass", reason="", rule=None), explained(BY_SSH)),
        (
            event(stage="pre-dnat"),
            explained(BY_TIER, step(Stage.UNTRACKED, None), step(Stage.PRE_DNAT, AHEAD)),
        ),
        (event(stage="forward", direction="forward", reason="forward-default", rule=None), explained(AHEAD)),
        (event(stage="forward"), explained(BY_SSH)),
    ],
)
def test_verdicts_that_agree(said: Any, now: Explanation) -> None:
    assert difference(Recorded.of_event(said), now) == ""


NOW = "they have changed since, or are not those of that guard"


@pytest.mark.parametrize(
    ("said", "now", "sentence"),
    [
        (
            denied(),
            explained(BY_SSH),
            (
                "the guard said deny at its normal stage (tier-default of tier default); the rules and facts read here "
                f"say allow (policy, GlobalNetworkPolicy(allow-ssh) ingress rule 0): {NOW}"
            ),
        ),
        (
            event(rule=ALLOW_SSH._replace(rule="1")),
            explained(BY_SSH),
            (
                "the guard said allow at its normal stage (policy, GlobalNetworkPolicy(allow-ssh) ingress rule 1); the rules and "
                f"facts read here say allow (policy, GlobalNetworkPolicy(allow-ssh) ingress rule 0): {NOW}"
            ),
        ),
        (
            denied(rule=END_OF_TIER._replace(tier="shop", name="shop")),
            explained(BY_TIER),
            (
                "the guard said deny at its normal stage (tier-default of tier shop); the rules and facts read here "
                f"say deny (tier-default of tier default): {NOW}"
            ),
        ),
        (
            event(side="egress"),
            explained(BY_SSH),
            (
                "the guard said allow at its normal stage (policy, GlobalNetworkPolicy(allow-ssh) egress rule 0); the rules and "
                f"facts read here say allow (policy, GlobalNetworkPolicy(allow-ssh) ingress rule 0): {NOW}"
            ),
        ),
        (
            event(verdict="pass", reason="", rule=None, stage="pre-dnat"),
            explained(AHEAD, step(Stage.PRE_DNAT, AHEAD)),
            (
                "the guard said pass at its pre-dnat stage; the rules and facts read here say allow (policy, "
                f"GlobalNetworkPolicy(allow-ssh) ingress rule 0): {NOW}"
            ),
        ),
        (
            event(stage="pre-dnat"),
            explained(BY_SSH),
            (
                "the guard said allow at its pre-dnat stage (policy, GlobalNetworkPolicy(allow-ssh) ingress rule 0); the rules "
                f"and facts read here leave it to the next stage: {NOW}"
            ),
        ),
        (
            event(),
            explained(AHEAD),
            (
                "the guard said allow at its normal stage (policy, GlobalNetworkPolicy(allow-ssh) ingress rule 0); the rules and "
                "facts read here say allow (policy, GlobalNetworkPolicy(allow-ssh) ingress rule 0) at the pre-dnat stage already "
                f"(a verdict does not tell the destination ahead of DNAT): {NOW}"
            ),
        ),
        (
            event(verdict="unjudged", reason="", rule=None),
            explained(BY_SSH),
            (
                "the guard said unjudged at its normal stage, and asked no rule: its fail mode answered, and its log "
                "says why"
            ),
        ),
        (
            denied(reason="", rule=None),
            explained(BY_TIER),
            "the guard said deny at its normal stage, and asked no rule: its fail mode answered, and its log says why",
        ),
    ],
)
def test_verdicts_that_differ_are_said_to(said: Any, now: Explanation, sentence: str) -> None:
    assert difference(Recorded.of_event(said), now) == sentence


def logging(policy: str, rule: int, outcome: Outcome) -> StageStep:
    """Return a stage where a policy's Log rule fared so."""
    title = Title("GlobalNetworkPolicy", policy, None, Position("a.yaml", 1, 1))
    logged = RuleStep(rule, Action.LOG, Position("a.yaml", 2, 1), outcome, outcome is Outcome.LOGGED)
    tier = TierStep("default", None, (PolicyStep(title, (logged,)),), Action.DENY, Outcome.RULED_OUT)
    return step(Stage.NORMAL, BY_SSH)._replace(tiers=(tier,))


def test_a_log_rule_agrees_where_the_packet_meets_it_and_differs_where_not() -> None:
    said = recorded(verdict="log", reason="", rule=ALLOW_SSH._replace(action="log"))

    assert difference(said, explained(BY_SSH, logging("allow-ssh", 0, Outcome.LOGGED))) == ""
    assert difference(recorded(verdict="log", reason="", rule=None), explained(BY_SSH)) == ""
    for other in (
        logging("allow-ssh", 0, Outcome.RULED_OUT),
        logging("allow-ssh", 1, Outcome.LOGGED),
        logging("other", 0, Outcome.LOGGED),
    ):
        assert difference(said, explained(BY_SSH, other)) == (
            "the packet met a Log rule at the guard's normal stage (GlobalNetworkPolicy(allow-ssh) ingress rule 0); "
            f"by the rules and facts read here it meets no such rule: {NOW}"
        )


def test_what_a_line_names_commands_no_terminal() -> None:
    assert "\x1b" not in difference(recorded(rule=ALLOW_SSH._replace(name="\x1b[2J")), explained(BY_SSH))


def test_an_event_has_the_interfaces_of_its_direction() -> None:
    forwarded = flow_of(event(direction="forward", out_interface="eth1"))
    came = flow_of(event(out_interface="eth1"))
    left = flow_of(event(direction="out", in_interface="", out_interface="eth1"))

    assert forwarded is not None
    assert forwarded[2:4] == ("eth0", "eth1")
    assert came == Flow(Direction.IN, SSH, "eth0")
    assert left == Flow(Direction.OUT, SSH, None, "eth1")
    assert flow_of(event(packet=None, data=b"", unparsable="bad-ip-header")) is None


def told_by_a_worker(ruleset: Ruleset, place: Place, match: Match, packet: Packet) -> Event:
    """Return the event of what a worker writes down at a place."""
    decision = match.decision
    lines = [line for each in ruleset.endpoints for chain in each.chains.values() for line in chain.rules]
    legend = Legend.of(3, ruleset.counted, lines)
    return event(
        verdict="pass" if decision is None else decision.verdict,
        reason="" if decision is None else decision.reason,
        side="" if decision is None else decision.side or "",
        stage=place.gate.stage,
        direction=place.gate.direction,
        in_interface=place.in_interface,
        out_interface=place.out_interface,
        rule=legend.rule(3, match.decisive),
        packet=packet,
    )


def judged(ruleset: Ruleset, flow: Flow) -> Iterator[Event]:
    """Yield the events of a packet's way through the kernel's gates, as far as it comes."""
    packet, incoming, outgoing = flow.packet, flow.in_interface or "", flow.out_interface or ""
    before: Match | None = None
    ahead = (Stage.UNTRACKED,) if flow.direction is Direction.OUT else (Stage.UNTRACKED, Stage.PRE_DNAT)
    way = Direction.OUT if flow.direction is Direction.OUT else Direction.IN
    for stage in ahead:
        place = Place(Gate(stage, way), incoming, outgoing if way is Direction.OUT else "")
        match = stage_policy(ruleset, stage, place.side, place.interface, packet) or NO_OPINION
        yield told_by_a_worker(ruleset, place, match, packet)
        if match.decision is not None:
            before = match
            break
    if before is not None and before.decision is not None and before.decision.verdict is Verdict.DENY:
        return
    if flow.direction is Direction.FORWARD:
        place = Place(Gate(Stage.FORWARD, Direction.FORWARD, before is not None), incoming, outgoing)
        match = forward_policy(ruleset, incoming, outgoing, packet, before_nat=before is not None)
        yield told_by_a_worker(ruleset, place, match, packet)
        return
    place = Place(Gate(Stage.NORMAL, flow.direction), incoming, outgoing)
    if flow.direction is Direction.IN and ruleset.is_workload(incoming):
        yield told_by_a_worker(ruleset, place, workload_to_host(ruleset, incoming, packet), packet)
    elif before is None:
        found = stage_policy(ruleset, Stage.NORMAL, place.side, place.interface, packet)
        if found is not None:
            yield told_by_a_worker(ruleset, place, found, packet)


@given(inventories(), st.integers(0, 2**32).map(Random))
def test_what_a_guard_of_the_same_files_says_never_differs(
    resources: list[dict[str, Any]], chance: Random
) -> None:
    inventory = inventory_of(*resources)
    ruleset = compile_ruleset(inventory, facts_of(FACTS)).ruleset
    explainer = Explainer(inventory, ruleset)
    for _ in range(12):
        asked = flow_of_policy(random_flow(chance))
        flow = asked._replace(original_dst=None, original_dport=None, ct_state=CtState.NEW)
        if decide(ruleset, flow).reason in {Reason.UNMANAGED, Reason.HOST_TO_WORKLOAD}:
            continue  # the kernel asks nobody
        for one in judged(ruleset, flow):
            about = flow_of(one)
            assert about is not None
            line = Recorded.of_document(json.loads(json.dumps(document(one))))
            assert line is not None
            explanation = explainer.explain(about)
            assert difference(Recorded.of_event(one), explanation) == ""
            assert difference(line, explanation) == ""
