from __future__ import annotations

import gc
import os
import pickle
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from guarded import documents, endpoint, policy, tcp
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, PadN

from nfq_guard.adapters.nfqueue import ALLOW, COPY_RANGE, DENY, REJECT, UNJUDGED
from nfq_guard.daemon import verdicts as verdicts_module
from nfq_guard.daemon.counters import Reader, Word, create_block, map_block
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.recorder import BURST, PER_SECOND, Recorder
from nfq_guard.daemon.ring import DENIALS, Writer, create_ring
from nfq_guard.daemon.ring import Reader as RingReader
from nfq_guard.daemon.verdicts import Verdicts
from nfq_guard.engine.axis import Axis
from nfq_guard.engine.chain import Chain
from nfq_guard.engine.engine import Engine, Place
from nfq_guard.engine.flowtable import FLOW_SECONDS, FlowTable
from nfq_guard.engine.memory import Outcomes
from nfq_guard.engine.ruleset import (
    CounterKey,
    DenyAction,
    GuardedEndpoint,
    Options,
    OutcomeKey,
    Ruleset,
    StagedKey,
)
from nfq_guard.engine.slices import Slice
from nfq_guard.engine.ways import Way
from nfq_guard.kernel.plan import FailMode
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Direction, Gate, Side, Stage
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.model.decision import RuleRef

IN = Gate(Stage.NORMAL, Direction.IN)
OUT = Gate(Stage.NORMAL, Direction.OUT)
ACROSS = Gate(Stage.FORWARD, Direction.FORWARD)
ETH0, OTHER = 2, 3
LOG = "{action: Log, protocol: TCP, destination: {ports: [80]}}"


def packet(port: int) -> bytes:
    return bytes(IP(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=1000, dport=port, flags="S"))


def ruleset(*rules: str, more: tuple[str, ...] = (), about: str = "") -> Ruleset:
    compiler = Compiler(("unused",), Options())
    text = documents(endpoint(), policy(*rules).replace("spec:", f"spec:\n  {about}"), *more)
    facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})
    return compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset


CROSSED = ruleset(tcp(80), about="applyOnForward: true")
"""Whose flows the flow table is for: several chains are asked."""


class Bench:
    """Verdicts over a block of counters, with what they said."""

    def __init__(self, fail_mode: FailMode = FailMode.CLOSED) -> None:
        self.descriptor = create_block()
        self.words = map_block(self.descriptor)
        self.reader = Reader((self.words,))
        self.ring = create_ring()
        self.records = RingReader(self.ring)
        self.logged: list[tuple[RuleRef, Place, bytes]] = []
        self.faults: list[str] = []
        self.names = {0: "", ETH0: "eth0", OTHER: "other0"}
        """Of interfaces, by number."""
        self.named = 0
        """How often names were asked for."""
        self.verdicts = self.fresh(fail_mode)

    def fresh(self, fail_mode: FailMode = FailMode.CLOSED) -> Verdicts:
        return Verdicts(
            self.words,
            Recorder(Writer(self.ring), Writer(self.ring, DENIALS), self.faults.append),
            fail_mode=fail_mode,
            table_size=100,
            place=self.place,
            log_rule=lambda *note: self.logged.append(note),
            log_fault=self.faults.append,
        )

    def close(self) -> None:
        self.records.close()
        for descriptor in (self.descriptor, self.ring):
            os.close(descriptor)

    def told(self) -> list[tuple[str, str, str]]:
        """Return verdict, reason (or why it could not be judged) and interface of each new record."""
        return [
            (one.verdict, one.reason or one.unparsable or "", one.in_interface)
            for one in self.records.read(1000)
        ]

    def place(self, gate: Gate, inward: int, outward: int) -> Place:
        self.named += 1
        return Place(gate, self.names[inward], self.names[outward])

    def judge(self, data: bytes, inward: int = ETH0, gate: Gate = IN, outward: int = 0) -> int:
        """Put a packet to the verdicts, inside of a message."""
        message = bytearray(b"ahead" + data + b"behind")
        answer = self.verdicts.judge(gate, inward, outward)(message, 5, 5 + len(data))
        self.verdicts.publish(0.0)
        return answer

    def cross(self, port: int, now: float = 0.0) -> int:
        """Put a packet that is forwarded to the verdicts."""
        answer = self.verdicts.judge(ACROSS, ETH0, OTHER)(packet(port), 0, len(packet(port)))
        self.verdicts.publish(now)
        return answer

    def install(self, rules: Ruleset) -> None:
        self.verdicts.install(rules, tuple(range(len(rules.counted))))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_each_verdict_is_counted_on_its_rule_and_reason(bench: Bench) -> None:
    rules = ruleset(LOG, tcp(80))
    bench.install(rules)

    answers = [bench.judge(packet(port)) for port in (80, 80, 81)]

    assert answers == [ALLOW, ALLOW, DENY]
    counted = {
        (key.policy, key.rule, key.action): bench.reader.policy(slot)
        for slot, key in enumerate(rules.counter_keys)
        if key.direction == "ingress"
    }
    assert counted["traffic", "0", "log"] == 2
    assert counted["traffic", "1", "allow"] == 2
    assert sum(counted.values()) == 5
    assert [(rule.rule, place.interface, data) for rule, place, data in bench.logged] == [
        (0, "eth0", packet(80))
    ] * 2
    counts = {labels[:2]: count for labels, count in bench.reader.verdicts() if count}
    assert counts == {("policy", "allow"): 2, ("tier-default", "deny"): 1}


