"""The form of explanations."""

from __future__ import annotations

import json
from typing import Any

from policy import facts_of, host_endpoint, inventory_of, policy

from nfq_guard.cli.explained import MOST_RULES, flow_object, object_of, packet_text, survey_text, text_of
from nfq_guard.cli.flows import parse_flow, verdict_object
from nfq_guard.cli.questions import parse_question
from nfq_guard.compile import compile_ruleset
from nfq_guard.explain import Explainer, Explanation
from nfq_guard.explain.survey import survey

FACTS = {"node": "host-a", "interfaces": {"eth0": ["10.0.0.1"]}}
WEB = policy("web", ingress=[{"action": "Allow", "protocol": "TCP", "destination": {"ports": [443]}}])
QUESTION = "in eth0 tcp 203.0.113.9:40000 10.0.0.1:80"


def explained(question: str, *resources: dict[str, Any]) -> Explanation:
    inventory = inventory_of(host_endpoint(), *resources)
    ruleset = compile_ruleset(inventory, facts_of(FACTS)).ruleset
    return Explainer(inventory, ruleset).explain(parse_question([question]).flow)


def test_the_verdict_and_its_causes_come_first_then_the_way_rule_by_rule() -> None:
    lines = list(text_of(explained(QUESTION, WEB), "deny", everything=False))

    assert lines == [
        "deny",
        (
            "  why: GlobalNetworkPolicy(web) rule 0 (test.json:1) would allow it, but for destination.ports: "
            "found 80, wanted 443"
        ),
        "  change: with the destination port 443, say, it would be allowed, by GlobalNetworkPolicy(web) rule 0",
        "",
        "HostEndpoint(hep), normal stage, ingress: TCP 203.0.113.9:40000 > 10.0.0.1:80",
        "  tier default (order 1000000)",
        "    GlobalNetworkPolicy(web)",
        "      rule 0 Allow test.json:1 [ruled-out] destination.ports: found 80, wanted 443",
        "    end of tier: Deny [decided]",
    ]


def test_long_policies_are_cut_short_unless_all_is_wanted() -> None:
    long = policy("long", ingress=[{"action": "Deny", "protocol": "UDP"}] * (MOST_RULES + 5))
    found = explained(QUESTION, long)

    short, whole = (list(text_of(found, "", everything=everything)) for everything in (False, True))

    assert "      5 more rules (shown with --all)" in short
    assert len(whole) == len(short) + 4


def test_of_many_policies_those_are_shown_that_say_something() -> None:
    others = [
        policy(
            f"other-{number}", ingress=[{"action": "Deny", "protocol": "UDP", "destination": {"ports": [9]}}]
        )
        for number in range(MOST_RULES)
    ]
    found = explained(QUESTION, *others, WEB, policy("z-log", ingress=[{"action": "Log"}]))

    lines = list(text_of(found, "", everything=False))

    named = [line.strip() for line in lines if line.startswith("    GlobalNetworkPolicy(")]
    assert named == ["GlobalNetworkPolicy(web)", "GlobalNetworkPolicy(z-log)"]
    assert f"    {MOST_RULES} more policies (shown with --all)" in lines
    assert sum("other-" in line for line in text_of(found, "", everything=True)) == MOST_RULES


def test_policies_that_were_not_asked_stand_at_the_end() -> None:
    lines = list(
        text_of(
            explained(QUESTION, WEB | {"spec": WEB["spec"] | {"selector": "has(x)"}}), "", everything=True
        )
    )

    assert lines[-2] == "not asked:"
    assert lines[-1].startswith(
        "  GlobalNetworkPolicy(web) (test.json:1): its selector has(x) does not select"
    )


def test_a_json_explanation_begins_as_a_verdict() -> None:
    found = explained(QUESTION, WEB)

    document = json.loads(json.dumps(object_of(found, None, ())))

    assert document.items() >= json.loads(json.dumps(verdict_object(found.decision))).items()
    assert document["flow"] == {
        "direction": "in",
        "in_interface": "eth0",
        "protocol": "TCP",
        "ct_state": "new",
        "src": "203.0.113.9",
        "dst": "10.0.0.1",
        "sport": 40000,
        "dport": 80,
    }
    rule = document["steps"][0]["tiers"][0]["policies"][0]["rules"][0]
    assert rule["outcome"] == "ruled-out"
    assert rule["misses"] == [
        {
            "field": "destination-port",
            "path": "destination.ports",
            "found": "80",
            "wanted": "443",
            "notes": [],
        }
    ]


def test_a_flow_object_is_what_decide_takes() -> None:
    for text in (
        QUESTION,
        "forward eth0 eth1 icmp 10.0.0.1 10.0.0.2 type 8 state invalid before 192.0.2.1:5",
    ):
        flow = parse_question([text]).flow
        assert parse_flow(json.loads(json.dumps(flow_object(flow)))) == flow._replace(
            original_dport=flow.original_dport if flow.packet.dport >= 0 else None
        )


def test_what_a_verdict_depends_on_is_told_in_ranges() -> None:
    ruleset = compile_ruleset(inventory_of(host_endpoint(), WEB), facts_of(FACTS)).ruleset
    for text, lines in (
        ("in eth0 tcp 203.0.113.9 10.0.0.1:443", ["source port left open: allow, whatever it is"]),
        ("in eth0 tcp 203.0.113.9 10.0.0.1", ["  allow  GlobalNetworkPolicy(web) rule 0: dport 443"]),
        (
            "in eth0 icmp any 10.0.0.1",
            ["source address and ICMP type and code left open: deny, whatever they are"],
        ),
    ):
        question = parse_question([text])
        said = list(
            survey_text(survey(ruleset, question.flow, question.open), question.open, everything=False)
        )
        assert [line for line in said if line in lines] == lines


def test_packets_are_written_as_people_write_them() -> None:
    for text, said in (
        (QUESTION, "TCP 203.0.113.9:40000 > 10.0.0.1:80"),
        ("in eth0 udp [2001:db8::1]:1 [2001:db8::2]:2", "UDP [2001:db8::1]:1 > [2001:db8::2]:2"),
        ("in eth0 icmp 10.0.0.9 10.0.0.1 type 3 code 1", "ICMP 10.0.0.9 > 10.0.0.1 type 3 code 1"),
        ("in eth0 47 10.0.0.9 10.0.0.1", "47 10.0.0.9 > 10.0.0.1"),
    ):
        assert packet_text(parse_question([text]).flow.packet) == said
