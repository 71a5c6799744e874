from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from guarded import Server, connect, connects, documents, endpoint, policy, tcp
from netns import Namespace, pair, until

from nfq_guard.adapters.nft import Table, probe_queue_target
from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import UNPARSABLE_WORD, VERDICT_WORD, Word, create_block, map_block
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.process import WorkerProcess
from nfq_guard.daemon.worker import _described
from nfq_guard.engine.ruleset import Options, Ruleset
from nfq_guard.kernel.plan import KernelPlan, KernelSettings
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Side, Stage
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.packet import UnparsableReason
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

SETUP = protocol.WorkerSetup(4600, 128, KernelSettings(queue=4600), 100)


class Serving:
    """A worker that holds its queue."""

    def __init__(self, ruleset: Ruleset | None = None) -> None:
        self.descriptor = create_block()
        self.words = map_block(self.descriptor)
        self.process = WorkerProcess(SETUP, self.descriptor)
        self.install(1, ruleset)
        self.process.send(protocol.Bind())
        until(lambda: self.heard().bound, "bound", 20)

    def install(self, generation: int, ruleset: Ruleset | None = None) -> None:
        rules = replace(ruleset or Ruleset("n"), generation=generation)
        slots = tuple(range(len(rules.counter_keys)))
        payload = protocol.store(rules, protocol.Install(generation, slots))
        self.process.send_file(payload)
        os.close(payload)

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
        os.close(made.descriptor)


def test_it_acknowledges_each_ruleset_and_publishes_its_generation(serving: Serving) -> None:
    serving.install(2)

    until(lambda: serving.heard().generation == 2, "acknowledged")
    assert serving.words[Word.GENERATION] == 2


def test_it_shows_that_it_lives_while_there_is_nothing_to_do(serving: Serving) -> None:
    before = serving.words[Word.HEARTBEAT_NS]

    until(lambda: serving.words[Word.HEARTBEAT_NS] > before, "a beat", 5)


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
            os.close(serving.descriptor)


def rename(space: Namespace, before: str, name: str) -> None:
    space.ip("link", "set", before, "down")
    space.ip("link", "set", before, "name", name, "up")


def compiled(*texts: str) -> Ruleset:
    compiler = Compiler(("unused",), Options())
    facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.77.0.1",), 2)})
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
