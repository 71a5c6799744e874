from __future__ import annotations

import os
import selectors
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captures import wire

from nfq_guard.adapters.control import Passing
from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import VerdictLabels, Word
from nfq_guard.daemon.logs import Log
from nfq_guard.daemon.pool import Pool
from nfq_guard.daemon.ring import DENIALS, WATCHED, Reader, Writer
from nfq_guard.daemon.settings import Settings
from nfq_guard.daemon.watching import Watching, sources
from nfq_guard.daemon.wishes import LEASE_SECONDS, MOST
from nfq_guard.engine.ruleset import CounterKey, Ruleset
from nfq_guard.kernel.plan import KernelSettings
from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import TCP, Direction, Packet, Side, Stage
from nfq_guard.stream.event import Rule
from nfq_guard.stream.record import ALLOW, DENY, note, outcome, place

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = CounterKey("default", "GlobalNetworkPolicy", "traffic", "0", "ingress", "deny")
HERE = place(Stage.NORMAL, Direction.IN, "eth0", "")
LABELS = VerdictLabels("failsafe", "allow", "ingress", "normal")
SOURCES = sources(Settings(rules=("/etc/rules", "mine"), node="worker-1", allow_neighbor_discovery=False))


class Post:
    """Watching over a pool whose workers are not started: records are written by the test."""

    def __init__(self, base: Path, *, deny_log: bool = True) -> None:
        self.path = base / "log"
        self.descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY)
        kernel = KernelSettings(queue=10, queue_count=2)
        setups = tuple(protocol.WorkerSetup(queue, 128, kernel, 100) for queue in (10, 11))
        log = Log(fd=self.descriptor)
        self.pool = Pool(setups, log, selectors.DefaultSelector(), lambda _: None)
        self.readings = 0
        self.watching = Watching(self.pool, log, self.read_kernel, sources=SOURCES, deny_log=deny_log)
        self.watching.legends.follow(Ruleset("n", counter_keys=(KEY,), generation=3))
        self.writers = {
            queue: {part: Writer(ring, part) for part in (WATCHED, DENIALS)}
            for queue, ring in self.pool.rings.items()
        }

    def read_kernel(self) -> dict[VerdictLabels, int]:
        self.readings += 1
        return {LABELS: self.readings}

    def ask(self, now: float = 0.0, **request: Any) -> Any:
        return self.watching.answer(request, now)

    def write(self, port: int, verdict: str = DENY, queue: int = 10) -> None:
        data = wire(Packet(4, TCP, 1, 2, 1000, port))
        said = note(3, 0, outcome(verdict, Reason.POLICY, Side.INGRESS))
        for part in (WATCHED, DENIALS) if verdict == DENY else (WATCHED,):
            self.writers[queue][part].write(1, said, HERE, data, 0, len(data))

    def count(self, denied: int, judged: int = 0) -> None:
        words = self.pool._slots[0].place.words
        words[Word.DENIED] += denied
        words[Word.PACKETS] += judged

    def lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()

    @property
    def wished(self) -> tuple[bool, bool, bool]:
        return self.pool._wish


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    os.close(made.descriptor)


def test_a_watcher_is_told_of_queues_and_lease_and_its_wish_reaches_the_workers(post: Post) -> None:
    assert post.ask(command="watch", id="a", verdicts=["deny"]) == {
        "queues": [10, 11],
        "lease_seconds": LEASE_SECONDS,
        "unwritten": {"allow": 0, "deny": 0},
        "generation": 3,
        "changes": 1,
    }
    assert post.wished == (True, False, False)

    post.ask(command="watch", id="b", verdicts=["allow", "deny"], now=1.0)
    assert post.wished == (True, True, False)
    post.ask(command="watch", id="c", verdicts=["log"], now=1.0)
    assert post.wished == (True, True, True)


def test_a_watcher_is_told_once_what_the_policy_is_made_of(post: Post) -> None:
    told = post.ask(command="watch", id="a", verdicts=["deny"], open=True).answer

    assert told["sources"] == {
        "rules": ["/etc/rules", str(Path.cwd() / "mine")],
        "node": "worker-1",
        "allow_neighbor_discovery": False,
    }
    assert "sources" not in post.ask(command="watch", id="a", verdicts=["deny"])


def test_a_node_that_no_setting_names_is_told_by_the_hosts_name() -> None:
    assert sources(Settings())["node"] == socket.gethostname().lower()


def test_a_watcher_that_stops_renewing_is_forgotten_at_the_next_turn(post: Post) -> None:
    post.ask(command="watch", id="a", verdicts=["allow", "deny"])

    post.watching.turn(LEASE_SECONDS - 0.1)
    assert post.wished == (True, True, False)
    post.watching.turn(LEASE_SECONDS)

    assert post.wished == (False, False, False)


def test_a_watcher_is_told_what_nobody_wished_for_while_it_was_forgotten(post: Post) -> None:
    def renewed(who: str, now: float, *verdicts: str) -> dict[str, int]:
        unwritten: dict[str, int] = post.ask(command="watch", id=who, verdicts=list(verdicts), now=now)[
            "unwritten"
        ]
        return unwritten

    assert renewed("a", 0.0, "allow", "deny") == {"allow": 0, "deny": 0}
    post.count(4, judged=10)
    post.watching.turn(LEASE_SECONDS)
    post.write(23)
    post.count(5, judged=20)
    assert renewed("b", 10.0, "deny") == {"allow": 15, "deny": 4}
    post.count(5, judged=20)

    assert renewed("a", 11.0, "allow", "deny") == {"allow": 30, "deny": 4}


