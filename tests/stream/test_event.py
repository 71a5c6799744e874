from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from captures import wire
from guarded import documents, endpoint, policy, tcp
from hypothesis import given
from records import RECORDS

from nfq_guard.daemon.policy import Compiler
from nfq_guard.engine.ruleset import CounterKey, Options, Ruleset
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import TCP, Direction, Packet, Side, Stage
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.packet import UnparsableReason
from nfq_guard.resources.source import Source
from nfq_guard.stream.event import Event, Legend, Rule, described, event_of
from nfq_guard.stream.record import DENY, Record

if TYPE_CHECKING:
    from nfq_guard.engine.chain import FlatRule

SYN = Packet(4, TCP, 0x0A000002, 0x0A000001, 1000, 23)
RULE = Rule("default", "GlobalNetworkPolicy", "traffic", "1", "ingress", "deny", "a.yaml", 12)
RECORD = Record(
    1,
    1_700_000_000_123_456_789,
    3,
    1,
    DENY,
    Reason.POLICY,
    Stage.NORMAL,
    Side.INGRESS,
    Direction.IN,
    True,
    "eth0",
    "",
    60,
    None,
    wire(SYN),
)


def ruleset() -> Ruleset:
    tried = policy(tcp(99), name="a-try").replace("GlobalNetwork", "StagedGlobalNetwork")
    text = documents(endpoint(), policy(tcp(80), tcp(23, action="Deny"), tcp(23, action="Log")), tried)
    compiler = Compiler(("unused",), Options())
    facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})
    return compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset


def lines(rules: Ruleset) -> list[FlatRule]:
    return [
        line for endpoint in rules.endpoints for chain in endpoint.chains.values() for line in chain.rules
    ]


def test_a_legend_names_every_rule_that_decides_with_its_place_and_nothing_that_is_tried_out() -> None:
    rules = ruleset()
    legend = Legend.of(3, rules.counted, lines(rules))

    for index, key in enumerate(rules.counted):
        rule = legend.rule(3, index)
        assert (rule is None) is not isinstance(key, CounterKey)
        assert rule is None or rule[:6] == key
    named = {(rule.name, rule.rule, rule.direction): rule for rule in legend.rules if rule is not None}
    first, second = (named["traffic", number, "ingress"] for number in "01")
    assert first.file == second.file == "a.yaml"
    assert 0 < first.line < second.line
    log = named["traffic", "2", "ingress"]
    assert (log.action, log.file, log.line) == ("log", "a.yaml", second.line + 1)
    end = named["default", "default", "ingress"]
    assert (end.kind, end.action, end.file) == ("Tier", "deny", "")


def test_a_legend_is_asked_about_its_own_generation_alone() -> None:
    legend = Legend(3, (None, RULE))

    assert legend.rule(3, 1) == RULE
    assert [legend.rule(*asked) for asked in ((2, 1), (3, 0), (3, -1), (3, 2))] == [None] * 4


def test_a_legend_is_the_same_behind_json() -> None:
    rules = ruleset()
    legend = Legend.of(3, rules.counted, lines(rules))

    assert Legend.from_json(json.loads(json.dumps(legend.to_json()))) == legend


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"generation": 1},
        {"generation": "1", "rules": []},
        {"generation": 1, "rules": [1]},
        {"generation": 1, "rules": [{"tier": "x"}]},
        {"generation": 1, "rules": [RULE._asdict() | {"line": "12"}]},
        {"generation": 1, "rules": [RULE._asdict() | {"colour": "red"}]},
    ],
    ids=str,
)
def test_what_is_no_legend_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="no legend"):
        Legend.from_json(document)


def test_an_event_says_in_words_what_a_record_says_in_numbers() -> None:
    assert event_of(RECORD, 4600, Legend(3, (None, RULE))) == Event(
        time_ns=1_700_000_000_123_456_789,
        queue=4600,
        generation=3,
        verdict="deny",
        reason="policy",
        stage="normal",
        direction="in",
        side="ingress",
        in_interface="eth0",
        out_interface="",
        rule=RULE,
        packet=SYN,
        unparsable="",
        data=wire(SYN),
        length=60,
        rejected=True,
    )


@pytest.mark.parametrize("legend", [None, Legend(2, (None, RULE)), Legend(3, ())])
def test_an_event_whose_rule_is_not_known_has_none(legend: Legend | None) -> None:
    assert event_of(RECORD, 4600, legend).rule is None


def test_an_event_of_what_could_not_be_judged_says_why_and_has_no_fields() -> None:
    record = RECORD._replace(
        counter=-1, reason=None, side=None, unparsable=UnparsableReason.NOT_IP, data=b"\x00"
    )

    event = event_of(record, 4600, Legend(3, (None, RULE)))

    assert (event.reason, event.side, event.rule, event.packet) == ("", "", None, None)
    assert event.unparsable == "not-ip"


@given(RECORDS)
def test_any_record_makes_an_event(record: Record) -> None:
    event = event_of(record, 1, None)

    assert (event.verdict, event.data) == (record.verdict, record.data)
    json.dumps(event[:10])


def test_a_packet_is_described_by_the_fields_it_has() -> None:
    assert described(SYN) == {
        "protocol": "TCP",
        "src": "10.0.0.2",
        "dst": "10.0.0.1",
        "sport": 1000,
        "dport": 23,
    }
    assert described(Packet(6, 47, 1, 2)) == {"protocol": 47, "src": "::1", "dst": "::2"}
