from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import socket
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from captures import wire
from guarded import Server, connect, connects, documents, endpoint, policy, tcp
from netns import Namespace, pair, until

from nfq_guard.adapters.nfqueue import ALLOW, DENY
from nfq_guard.adapters.nft import Table, probe_queue_target
from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import UNPARSABLE_WORD, VERDICT_WORD, Word, create_block, map_block
from nfq_guard.daemon.parcel import Unpacking
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.process import WorkerProcess
from nfq_guard.daemon.ring import Reader, create_ring
from nfq_guard.daemon.worker import Worker, _described
from nfq_guard.engine import Engine, flowtable
from nfq_guard.engine.axis import Axis
from nfq_guard.engine.chain import ANYTHING, Chain, Criteria, FlatRule, Step
from nfq_guard.engine.flowtable import FlowTable
from nfq_guard.engine.ruleset import GuardedEndpoint, Options, Ruleset
from nfq_guard.engine.slices import Slice
from nfq_guard.engine.ways import Way
from nfq_guard.kernel.plan import KernelPlan, KernelSettings
from nfq_guard.model.addresses import Intervals
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import Direction, Gate, Packet, Side, Stage
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.packet import UnparsableReason
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

IN = Gate(Stage.NORMAL, Direction.IN)
SETUP = protocol.WorkerSetup(4600, 128, KernelSettings(queue=4600), 100)


class Serving:
    """A worker that holds its queue."""

    def __init__(self, ruleset: Ruleset | None = None) -> None:
        self.descriptor = create_block()
        self.words = map_block(self.descriptor)
        self.ring = create_ring()
        self.process = WorkerProcess(SETUP, self.descriptor, self.ring)
        self.install(1, ruleset)
        self.process.send(protocol.Bind())
        until(lambda: self.heard().bound, "bound", 20)

    def install(self, generation: int, ruleset: Ruleset | None = None) -> None:
        rules = replace(ruleset or Ruleset("n"), generation=generation)
        slots = tuple(range(len(rules.counter_keys)))
        payload = protocol.store(rules, protocol.Install(generation, slots))
        self.process.send_file(payload)
        os.close(payload)

    def close(self) -> None:
        for descriptor in (self.descriptor, self.ring):
            os.close(descriptor)

    def heard(self) -> WorkerProcess:
        self.process.wait(0.05)
        list(self.process.take())
        return self.process


@pytest.fixture
def serving() -> Iterator[Serving]:
    with Namespace() as space, space.entered():
        made = Serving()
        yield made
        made.process.kill()
        made.process.close()
        made.close()


def test_it_acknowledges_each_ruleset_and_publishes_its_generation(serving: Serving) -> None:
    serving.install(2)

    until(lambda: serving.heard().generation == 2, "acknowledged")
    assert serving.words[Word.GENERATION] == 2


def test_it_shows_that_it_lives_while_there_is_nothing_to_do(serving: Serving) -> None:
    before = serving.words[Word.HEARTBEAT_NS]

    until(lambda: serving.words[Word.HEARTBEAT_NS] > before, "a beat", 5)


def test_it_writes_down_what_it_is_told_to_watch_for(here: Here) -> None:
    reader = Reader(here.ring)
    here.send(replace(compiled(endpoint("lo"), policy(tcp(80))), generation=1))
    here.settle()

    told = []
    for wish in (
        protocol.NOBODY_WATCHES,
        protocol.Watch(deny=True, allow=True, log=True),
        protocol.NOBODY_WATCHES,
    ):
        protocol.send(here.control, wish)
        here.settle()
        assert [here.judge(syn(port)) for port in (80, 81)] == [ALLOW, DENY]
        told.append([record.verdict for record in reader.read(10)])

    assert told == [["deny"], ["allow", "deny"], ["deny"]]
    assert here.heard() == [protocol.Installed(1)]
    reader.close()


def test_without_a_controller_nobody_watches() -> None:
    made = Here()
    protocol.send(made.control, protocol.Watch(deny=True, allow=True, log=True))
    made.worker._turn()
    watched = [made.worker._verdicts._recorder.everything]

    made.control.close()
    made.worker._turn()

    watched.append(made.worker._verdicts._recorder.everything)
    assert watched == [True, False]
    for descriptor in (made.descriptor, made.ring):
        os.close(descriptor)


