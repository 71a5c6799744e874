from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from netns import Namespace, until

from nfq_guard.daemon import protocol
from nfq_guard.daemon.counters import Word, create_block, map_block
from nfq_guard.daemon.process import WorkerProcess
from nfq_guard.daemon.worker import _described
from nfq_guard.engine.ruleset import Ruleset
from nfq_guard.kernel.plan import KernelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

SETUP = protocol.WorkerSetup(4600, 128, KernelSettings(queue=4600), 100)


class Serving:
    """A worker that holds its queue."""

    def __init__(self) -> None:
        self.descriptor = create_block()
        self.words = map_block(self.descriptor)
        self.process = WorkerProcess(SETUP, self.descriptor)
        self.install(1)
        self.process.send(protocol.Bind())
        until(lambda: self.heard().bound, "bound", 20)

    def install(self, generation: int) -> None:
        payload = protocol.store(Ruleset("n", generation=generation), protocol.Install(generation, ()))
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


def test_it_has_given_up_all_but_one_capability(serving: Serving) -> None:
    status = Path(f"/proc/{serving.process.pid}/status").read_text()

    assert f"CapPrm:\t{1 << 12:016x}" in status


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
