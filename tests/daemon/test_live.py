from __future__ import annotations

import pytest
from captures import wire

from nfq_guard.daemon import live
from nfq_guard.daemon.legends import Legends
from nfq_guard.daemon.live import KEPT, MOST, READ_SECONDS, RECORDS, Live, Want, hint
from nfq_guard.daemon.protocol import Watch
from nfq_guard.daemon.ring import WATCHED, Writer, create_ring
from nfq_guard.daemon.wishes import LEASE_SECONDS
from nfq_guard.engine.ruleset import CounterKey, Ruleset
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import TCP, Direction, Packet, Side, Stage
from nfq_guard.stream.filter import parse_filter
from nfq_guard.stream.record import ALLOW, DENY, LOG, PASS, UNJUDGED, note, outcome, place

KEY = CounterKey("default", "GlobalNetworkPolicy", "traffic", "0", "ingress", "deny")
HERE = place(Stage.NORMAL, Direction.IN, "eth0", "")
EVERYTHING = parse_filter("")


class Post:
    """The view of rings that the test writes in, on a clock that the test turns."""

    def __init__(self, queues: int = 1) -> None:
        self.rings = {queue: create_ring() for queue in range(queues)}
        self.writers = [Writer(descriptor) for descriptor in self.rings.values()]
        self.wishes: list[Watch] = []
        legends = Legends()
        legends.follow(Ruleset("n", counter_keys=(KEY,), generation=3))
        self.live = Live(self.rings, legends, self.renew)
        self.now = 100.0

    def renew(self, who: str, watch: Watch, now: float) -> bool:
        assert who
        assert now == self.now
        self.wishes.append(watch)
        return True

    def write(self, port: int, verdict: str = DENY, queue: int = 0, time: int = 1) -> None:
        data = wire(Packet(4, TCP, 1, 2, 1000, port))
        said = note(3, 0, outcome(verdict, Reason.POLICY, Side.INGRESS))
        self.writers[queue].write(time, said, HERE, data, 0, len(data))

    def turn(self) -> None:
        self.now += READ_SECONDS
        self.live.turn(self.now)

    def ask(
        self, after: int = 0, filter_: str = "", *, allowed: bool = False, most: int = MOST
    ) -> tuple[list[int], int, int]:
        """Return ports, number of the last, and how many were skipped."""
        found = self.live.ask(Want(after, most, allowed, parse_filter(filter_)), self.now)
        return [one["event"]["dport"] for one in found["events"]], found["last"], found["skipped"]


def test_nothing_is_read_or_wished_for_while_nobody_asks() -> None:
    post = Post()
    post.write(1)

    post.turn()

    assert post.wishes == []
    assert post.ask() == ([], 0, 0)


def test_whoever_asks_gets_what_was_written_before_and_since() -> None:
    post = Post()
    post.write(1)
    post.ask()
    post.write(2)

    post.turn()

    assert post.ask() == ([1, 2], 2, 0)
    assert post.ask(after=2) == ([], 2, 0)
    post.write(3)
    post.turn()
    assert post.ask(after=2) == ([3], 3, 0)


def test_denials_are_wished_for_by_default_and_everything_when_somebody_wants_it() -> None:
    post = Post()
    post.ask()
    post.turn()
    post.ask(allowed=True)
    post.turn()

    assert post.wishes == [
        Watch(deny=True, allow=False, log=True),
        Watch(deny=True, allow=True, log=True),
    ]

    post.now += LEASE_SECONDS
    post.turn()
    assert len(post.wishes) == 2


def test_ten_pages_cost_as_one() -> None:
    post = Post()
    for _ in range(10):
        post.ask()
    post.write(1)

    post.turn()
    post.live.turn(post.now)

    assert len(post.wishes) == 1
    assert [post.ask() for _ in range(10)] == [([1], 1, 0)] * 10


