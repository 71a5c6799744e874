from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from nfq_guard.daemon.recorder import BURST, PER_SECOND, Recorder, whereabouts
from nfq_guard.daemon.ring import DENIALS, Reader, Writer, create_ring
from nfq_guard.engine.chain import Logged, Match
from nfq_guard.engine.engine import Place
from nfq_guard.engine.flowtable import Outcome
from nfq_guard.kernel.gates import ALLOW, DENY, PASS, REJECT, UNJUDGED
from nfq_guard.model.decision import Action, Decision, Reason, RuleRef, Verdict
from nfq_guard.model.flow import Direction, Gate, Side, Stage
from nfq_guard.packet import Unparsable, UnparsableReason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.stream.record import Record

OUT = Place(Gate(Stage.UNTRACKED, Direction.OUT), "", "eth0")
HERE = whereabouts(OUT)
ALLOWED = Outcome(Match(Decision(Verdict.ALLOW, Reason.FAILSAFE)), ALLOW)
PASSED = Outcome(Match(None, (4,), (), 4), PASS)
DENIED = Outcome(
    Match(Decision(Verdict.DENY, Reason.POLICY, side=Side.EGRESS), (3, 7), (), 7), DENY, denies=True
)
REJECTED = Outcome(Match(Decision(Verdict.DENY, Reason.NO_MATCH)), REJECT, denies=True)
LOGS = tuple(
    Logged(
        RuleRef("t", "GlobalNetworkPolicy", "p", None, rule, Side.EGRESS, Action.LOG, "a.yaml", 1), counter
    )
    for rule, counter in ((0, 5), (1, 6))
)
LOGGED = Outcome(Match(Decision(Verdict.ALLOW, Reason.POLICY), (5, 6, 7), LOGS, 7), ALLOW)
LOGGED_DENIED = Outcome(Match(Decision(Verdict.DENY, Reason.POLICY), (5, 6, 7), LOGS, 7), DENY, denies=True)
PACKET = b"ahead" + b"packet"


class Desk:
    """A recorder with a reader of what it writes."""

    def __init__(self) -> None:
        self.ring = create_ring()
        self.reader, self.log_reader = Reader(self.ring), Reader(self.ring, DENIALS)
        self.faults: list[str] = []
        self.recorder = Recorder(Writer(self.ring), Writer(self.ring, DENIALS), self.faults.append)
        self.recorder.generation = 5

    def deny(self, outcome: Outcome = DENIED, times: int = 1) -> None:
        for _ in range(times):
            self.recorder.noted(outcome, HERE, PACKET, 5, len(PACKET))

    def read(self) -> list[Record]:
        return self.reader.read(1000)

    def logged(self) -> list[Record]:
        return self.log_reader.read(1000)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.reader.close()
    made.log_reader.close()
    os.close(made.ring)


def test_a_record_says_what_was_decided_by_what_and_where(desk: Desk) -> None:
    desk.deny()
    desk.deny(REJECTED)

    first, second = desk.read()
    assert (first.generation, first.counter, first.verdict) == (5, 7, "deny")
    assert (first.reason, first.side, first.rejected) == (Reason.POLICY, Side.EGRESS, False)
    assert (first.stage, first.direction) == OUT.gate[:2]
    assert (first.in_interface, first.out_interface, first.data) == ("", "eth0", b"packet")
    assert (second.reason, second.counter, second.rejected) == (Reason.NO_MATCH, -1, True)