def test_a_watcher_gets_the_rings_in_the_order_of_queues_and_can_only_read_them(post: Post) -> None:
    answer = post.ask(command="watch", id="a", verdicts=["deny"], open=True)
    assert isinstance(answer, Passing)

    readers = [Reader(descriptor) for descriptor in answer.descriptors]
    post.write(23, queue=11)

    assert [len(reader.read(10)) for reader in readers] == [0, 1]
    with pytest.raises(PermissionError):
        Writer(answer.descriptors[0])
    assert post.ask(command="watch", id="b", verdicts=["deny"], open=True).descriptors == answer.descriptors


@pytest.mark.parametrize(
    "request_",
    [
        {"verdicts": ["deny"]},
        {"id": 1, "verdicts": ["deny"]},
        {"id": "", "verdicts": ["deny"]},
        {"id": "x" * 129, "verdicts": ["deny"]},
        {"id": "a"},
        {"id": "a", "verdicts": "deny"},
        {"id": "a", "verdicts": ["drop"]},
        {"id": "a", "verdicts": [["deny"]]},
    ],
    ids=str,
)
def test_a_wish_that_is_not_understood_is_refused(post: Post, request_: dict[str, Any]) -> None:
    assert list(post.ask(command="watch", **request_)) == ["error"]
    assert post.wished == (False, False, False)


def test_there_is_a_most_of_watchers(post: Post) -> None:
    answers = [post.ask(command="watch", id=str(number), verdicts=["deny"]) for number in range(MOST + 1)]

    assert ["error" in answer for answer in answers] == [False] * MOST + [True]


def test_a_legend_is_told_by_its_generation(post: Post) -> None:
    assert post.ask(command="legend", generation=3) == {
        "generation": 3,
        "rules": [Rule(*KEY)._asdict()],
    }
    for other in (2, None, "3", [3]):
        assert list(post.ask(command="legend", generation=other)) == ["error"]


def test_what_the_kernel_counts_is_read_no_more_than_twice_a_second(post: Post) -> None:
    told = [post.ask(command="kernel-verdicts", now=100 + tenth / 10) for tenth in range(11)]

    assert told[0] == {"verdicts": [LABELS._asdict() | {"packets": 1}]}
    assert post.readings == 3
    assert told[-1]["verdicts"][0]["packets"] == 3


def test_what_others_answer_is_left_to_them(post: Post) -> None:
    assert post.ask(command="status") is None
    assert post.ask() is None


def test_a_denial_is_logged_with_its_rule_and_an_allowed_packet_is_not(post: Post) -> None:
    post.write(80, ALLOW)
    post.write(23, queue=11)

    post.watching.turn(0.0)
    post.watching.turn(0.1)

    (line,) = post.lines()
    assert "info denied reason=policy policy=traffic" in line
    assert "src=0.0.0.1 dst=0.0.0.2 sport=1000 dport=23 more=0 others=0" in line


def test_denials_without_a_record_are_counted_in_the_next_line(post: Post) -> None:
    post.write(23)
    post.count(5)
    post.watching.turn(0.0)
    assert post.watching.missed == 4

    post.write(24)
    post.count(1)
    post.watching.turn(0.1)

    assert [line.rpartition(" ")[2] for line in post.lines()] == ["others=0", "others=4"]
    assert post.watching.missed == 4


def test_a_turn_reads_a_bounded_number_of_records_and_none_is_taken_for_missed(post: Post) -> None:
    for _ in range(1000):
        post.write(23)
    post.count(1000)

    post.watching.turn(0.0)
    assert post.watching.missed == 0
    for turn in range(1, 6):
        post.watching.turn(turn / 10)
    assert post.watching.missed == 0
    post.watching.turn(70.0)
    post.write(23)
    post.watching.turn(70.0)

    assert [line.rpartition(" more=")[2] for line in post.lines()] == ["0 others=0", "999 others=0"]


def test_what_was_overwritten_before_it_was_read_is_missed(post: Post) -> None:
    for _ in range(DENIALS.slots + 100):
        post.write(23)
    post.count(DENIALS.slots + 100)
    for turn in range(DENIALS.slots // 256 + 2):
        post.watching.turn(turn / 100)

    assert post.watching.missed == 100


def test_what_was_missed_of_a_flood_is_told_while_it_lasts(post: Post) -> None:
    for turn in range(3):
        for _ in range(300):
            post.write(23)
        post.count(20_000)
        post.watching.turn(turn / 10)

    # More is written down in each turn than is read: there is no end of it to wait for.
    assert post.watching.missed > 50_000
    post.write(24)
    post.count(1)
    for turn in range(20):
        post.watching.turn(1 + turn / 10)

    assert post.watching.missed == 60_000 - 900
    assert int(post.lines()[-1].rpartition("others=")[2]) > 50_000


def test_without_the_deny_log_nothing_is_logged_and_nothing_missed(tmp_path: Path) -> None:
    post = Post(tmp_path, deny_log=False)
    post.write(23)
    post.count(5)

    post.watching.turn(0.0)

    assert (post.lines(), post.watching.missed) == ([], 0)
    os.close(post.descriptor)


def test_a_watcher_of_our_own_is_heeded_like_any_other(post: Post) -> None:
    assert post.watching.renew("page", protocol.Watch(deny=True, allow=False, log=True), 0.0)
    assert post.wished == (True, False, True)

    post.watching.turn(LEASE_SECONDS)
    assert post.wished == (False, False, False)

    for number in range(MOST):
        post.ask(command="watch", id=str(number), verdicts=["allow"], now=5.0)
    assert not post.watching.renew("page", protocol.Watch(deny=True, allow=False, log=True), 5.0)