def test_what_staged_policies_would_have_done_is_counted_for_every_packet_and_not_done(bench: Bench) -> None:
    tried = policy(tcp(80, action="Deny"), name="a-try").replace("GlobalNetwork", "StagedGlobalNetwork")
    rules = ruleset(tcp(80), more=(tried,))
    bench.install(rules)

    assert [bench.judge(packet(80)) for _ in range(2)] == [ALLOW, ALLOW]
    assert {key: count for slot, key in enumerate(rules.counted) if (count := bench.reader.policy(slot))} == {
        CounterKey("default", "GlobalNetworkPolicy", "traffic", "0", "ingress", "allow"): 2,
        StagedKey(CounterKey("default", "StagedGlobalNetworkPolicy", "a-try", "0", "ingress", "deny")): 2,
        OutcomeKey("guarded-eth0", "normal", "ingress", "allow", "deny"): 2,
    }


@pytest.mark.parametrize(("mode", "answer"), [(FailMode.CLOSED, DENY), (FailMode.OPEN, UNJUDGED)])
def test_an_interface_that_nothing_governs_gets_the_fail_mode_and_a_reason(
    mode: FailMode, answer: int
) -> None:
    bench = Bench(mode)
    bench.install(ruleset(tcp(80)))

    for _ in range(2):
        assert bench.judge(packet(80), OTHER) == answer

    assert {str(reason): count for reason, count in bench.reader.unparsable() if count} == {
        "unknown-interface": 2
    }
    assert bench.judge(packet(80)) == ALLOW
    bench.close()


def test_an_interface_whose_name_is_not_known_is_not_governed_by_a_wildcard(bench: Bench) -> None:
    one = ruleset(tcp(80))
    bench.install(replace(one, governed={}, wildcard=one.governed["eth0"]))

    assert bench.judge(packet(80), OTHER) == ALLOW
    assert bench.judge(packet(80), 0) == DENY


@pytest.mark.parametrize(("mode", "answer"), [(FailMode.CLOSED, DENY), (FailMode.OPEN, UNJUDGED)])
def test_what_cannot_be_judged_gets_the_fail_mode_and_a_reason(mode: FailMode, answer: int) -> None:
    bench = Bench(mode)
    bench.install(ruleset(tcp(80)))

    assert bench.judge(b"") == answer
    assert bench.judge(packet(80)[:25]) == answer

    assert {str(reason): count for reason, count in bench.reader.unparsable() if count} == {
        "not-ip": 1,
        "truncated-transport": 1,
    }
    bench.close()