def test_denials_that_nobody_watches_are_written_down_at_a_bounded_rate(desk: Desk) -> None:
    desk.recorder.refill(1000.0)
    desk.deny(times=3 * BURST)
    assert len(desk.read()) == BURST
    assert not desk.recorder.spare

    # A busy worker asks every few milliseconds.
    for turn in range(500):
        desk.recorder.refill(1000.0 + turn / 1000)
        desk.deny(times=10)
    assert abs(len(desk.read()) - PER_SECOND // 2) <= 1

    desk.recorder.refill(2000.0)
    desk.deny(times=3 * BURST)
    assert len(desk.read()) == BURST


def test_a_clock_that_begins_anew_gives_nothing(desk: Desk) -> None:
    desk.recorder.refill(1000.0)
    desk.deny(times=BURST)

    desk.recorder.refill(0.0)

    assert not desk.recorder.spare


def test_every_denial_is_written_down_while_somebody_watches_and_no_more_of_them_for_the_log(
    desk: Desk,
) -> None:
    spare = desk.recorder.spare
    desk.recorder.watch(deny=True, allow=True, log=False)
    desk.deny(times=3 * BURST)
    assert (len(desk.read()), len(desk.logged())) == (3 * BURST, BURST)
    assert spare

    desk.recorder.watch(deny=False, allow=False, log=False)
    assert not spare
    desk.deny(times=3 * BURST)
    assert (desk.read(), desk.logged()) == ([], [])

    desk.recorder.refill(1.0)
    assert spare
    desk.deny(times=3 * BURST)

    assert [record[1:] for record in desk.read()] == [record[1:] for record in desk.logged()]
    assert desk.recorder.spare is spare


def test_the_log_has_denials_alone(desk: Desk) -> None:
    desk.recorder.watch(deny=True, allow=True, log=True)
    desk.deny(LOGGED_DENIED)
    desk.deny(LOGGED)
    desk.recorder.following(lambda *_: ALLOWED, HERE)(PACKET, 5, len(PACKET))
    for answer in (DENY, UNJUDGED):
        desk.recorder.unreadable(UnparsableReason.NOT_IP, answer, HERE, PACKET, 5, len(PACKET))

    assert [record.verdict for record in desk.logged()] == ["deny", "deny"]
    assert len(desk.read()) == 9


@pytest.mark.parametrize(
    ("said", "verdicts"),
    [
        (ALLOWED, ["allow"]),
        (PASSED, ["pass"]),
        (DENIED, []),
        (LOGGED, []),
        (Unparsable(UnparsableReason.NOT_IP), []),
    ],
    ids=["allowed", "left to the next stage", "denied", "logged", "unreadable"],
)
def test_whoever_follows_a_place_writes_down_what_nobody_else_does(
    desk: Desk, said: Any, verdicts: list[str]
) -> None:
    ask = desk.recorder.following(lambda *_: said, HERE)

    assert ask(PACKET, 5, len(PACKET)) is said
    assert [record.verdict for record in desk.read()] == verdicts


@pytest.mark.parametrize(
    ("outcome", "wish", "told"),
    [
        (LOGGED, (True, True, True), [("log", 5), ("log", 6), ("allow", 7)]),
        (LOGGED, (True, True, False), [("allow", 7)]),
        (LOGGED, (True, False, True), [("log", 5), ("log", 6)]),
        (LOGGED, (True, False, False), []),
        (LOGGED_DENIED, (False, False, True), [("log", 5), ("log", 6), ("deny", 7)]),
        (LOGGED_DENIED, (True, True, False), [("deny", 7)]),
    ],
)
def test_log_rules_are_written_down_ahead_of_the_verdict_while_somebody_wishes_it(
    desk: Desk, outcome: Outcome, wish: tuple[bool, bool, bool], told: list[tuple[str, int]]
) -> None:
    deny, allow, log = wish
    desk.recorder.watch(deny=deny, allow=allow, log=log)

    desk.deny(outcome)

    records = desk.read()
    assert [(record.verdict, record.counter) for record in records] == told
    assert {(record.reason, record.side) for record in records if record.verdict == "log"} <= {
        (None, Side.EGRESS)
    }


def test_log_rules_are_written_down_though_no_denial_is_to_spare(desk: Desk) -> None:
    desk.recorder.watch(deny=False, allow=False, log=True)
    desk.deny(times=BURST)
    desk.read()

    desk.deny(LOGGED_DENIED)

    assert [record.verdict for record in desk.read()] == ["log", "log"]


@pytest.mark.parametrize("allow", [False, True])
def test_what_could_not_be_judged_is_a_denial_or_goes_with_what_is_allowed(
    desk: Desk, *, allow: bool
) -> None:
    desk.recorder.watch(deny=True, allow=allow, log=False)
    for answer in (DENY, UNJUDGED):
        desk.recorder.unreadable(UnparsableReason.NOT_IP, answer, HERE, PACKET, 5, len(PACKET))

    found = [(record.verdict, record.unparsable) for record in desk.read()]
    assert found == [("deny", "not-ip"), ("unjudged", "not-ip")][: 2 if allow else 1]


def test_unreadable_packets_are_bounded_like_other_denials(desk: Desk) -> None:
    for _ in range(2 * BURST):
        desk.recorder.unreadable(None, DENY, HERE, PACKET, 5, len(PACKET))

    assert len(desk.read()) == BURST


def test_a_record_that_cannot_be_written_is_said_and_costs_nothing_else(desk: Desk) -> None:
    desk.recorder.generation = 2**40
    allowed, denied = (Outcome(one.match, one.answer, denies=one.denies) for one in (ALLOWED, DENIED))

    desk.deny(denied)
    ask = desk.recorder.following(lambda *_: allowed, HERE)

    assert ask(PACKET, 5, len(PACKET)) is allowed
    assert [fault.startswith("no record: error") for fault in desk.faults] == [True, True]
    assert desk.read() == []
