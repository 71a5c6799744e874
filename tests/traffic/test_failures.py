"""What packets experience when workers are missing, hung or changed, and over reloads."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

import netns
import pytest
from bench import ENDPOINT, SHORT, Bench, address, bench, connects, hears, listener, udp

from nfq_guard.adapters.nfqueue import ALLOW, DENY
from nfq_guard.adapters.tablewatch import TableWatch
from nfq_guard.engine.ruleset import Failsafe, HostAction, Ruleset
from nfq_guard.kernel.plan import FailMode, KernelSettings
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import SCTP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])

FAILSAFES = Ruleset(
    "node",
    {"eth0": ENDPOINT},
    failsafe_inbound=(
        Failsafe(TCP, 22),
        Failsafe(UDP, 68),
        Failsafe(TCP, 2222, parse_net("10.77.0.0/24")),
        Failsafe(TCP, 2222, parse_net("fd00:77::/64")),
        Failsafe(TCP, 3333, parse_net("192.0.2.0/24")),
        Failsafe(TCP, 3333, parse_net("2001:db8::/32")),
        Failsafe(SCTP, 22),
    ),
    failsafe_outbound=(Failsafe(UDP, 53), Failsafe(TCP, 179, parse_net("10.77.0.2/32"))),
)
NEW_SYN_RETRY = 0.9
"""Seconds. A lost SYN is sent again after one: a connection that took as long lost its packet."""


@pytest.fixture
def here() -> Iterator[Bench]:
    """Yield a guarded namespace with failsafes installed and no worker."""
    with bench() as made:
        made.install(FAILSAFES)
        yield made


def _patience(expected: bool) -> float:  # noqa: FBT001
    """Return how long to wait: only for silence is the time short."""
    return 5 if expected else SHORT


@FAMILIES
def test_failsafe_ports_work_with_nobody_at_the_queue(here: Bench, family: int) -> None:
    host = address(here.guarded, family)
    for port, reached in ((22, True), (2222, True), (3333, False), (80, False), (68, False)):
        with listener(here.guarded, port, family):
            assert bool(connects(here.peer, host, port, timeout=_patience(reached))) is reached
    resolver, client = udp(here.peer, family, 53), udp(here.guarded, family)
    client.sendto(b"name?", (address(here.peer, family), 53))
    assert hears(resolver, timeout=5) == b"name?"
    with listener(here.peer, 179, family):
        connected = connects(here.guarded, address(here.peer, family), 179, timeout=_patience(family == 4))
        assert bool(connected) is (family == 4)
    counted = here.counters()
    assert counted["failsafe_in"] == 2
    assert counted["failsafe_out"] == (2 if family == 4 else 1)


def test_a_failsafe_connection_goes_on_when_its_port_is_taken_off_the_list_and_policy_allows(
    here: Bench,
) -> None:
    listening = listener(here.guarded, 22)
    client = connects(here.peer, here.guarded.v4, 22, timeout=5)
    assert client
    server, _ = listening.accept()
    with server, here.worker() as worker:
        here.install(Ruleset("node", {"eth0": ENDPOINT}))
        client.sendall(b"still here")
        assert hears(server, timeout=5) == b"still here"
        assert worker.count(22) == 1


@FAMILIES
def test_fail_closed_drops_what_nobody_judges(here: Bench, family: int) -> None:
    with listener(here.guarded, 80, family), listener(here.peer, 80, family):
        assert connects(here.peer, address(here.guarded, family), 80) is None
        assert connects(here.guarded, address(here.peer, family), 80) is None
    counted = here.counters()
    # With IPv6, the kernel's own multicast reports are denied as well.
    assert counted["queued_in"] >= 1
    assert counted["queued_out"] >= 1


@FAMILIES
def test_fail_open_passes_what_nobody_judges_and_does_not_remember_it(family: int) -> None:
    with bench(KernelSettings(fail_mode=FailMode.OPEN)) as here:
        here.install(FAILSAFES)
        receiver, sender = udp(here.guarded, family, 9), udp(here.peer, family)
        beyond, outward = udp(here.peer, family, 10), udp(here.guarded, family)
        for _ in range(2):
            sender.sendto(b"in", (address(here.guarded, family), 9))
            assert hears(receiver, timeout=5) == b"in"
            outward.sendto(b"out", (address(here.peer, family), 10))
            assert hears(beyond, timeout=5) == b"out"
        with here.worker() as worker:
            worker.decide = lambda _: DENY
            sender.sendto(b"in", (address(here.guarded, family), 9))
            outward.sendto(b"out", (address(here.peer, family), 10))
            assert hears(receiver) is None
            assert hears(beyond) is None
            assert (worker.count(9), worker.count(10)) == (1, 1)


def test_fail_open_overflow_of_output_is_not_remembered_either() -> None:
    with bench(KernelSettings(fail_mode=FailMode.OPEN)) as here:
        here.install()
        receiver, sender = udp(here.peer, port=9), udp(here.guarded)
        with here.worker(max_length=1) as worker:
            worker.pause()
            for number in range(3):
                sender.sendto(bytes([number]), (here.peer.v4, 9))
            assert [hears(receiver, timeout=5) for _ in range(2)] == [b"\1", b"\2"]
            worker.decide = lambda _: DENY
            worker.resume()
            netns.until(lambda: worker.count(9) == 1, "the packet that waited")
            sender.sendto(b"x", (here.peer.v4, 9))
            assert hears(receiver) is None
            assert worker.count(9) == 2


def test_live_connections_outlast_their_worker(here: Bench) -> None:
    with here.worker():
        listening = listener(here.guarded, 80)
        client = connects(here.peer, here.guarded.v4, 80, timeout=5)
        assert client
        server, _ = listening.accept()
    with server:
        for _ in range(3):
            client.sendall(b"question")
            assert hears(server, timeout=5) == b"question"
            server.sendall(b"answer")
            assert hears(client, timeout=5) == b"answer"
        assert connects(here.peer, here.guarded.v4, 80) is None
    with here.worker():
        assert connects(here.peer, here.guarded.v4, 80, timeout=5)


def test_a_hung_worker_holds_up_neither_failsafes_nor_live_connections(here: Bench) -> None:
    with here.worker() as worker, listener(here.guarded, 22):
        listening = listener(here.guarded, 80)
        client = connects(here.peer, here.guarded.v4, 80, timeout=5)
        assert client
        server, _ = listening.accept()
        worker.pause()
        with server:
            client.sendall(b"question")
            assert hears(server, timeout=5) == b"question"
        assert connects(here.peer, here.guarded.v4, 22, timeout=5)
        assert connects(here.peer, here.guarded.v4, 80) is None


def test_a_worker_that_is_killed_frees_its_queue(here: Bench) -> None:
    script = (
        "import select\n"
        "from nfq_guard.adapters.nfqueue import QueueReader\n"
        "from nfq_guard.kernel.plan import KernelSettings\n"
        "reader = QueueReader(0, lambda *_: 0, KernelSettings())\n"
        "print('bound', flush=True)\n"
        "select.select([], [], [])\n"
    )
    child = here.guarded.namespace.popen(sys.executable, "-c", script, stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"bound\n"
    netns.stop(child)
    with here.worker(), listener(here.guarded, 80):
        assert connects(here.peer, here.guarded.v4, 80, timeout=5)


def test_reloads_in_a_storm_of_connections_cost_none_of_them_a_packet(here: Bench) -> None:
    before = here.handles()
    with here.worker() as worker, _Server(here) as server, _Storm(here) as storm:
        netns.until(lambda: len(storm.seconds) > 50, "the storm to rise")
        for number in range(30):
            here.install(FAILSAFES if number % 2 else None)
        netns.until(lambda: len(storm.seconds) > 400, "the storm to go on", timeout=30)
        storm.stop()
        netns.until(lambda: server.accepted >= len(storm.seconds), "the last connections to be accepted")
        assert not storm.failures
        assert max(storm.seconds) < NEW_SYN_RETRY
        assert not worker.errors
    assert here.handles() == before
    with here.guarded.namespace.entered():
        assert here.table.installed_generation() == here.generation


class _Server:
    """Accepts and closes as fast as it can."""

    def __init__(self, here: Bench) -> None:
        self.accepted = 0
        self._listening = listener(here.guarded, 80)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def _loop(self) -> None:
        while not self._ended.is_set():
            if select.select([self._listening], [], [], 0.05)[0]:
                accepted, _ = self._listening.accept()
                accepted.close()
                self.accepted += 1


class _Storm:
    """Two threads that connect and close, and note how long each connection took."""

    def __init__(self, here: Bench) -> None:
        self.seconds: list[float] = []
        self.failures: list[OSError] = []
        self._here = here
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._loop, daemon=True) for _ in range(2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    def _loop(self) -> None:
        with self._here.peer.namespace.entered():
            while not self._ended.is_set():
                started = time.monotonic()
                with socket.socket() as client:
                    client.settimeout(5)
                    try:
                        client.connect((self._here.guarded.v4, 80))
                    except OSError as error:
                        self.failures.append(error)
                self.seconds.append(time.monotonic() - started)


def test_a_flushed_ruleset_is_heard_and_the_table_put_back(here: Bench) -> None:
    guarded = here.guarded.namespace
    with guarded.entered():
        watch = TableWatch()
    with here.worker() as worker, listener(here.guarded, 80):
        worker.decide = lambda _: DENY
        guarded.nft("flush ruleset\n")
        assert select.select([watch], [], [], 5)[0]
        assert watch.deleted()
        assert connects(here.peer, here.guarded.v4, 80, timeout=5)
        here.install(FAILSAFES)
        assert connects(here.peer, here.guarded.v4, 80) is None
    watch.close()


def test_the_wildcard_guards_every_interface_but_workloads() -> None:
    with bench() as here, netns.Namespace() as workload:
        netns.link(here.guarded.namespace, workload, names=("cali0", "eth0"), subnet=79)
        other, _ = netns.link(here.guarded.namespace, here.peer.namespace, names=("eth5", "eth5"), subnet=80)
        ruleset = Ruleset("node", wildcard=ENDPOINT, endpoint_to_host=HostAction.RETURN)
        here.install(ruleset)
        with here.worker() as worker:
            worker.decide = lambda _: DENY
            receiver = udp(here.guarded, port=9, bind="0.0.0.0")
            inner = workload.socket(kind=socket.SOCK_DGRAM)
            inner.sendto(b"from a workload", ("10.79.0.1", 9))
            assert hears(receiver, timeout=5) == b"from a workload"
            udp(here.peer).sendto(b"x", (other.v4, 9))
            udp(here.peer).sendto(b"x", (here.guarded.v4, 9))
            assert hears(receiver) is None
            assert worker.count(9) == 2


def test_two_guards_in_two_namespaces_do_not_disturb_each_other() -> None:
    with bench() as one, bench(subnet=78) as other:
        one.install()
        other.install()
        with one.worker() as deny, other.worker() as allow:
            deny.decide = lambda _: DENY
            allow.decide = lambda _: ALLOW
            for here, reached in ((one, False), (other, True)):
                with listener(here.guarded, 80):
                    connected = connects(here.peer, here.guarded.v4, 80, timeout=_patience(reached))
                    assert bool(connected) is reached
            with one.guarded.namespace.entered():
                one.table.remove()
            with other.guarded.namespace.entered():
                assert other.table.installed_generation() == 1
        assert one.guarded.namespace.run("nft", "list", "ruleset").stdout == ""