def test_of_too_many_the_newest_are_told_and_the_others_counted() -> None:
    post = Post()
    post.ask()
    post.write(0)
    post.turn()
    for port in range(1, RECORDS + 51):
        post.write(port)

    post.turn()

    ports, last, skipped = post.ask(after=1)
    assert ports == list(range(51, RECORDS + 51))
    assert (last, skipped) == (RECORDS + 51, 50)


def test_what_was_overwritten_before_it_was_read_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post()
    post.ask()
    post.write(0)
    post.turn()
    for port in range(WATCHED.slots + 10):
        post.write(port % 60_000)

    post.turn()

    ports, last, skipped = post.ask(after=1)
    assert len(ports) + skipped == WATCHED.slots + 10
    assert last == WATCHED.slots + 11


def test_an_answer_is_bounded_and_so_is_what_is_kept() -> None:
    post = Post()
    post.ask()
    for _ in range(KEPT // RECORDS + 5):
        for port in range(RECORDS):
            post.write(port)
        post.turn()
        post.ask()

    ports, last, skipped = post.ask(after=1)
    assert len(ports) == MOST
    assert skipped == last - 1 - MOST
    assert post.ask(after=1, most=0)[0] == []
    assert len(post.live._recent) == KEPT


def test_a_filter_looks_through_all_that_is_kept() -> None:
    post = Post()
    post.ask()
    post.write(22)
    for port in range(1000, 1000 + RECORDS - 1):
        post.write(port)
    post.turn()

    assert post.ask(filter_="dport == 22") == ([22], RECORDS, 0)


def test_what_was_allowed_is_told_only_to_whoever_wants_it() -> None:
    post = Post()
    post.ask(allowed=True)
    for port, verdict in enumerate((ALLOW, DENY, PASS, UNJUDGED, LOG)):
        post.write(port, verdict)
    post.turn()

    assert post.ask()[0] == [1, 3, 4]
    assert post.ask(allowed=True)[0] == [0, 1, 2, 3, 4]


def test_a_search_that_takes_too_long_ends_and_says_how_many_it_has_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post = Post()
    post.ask()
    for port in range(5):
        post.write(port)
    post.turn()
    monkeypatch.setattr(live, "SEARCH_SECONDS", -1.0)

    assert post.ask() == ([], 5, 5)


def test_a_page_that_did_not_ask_for_a_while_is_told_so_once() -> None:
    post = Post()
    post.ask()
    post.write(1)
    post.turn()

    def lapsed(after: int) -> bool:
        want = Want(after, MOST, allowed=False, filter=EVERYTHING)
        return bool(post.live.ask(want, post.now)["lapsed"])

    assert not lapsed(1)
    post.now += LEASE_SECONDS
    assert lapsed(1)
    assert not lapsed(1)
    post.now += LEASE_SECONDS
    assert not lapsed(0)


def test_several_queues_are_told_in_the_order_of_time() -> None:
    post = Post(2)
    post.ask()
    for time, queue in ((3, 0), (1, 1), (2, 1)):
        post.write(time, queue=queue, time=time)

    post.turn()

    assert post.ask()[0] == [1, 2, 3]


def test_an_event_has_its_rule_in_words() -> None:
    post = Post()
    post.ask()
    post.write(22)
    post.turn()

    (one,) = post.live.ask(Want(0, MOST, allowed=False, filter=EVERYTHING), post.now)["events"]

    assert one["decided"] == "tier default, GlobalNetworkPolicy(traffic) ingress rule 0"
    assert one["event"]["policy"] == {"kind": "GlobalNetworkPolicy", "name": "traffic", "namespace": None}


def test_numbers_of_another_life_are_no_numbers() -> None:
    post = Post()
    post.ask()
    post.write(22)
    post.turn()

    assert post.ask(after=10**9) == ([22], 1, 0)


@pytest.mark.parametrize(
    ("text", "allowed", "expected"),
    [("allow", False, True), ("allow", True, False), ("deny", False, False), ("", False, False)],
)
def test_a_filter_that_can_find_nothing_is_told_why(text: str, *, allowed: bool, expected: bool) -> None:
    assert bool(hint(parse_filter(text), allowed=allowed)) is expected