def test_it_outlives_its_controller_and_ignores_the_terminal(serving: Serving) -> None:
    serving.process._socket.close()
    before = serving.words[Word.HEARTBEAT_NS]
    os.kill(serving.process.pid, signal.SIGINT)

    until(lambda: serving.words[Word.HEARTBEAT_NS] > before + 600_000_000, "it goes on", 5)
    assert not serving.process.finished()


@pytest.mark.parametrize("data", [b"rubbish", pickle.dumps(1)], ids=["no pickle", "no message"])
def test_it_survives_a_message_that_it_cannot_read(serving: Serving, data: bytes) -> None:
    serving.process._socket.send(data)
    serving.install(2)

    until(lambda: serving.heard().generation == 2, "it goes on")
    assert "not understood" in (serving.process.refusal or "")
    assert not serving.process.finished()


def test_a_worker_that_talks_rubbish_is_ended(serving: Serving) -> None:
    ours, theirs = protocol.pair()
    with serving.process._socket, theirs:
        serving.process._socket = ours
        theirs.send(b"rubbish")

        until(lambda: serving.heard().finished(), "it is ended")

    assert "rubbish" in (serving.process.refusal or "")


def test_it_has_given_up_all_but_one_capability(serving: Serving) -> None:
    status = Path(f"/proc/{serving.process.pid}/status").read_text()

    assert f"CapPrm:\t{1 << 12:016x}" in status


def test_a_renamed_interface_is_judged_by_its_new_name_from_the_next_packet() -> None:
    allows, denies = (compiled(endpoint(), policy(tcp(port))) for port in (80, 81))
    ruleset = replace(allows, governed={"eth0": allows.governed["eth0"], "wan0": denies.governed["eth0"]})
    with pair() as (guarded, peer), guarded.namespace.entered():
        serving = Serving(ruleset)
        table = Table(SETUP.kernel, probe_queue_target())
        table.install(KernelPlan(1, ("eth0", "other0", "wan0")))
        server = Server(guarded.namespace, 80)
        try:
            assert connects(peer, guarded, 80)

            rename(guarded.namespace, "eth0", "wan0")
            with pytest.raises(OSError, match="timed out"):
                connect(peer, guarded, 80, timeout=0.5)
            assert serving.words[VERDICT_WORD[Reason.TIER_DEFAULT, Verdict.DENY, Side.INGRESS, Stage.NORMAL]]

            rename(guarded.namespace, "wan0", "other0")
            with pytest.raises(OSError, match="timed out"):
                connect(peer, guarded, 80, timeout=0.5)
            assert serving.words[UNPARSABLE_WORD[UnparsableReason.UNKNOWN_INTERFACE]]
        finally:
            server.close()
            serving.process.kill()
            serving.process.close()
            serving.close()


def large(generation: int = 0, *, number: int = 20_000) -> Ruleset:
    """Return a ruleset that takes many bits of work to take in: rules for single sources."""
    allow, deny = (Decision(verdict, Reason.POLICY) for verdict in (Verdict.ALLOW, Verdict.DENY))
    rules = [
        FlatRule(
            Step.DECIDE,
            {4: Criteria(src=Intervals(((2 * line, 2 * line),)), protocol=Intervals(((6, 6),)))},
            allow._replace(tier=f"tier {line}"),
        )
        for line in range(number)
    ]
    chain = Chain([*rules, FlatRule(Step.DECIDE, ANYTHING, deny)])
    endpoint = GuardedEndpoint("large", {(Stage.NORMAL, Side.INGRESS): chain})
    return Ruleset("guarded", {"large0": endpoint}, generation=generation)


@pytest.fixture(scope="module")
def big() -> Ruleset:
    return large()