def test_a_large_packet_of_an_interface_that_nothing_governs_hides_nothing() -> None:
    bench = Bench(FailMode.OPEN)
    bench.install(ruleset(tcp(80)))

    assert bench.judge(packet(80) + bytes(COPY_RANGE), OTHER) == UNJUDGED
    bench.close()


def test_a_place_that_failed_once_is_tried_again(bench: Bench) -> None:
    bench.install(ruleset(tcp(80)))
    names, bench.names = bench.names, {}
    assert bench.judge(packet(80)) == DENY
    assert "KeyError" in bench.faults[0]

    bench.names = names

    assert bench.judge(packet(80)) == ALLOW


@pytest.mark.parametrize("mode", list(FailMode))
def test_a_port_that_is_hidden_behind_headers_is_denied_in_either_mode(mode: FailMode) -> None:
    bench = Bench(mode)
    bench.install(ruleset(tcp(80)))
    many = IPv6(src="fd00::2", dst="fd00::1")
    for _ in range(17):
        many /= IPv6ExtHdrDestOpt(options=[PadN(optdata=b"xxxx")])
    long = IPv6(src="fd00::2", dst="fd00::1") / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(250))])
    for hidden in (many, long):
        assert bench.judge(bytes(hidden / TCP(dport=80))[:COPY_RANGE]) == DENY

    assert {str(reason) for reason, count in bench.reader.unparsable() if count} == {
        "too-many-extension-headers",
        "bad-extension-header",
    }
    bench.close()


@pytest.mark.parametrize(("mode", "answer"), [(FailMode.CLOSED, DENY), (FailMode.OPEN, UNJUDGED)])
def test_an_engine_that_breaks_gets_the_fail_mode_a_count_and_a_word(mode: FailMode, answer: int) -> None:
    bench = Bench(mode)
    no_chain: Any = object()
    chains = {(Stage.NORMAL, Side.INGRESS): no_chain}
    bench.install(Ruleset("guarded", {"eth0": GuardedEndpoint("broken", chains)}))

    answers = {bench.judge(packet(80)) for _ in range(16)}

    assert answers == {answer}
    assert bench.reader.word(Word.ENGINE_ERRORS) == 16
    assert "AttributeError" in bench.faults[0]
    bench.close()


def test_a_denial_is_written_down_with_its_rule_and_an_allowed_packet_only_for_who_watches(
    bench: Bench,
) -> None:
    rules = ruleset(LOG, tcp(80), tcp(81, action="Deny"))
    bench.install(replace(rules, generation=3))
    before = time.time_ns()

    assert [bench.judge(packet(port)) for port in (80, 81, 82)] == [ALLOW, DENY, DENY]

    first, second = bench.records.read(10)
    assert [rules.counted[one.counter].rule for one in (first, second)] == ["2", "default"]  # type: ignore[union-attr]
    assert before <= first.time_ns <= time.time_ns()
    assert first[2:] == (
        3,
        first.counter,
        "deny",
        Reason.POLICY,
        Stage.NORMAL,
        Side.INGRESS,
        Direction.IN,
        False,
        "eth0",
        "",
        40,
        None,
        packet(81),
    )
    bench.verdicts.watch(deny=True, allow=True, log=False)
    assert [bench.judge(packet(port)) for port in (80, 81)] == [ALLOW, DENY]
    assert bench.told() == [("allow", "policy", "eth0"), ("deny", "policy", "eth0")]
    bench.verdicts.watch(deny=False, allow=False, log=False)
    assert bench.judge(packet(80)) == ALLOW
    assert bench.told() == []
    assert len(bench.logged) == 3


def test_a_log_rule_has_a_record_of_its_own_while_somebody_wishes_it(bench: Bench) -> None:
    rules = ruleset(LOG, LOG, tcp(80), tcp(81, action="Deny"))
    bench.install(rules)
    bench.verdicts.watch(deny=True, allow=True, log=True)
    for port in (80, 81):
        bench.judge(packet(port))

    records = bench.records.read(10)
    assert [(one.verdict, rules.counted[one.counter].rule) for one in records] == [  # type: ignore[union-attr]
        ("log", "0"),
        ("log", "1"),
        ("allow", "2"),
        ("deny", "3"),
    ]
    assert {(one.reason, one.side) for one in records[:2]} == {(None, Side.INGRESS)}
    bench.verdicts.watch(deny=True, allow=False, log=False)
    bench.judge(packet(80))
    assert bench.told() == []


def test_a_flood_of_denials_is_written_down_in_part_unless_somebody_watches(bench: Bench) -> None:
    bench.install(ruleset(tcp(80)))
    answer = bench.verdicts.judge(IN, ETH0, 0)

    def flood() -> int:
        for _ in range(2 * BURST):
            answer(packet(81), 0, len(packet(81)))
        return len(bench.told())

    bench.verdicts.publish(1000.0)
    counts = [flood()]
    bench.verdicts.publish(1000.5)
    counts.append(flood())
    bench.verdicts.watch(deny=True, allow=False, log=False)
    answer = bench.verdicts.judge(IN, ETH0, 0)
    counts.append(flood())
    bench.verdicts.watch(deny=False, allow=False, log=False)
    answer = bench.verdicts.judge(IN, ETH0, 0)
    counts.append(flood())
    bench.verdicts.publish(1000.5)

    # None is left by those that were watched, and no time has gone by.
    assert counts == [BURST, PER_SECOND // 2, 2 * BURST, 0]
    assert bench.reader.word(Word.DENIED) == 8 * BURST


@pytest.mark.parametrize("mode", list(FailMode))
def test_what_could_not_be_judged_is_written_down_as_what_became_of_it(mode: FailMode) -> None:
    bench = Bench(mode)
    bench.install(ruleset(tcp(80)))
    verdict = "deny" if mode is FailMode.CLOSED else "unjudged"

    def told() -> list[tuple[str, str, str]]:
        bench.judge(packet(80), OTHER)
        bench.judge(b"")
        return bench.told()

    found = [(verdict, "unknown-interface", "other0"), (verdict, "not-ip", "eth0")]
    assert told() == (found if mode is FailMode.CLOSED else [])
    bench.verdicts.watch(deny=True, allow=True, log=False)
    assert told() == found
    assert bench.reader.word(Word.DENIED) == (4 if mode is FailMode.CLOSED else 0)
    bench.close()


def test_a_fault_of_ours_is_written_down_without_a_reason(bench: Bench) -> None:
    bench.install(ruleset(tcp(80)))
    bench.names = {}

    assert bench.judge(packet(80)) == DENY

    assert bench.told() == [("deny", "", "")]
    assert bench.reader.word(Word.DENIED) == 1


def test_who_is_rejected_and_what_is_forwarded_is_written_down_as_that(bench: Bench) -> None:
    bench.install(replace(CROSSED, options=Options(deny_action=DenyAction.REJECT)))

    assert bench.cross(81) == REJECT

    (record,) = bench.records.read(10)
    assert (record.verdict, record.rejected, record.stage) == ("deny", True, Stage.FORWARD)
    assert (record.direction, record.in_interface, record.out_interface) == ("forward", "eth0", "other0")


def test_before_the_first_ruleset_nothing_is_allowed(bench: Bench) -> None:
    assert bench.judge(packet(80)) == DENY


def test_of_packets_that_come_together_the_first_is_timed(bench: Bench) -> None:
    bench.install(ruleset(tcp(80)))
    answer = bench.verdicts.judge(IN, ETH0, 0)

    for _ in range(3):
        for port in (80, 81, 82):
            answer(packet(port), 0, len(packet(port)))
        bench.verdicts.publish(0.0)

    latency = bench.reader.latency()
    assert sum(latency.counts) == 3
    assert latency.sum_ns > 0


def test_flow_table_figures_go_on_over_rulesets_and_workers(bench: Bench) -> None:
    for _ in range(2):
        bench.install(CROSSED)
        for _ in range(3):
            bench.cross(81)
    bench.verdicts = bench.fresh()
    bench.install(CROSSED)
    bench.cross(81)

    assert bench.reader.word(Word.FLOW_HITS) == 4
    assert bench.reader.word(Word.FLOW_MISSES) == 3
    assert bench.reader.word(Word.FLOW_ENTRIES) == 1


def test_a_rule_without_a_slot_is_enforced_and_not_counted(bench: Bench) -> None:
    rules = ruleset(tcp(80))
    bench.verdicts.install(rules, (-1,) * len(rules.counter_keys))

    assert bench.judge(packet(80)) == ALLOW
    assert sum(bench.reader.policy(slot) for slot in range(len(rules.counter_keys))) == 0


def test_a_flow_that_is_allowed_for_good_is_not_remembered_and_one_that_is_denied_is(bench: Bench) -> None:
    bench.install(CROSSED)

    for port, entries in ((80, 0), (81, 1), (81, 1), (80, 1), (82, 2)):
        bench.cross(port)
        assert bench.reader.word(Word.FLOW_ENTRIES) == entries

    assert bench.reader.word(Word.FLOW_HITS) == 1
    assert bench.reader.word(Word.PACKETS) == 5


def test_what_is_remembered_of_flows_goes_with_the_time(bench: Bench) -> None:
    bench.install(CROSSED)
    bench.verdicts.publish(1000.0)
    bench.cross(81, now=1000.0)
    entries = [bench.reader.word(Word.FLOW_ENTRIES)]

    for turns in (1, 2, 3):
        bench.verdicts.publish(1000.0 + turns * FLOW_SECONDS)
        entries.append(bench.reader.word(Word.FLOW_ENTRIES))

    assert entries == [1, 1, 0, 0]


def test_an_interface_is_asked_for_once_until_one_of_them_changes(bench: Bench) -> None:
    bench.install(ruleset(tcp(80)))
    for _ in range(3):
        assert bench.judge(packet(80)) == ALLOW
        assert bench.judge(packet(80), OTHER) == DENY
    assert bench.named == 2

    bench.names[ETH0], bench.names[OTHER] = bench.names[OTHER], bench.names[ETH0]
    bench.verdicts.forget_interfaces()

    assert bench.judge(packet(80)) == DENY
    assert bench.judge(packet(80), OTHER) == ALLOW
    assert bench.named == 4


def test_the_same_interface_is_another_place_at_another_gate(bench: Bench) -> None:
    bench.install(ruleset(tcp(80)))

    for _ in range(2):
        assert [bench.judge(packet(81)), bench.judge(packet(81), 0, OUT, ETH0)] == [DENY, ALLOW]


def test_interfaces_that_come_by_the_thousand_are_not_all_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts_module, "WAYS", 8)
    bench.install(ruleset(tcp(80)))
    bench.names |= {number: f"eth{number}" for number in range(10, 100)}

    for number in range(10, 100):
        assert bench.judge(packet(80), number) == DENY
        assert bench.judge(packet(80)) == ALLOW
        assert len(bench.verdicts._asks) <= 8


def living() -> Counter[str]:
    """Return how many there are of what a ruleset and its memory are made of."""
    kinds = (Axis, Chain, Engine, FlowTable, Outcomes, Slice, Way)
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))


def test_a_ruleset_and_what_was_remembered_under_it_go_with_the_next_install(bench: Bench) -> None:
    rules = pickle.dumps(ruleset(LOG, tcp(80)))
    gc.collect()
    gc.disable()
    try:
        before, counts = living(), []
        for _ in range(3):
            bench.install(pickle.loads(rules))  # noqa: S301 - our own bytes
            for port in (80, 81, 82):
                bench.judge(packet(port))
            counts.append(living() - before)

        assert counts[0] == counts[1] == counts[2]
        assert counts[0]["Engine"] == 1
        bench.install(Ruleset("n"))
        assert living() - before == Counter({"Engine": 1, "FlowTable": 1})
    finally:
        gc.enable()