def test_while_a_ruleset_is_taken_in_packets_are_judged_by_the_one_before(big: Ruleset) -> None:
    allows, denies = (compiled(endpoint(), policy(tcp(port))) for port in (80, 81))
    with pair() as (guarded, peer), guarded.namespace.entered():
        serving = Serving(allows)
        table = Table(SETUP.kernel, probe_queue_target())
        table.install(KernelPlan(1, ("eth0",)))
        server = Server(guarded.namespace, 80)
        try:
            assert connects(peer, guarded, 80)

            serving.install(2, replace(denies, governed={**denies.governed, **big.governed}))
            judged = 0
            with contextlib.suppress(TimeoutError):
                while True:
                    connect(peer, guarded, 80, timeout=0.5).close()
                    judged += 1

            assert judged > 2
            assert serving.words[Word.GENERATION] == 2
            assert serving.heard().generation == 2
        finally:
            server.close()
            serving.process.kill()
            serving.process.close()
            serving.close()


def test_a_ruleset_that_cannot_be_taken_in_is_refused_and_the_one_before_stays(
    serving: Serving, big: Ruleset
) -> None:
    stored = protocol.store(big, protocol.Install(2, ()))
    os.truncate(stored, os.fstat(stored).st_size // 2)
    serving.process.send_file(stored)
    os.close(stored)

    until(lambda: serving.heard().refusal, "it is refused")
    assert "not understood" in (serving.process.refusal or "")
    assert (serving.process.generation, serving.words[Word.GENERATION]) == (1, 1)
    serving.install(3)
    until(lambda: serving.heard().generation == 3, "it goes on")


class Here:
    """A worker of this process that turns when it is told to."""

    def __init__(self) -> None:
        self.control, theirs = protocol.pair()
        self.descriptor = create_block()
        self.words = map_block(self.descriptor)
        self.ring = create_ring()
        self.worker = Worker(theirs, self.words, self.ring)
        protocol.send(self.control, SETUP)
        self.worker._turn()

    def send(self, ruleset: Ruleset) -> None:
        slots = tuple(range(len(ruleset.counter_keys)))
        stored = protocol.store(ruleset, protocol.Install(ruleset.generation, slots))
        protocol.send_file(self.control, stored)
        os.close(stored)

    def heard(self) -> list[protocol.FromWorker | None]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(protocol.hear(self.control))
        return found

    @property
    def busy(self) -> bool:
        return self.worker._unpacking is not None or self.worker._leftovers is not None

    def settle(self) -> list[float]:
        """Turn until nothing is left to do; return the seconds of processor time of each turn."""
        self.worker._turn()
        times = []
        while self.busy:
            began = time.thread_time()
            self.worker._turn()
            times.append(time.thread_time() - began)
        return times

    def judge(self, data: bytes, gate: Gate = IN) -> int:
        message, number = bytearray(data), socket.htonl(self.interface)
        outward = number if gate.direction is Direction.FORWARD else 0
        return self.worker._verdicts.judge(gate, number, outward)(message, 0, len(data))

    def close(self) -> None:
        self.control.close()
        assert self.worker._control is not None
        self.worker._control.close()
        if self.worker._links is not None:
            self.worker._links.close()
        os.close(self.descriptor)
        os.close(self.ring)

    interface = socket.if_nametoindex("lo")


@pytest.fixture
def here() -> Iterator[Here]:
    made = Here()
    gc.collect()
    gc.disable()
    yield made
    gc.enable()
    made.close()


def test_neither_taking_in_a_ruleset_nor_freeing_one_holds_up_packets(here: Here, big: Ruleset) -> None:
    for generation in (1, 2, 3):
        here.send(replace(big, generation=generation))
        times = here.settle()

        assert here.heard() == [protocol.Installed(generation)]
        assert len(times) > 20
        # A bit is a millisecond and what was begun in it; a ruleset at once takes hundreds.
        assert sorted(times)[-3] < 0.02


def test_a_ruleset_that_comes_while_another_is_taken_in_takes_its_place(here: Here, big: Ruleset) -> None:
    here.send(replace(big, generation=1))
    for _ in range(5):
        here.worker._turn()
    assert here.worker._unpacking is not None
    here.send(Ruleset("n", generation=2))
    here.settle()

    assert here.heard() == [protocol.Installed(2)]
    assert here.words[Word.GENERATION] == 2


def test_of_a_ruleset_that_was_installed_before_nothing_is_left(here: Here) -> None:
    rules = compiled(endpoint("lo"), policy(tcp(80)))
    counts = []
    for generation in range(1, 5):
        here.send(replace(rules, generation=generation))
        here.settle()
        assert [here.judge(syn(port)) for port in (80, 81)] == [ALLOW, DENY]
        counts.append(living())

    assert counts[0]["Engine"] >= 1
    assert len(set(map(str, counts))) == 1


def test_a_ruleset_that_was_refused_or_replaced_leaves_nothing(here: Here) -> None:
    big = large(1, number=3000)
    before = living()
    stored = protocol.store(big, protocol.Install(1, ()))
    os.truncate(stored, os.fstat(stored).st_size - 10)
    protocol.send_file(here.control, stored)
    os.close(stored)
    here.settle()
    assert [type(answer) for answer in here.heard()] == [protocol.Refused]
    assert living() == before


@pytest.mark.traffic
def test_a_queue_is_bound_when_there_is_something_to_judge_by_and_not_before(big: Ruleset) -> None:
    with Namespace() as space, space.entered():
        here = Here()
        here.send(replace(big, generation=1))
        protocol.send(here.control, protocol.Bind())
        for _ in range(5):
            here.worker._turn()
        assert here.busy
        assert here.heard() == []

        here.settle()

        assert here.heard() == [protocol.Installed(1), protocol.Bound()]
        reader = here.worker._reader
        assert reader is not None
        reader.close()
        here.close()


def test_a_queue_that_can_not_be_read_any_more_ends_the_worker() -> None:
    with Namespace() as space, space.entered():
        here = Here()
        protocol.send(here.control, protocol.Bind())
        here.send(Ruleset("n", generation=1))
        while here.worker._reader is None or here.busy:
            here.worker._turn()
        reader = here.worker._reader
        here.heard()
        assert reader._socket is not None
        reader._socket.close()

        with pytest.raises(SystemExit, match="4"):
            here.worker._answer(reader)

        (answer,) = here.heard()
        assert isinstance(answer, protocol.Refused)
        assert "neither read nor answered" in answer.why
        reader.close()
        here.close()


def test_what_is_remembered_of_flows_goes_though_no_packet_comes(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarded = policy(tcp(80)).replace("spec:", "spec:\n  applyOnForward: true")
    here.send(replace(compiled(endpoint("lo"), forwarded), generation=1))
    here.settle()
    here.judge(syn(81), Gate(Stage.FORWARD, Direction.FORWARD))
    here.worker._verdicts.publish(0.0)
    assert here.words[Word.FLOW_ENTRIES] == 1

    monkeypatch.setattr(flowtable, "FLOW_SECONDS", 0.0)
    for _ in range(2):
        here.worker._turn()

    assert here.words[Word.FLOW_ENTRIES] == 0


def syn(port: int) -> bytes:
    return wire(Packet(4, 6, 1, 2, 1000, port))


def living() -> Counter[str]:
    """Return how many there are of what rulesets and their memories are made of."""
    kinds = (Axis, Chain, Engine, FlowTable, GuardedEndpoint, Ruleset, Slice, Unpacking, Way)
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))


def rename(space: Namespace, before: str, name: str) -> None:
    space.ip("link", "set", before, "down")
    space.ip("link", "set", before, "name", name, "up")


def compiled(*texts: str) -> Ruleset:
    compiler = Compiler(("unused",), Options())
    facts = HostFacts(
        "guarded",
        {"eth0": Interface("eth0", ("10.77.0.1",), 2), "lo": Interface("lo", ("127.0.0.1",), 1)},
    )
    loaded = compiler.decode([Source("a.yaml", documents(*texts).encode())])
    return compiler.compile(loaded, facts).ruleset


def test_a_logged_packet_is_described_by_the_fields_it_has() -> None:
    from scapy.layers.inet import ICMP, IP  # noqa: PLC0415 - slow to import

    described = _described(bytes(IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(type=8)))

    assert described == {
        "protocol": "ICMP",
        "src": "10.0.0.2",
        "dst": "10.0.0.1",
        "icmp_type": 8,
        "icmp_code": 0,
    }
    assert _described(b"") == {}
