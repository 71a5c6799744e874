"""What the kernel lets by without asking, and what makes it ask again."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import netns
import pytest
from bench import ENDPOINT, SHORT, Bench, Worker, address, bench, connects, hears, listener, udp

from nfq_guard.adapters.nfqueue import ALLOW, DENY
from nfq_guard.engine.ruleset import Failsafe, Options, Ruleset
from nfq_guard.kernel.plan import EstablishedFlows, KernelSettings
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, pytest.mark.traffic]
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])


@pytest.fixture
def here() -> Iterator[Bench]:
    """Yield a guarded namespace with the table installed."""
    with bench() as made:
        made.install()
        yield made


@pytest.fixture
def worker(here: Bench) -> Iterator[Worker]:
    """Yield a worker that allows everything until told otherwise."""
    with here.worker() as made:
        yield made


def _exchange(one: socket.socket, other: socket.socket) -> None:
    """Send both ways over a connection."""
    one.sendall(b"question")
    assert hears(other, timeout=5) == b"question"
    other.sendall(b"answer")
    assert hears(one, timeout=5) == b"answer"


@FAMILIES
def test_a_stream_of_datagrams_without_replies_is_asked_about_once(
    here: Bench, worker: Worker, family: int
) -> None:
    receiver, sender = udp(here.guarded, family, 9), udp(here.peer, family)
    for _ in range(20):
        sender.sendto(b"x", (address(here.guarded, family), 9))
        assert hears(receiver, timeout=5) == b"x"
    assert worker.count(9) == 1
    outward, beyond = udp(here.guarded, family), udp(here.peer, family, 10)
    for _ in range(20):
        outward.sendto(b"y", (address(here.peer, family), 10))
        assert hears(beyond, timeout=5) == b"y"
    assert worker.count(10, Side.EGRESS) == worker.count(10) == 1


@FAMILIES
def test_a_connection_is_asked_about_once_in_either_direction(
    here: Bench, worker: Worker, family: int
) -> None:
    for server, client, side in (
        (here.guarded, here.peer, Side.INGRESS),
        (here.peer, here.guarded, Side.EGRESS),
    ):
        worker.asked.clear()
        listening = listener(server, 80, family)
        connected = connects(client, address(server, family), 80, timeout=5)
        assert connected
        accepted, _ = listening.accept()
        with accepted:
            for _ in range(5):
                _exchange(connected, accepted)
        assert [(one.side, one.port) for one in worker.asked if one.packet.protocol == 6] == [(side, 80)]


@FAMILIES
def test_after_a_change_the_next_original_packet_is_asked_about_and_replies_are_not(
    here: Bench, worker: Worker, family: int
) -> None:
    # UDP: with TCP, acknowledgements would be packets of either direction at times of their own.
    server, client = udp(here.guarded, family, 9), udp(here.peer, family, 10)
    server.connect((address(here.peer, family), 10))
    client.connect((address(here.guarded, family), 9))
    _exchange(client, server)
    worker.asked.clear()
    here.install()
    for _ in range(3):
        server.sendall(b"reply")
        assert hears(client, timeout=5) == b"reply"
    assert worker.count(10) == 0
    for _ in range(3):
        _exchange(client, server)
    assert worker.count(9, Side.INGRESS) == worker.count(9) == 1


def test_a_live_connection_that_the_new_policy_denies_stops(here: Bench, worker: Worker) -> None:
    listening = listener(here.guarded, 80)
    client = connects(here.peer, here.guarded.v4, 80, timeout=5)
    assert client
    server, _ = listening.accept()
    with server:
        _exchange(client, server)
        worker.decide = lambda _: DENY
        here.install()
        client.sendall(b"more")
        assert hears(server) is None
        worker.decide = lambda _: ALLOW
        assert hears(server, timeout=5) == b"more"


def test_with_established_flows_kept_a_live_connection_carries_on() -> None:
    with bench(KernelSettings(established_flows=EstablishedFlows.KEEP)) as here:
        here.install()
        with here.worker() as worker:
            listening = listener(here.guarded, 80)
            client = connects(here.peer, here.guarded.v4, 80, timeout=5)
            assert client
            server, _ = listening.accept()
            with server:
                _exchange(client, server)
                worker.decide = lambda _: DENY
                here.install()
                _exchange(client, server)
                assert connects(here.peer, here.guarded.v4, 80) is None


def test_an_idle_connection_is_asked_about_even_when_its_number_has_come_round(
    here: Bench, worker: Worker
) -> None:
    receiver, sender = udp(here.guarded, port=9), udp(here.peer)
    sender.sendto(b"first", (here.guarded.v4, 9))
    assert hears(receiver, timeout=5) == b"first"
    for _ in range(here.settings.connection_mark.last_generation):
        here.install()
    assert here.generation == 1
    worker.decide = lambda _: DENY
    sender.sendto(b"second", (here.guarded.v4, 9))
    assert hears(receiver) is None
    assert worker.count(9) == 2


@FAMILIES
def test_errors_about_an_allowed_connection_come_through(here: Bench, worker: Worker, family: int) -> None:
    worker.decide = lambda asked: ALLOW if asked.side is Side.EGRESS else DENY
    sender = udp(here.guarded, family)
    sender.connect((address(here.peer, family), 9))
    sender.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        netns.until(lambda: hears(sender, timeout=5))


@FAMILIES
def test_with_everything_denied_neighbors_still_find_each_other(
    here: Bench, worker: Worker, family: int
) -> None:
    worker.decide = lambda asked: ALLOW if asked.port == 80 else DENY
    listening = listener(here.guarded, 80, family)
    for end in (here.guarded, here.peer):
        end.namespace.ip("neighbor", "flush", "dev", end.interface)
    assert connects(here.peer, address(here.guarded, family), 80, timeout=5)
    assert connects(here.peer, address(here.guarded, family), 81) is None
    assert listening.fileno() > 0
    counted = here.counters()
    if family == 6:
        assert counted["neighbor_discovery_in"] > 0
        assert counted["neighbor_discovery_out"] > 0
        assert all(one.packet.icmp_type not in range(133, 138) for one in worker.asked)


def test_where_neighbor_discovery_is_not_allowed_ahead_policy_is_asked(here: Bench, worker: Worker) -> None:
    here.install(Ruleset("node", {"eth0": ENDPOINT}, options=Options(allow_neighbor_discovery=False)))
    here.peer.namespace.ip("-6", "neighbor", "flush", "dev", "eth0")
    with listener(here.guarded, 80, 6):
        assert connects(here.peer, here.guarded.v6, 80, timeout=5)
    assert {one.packet.icmp_type for one in worker.asked} >= {135, 136}
    assert here.counters()["neighbor_discovery_in"] == 0


@pytest.mark.parametrize("dropped", [True, False], ids=["invalid is dropped", "invalid is asked about"])
def test_packets_that_fit_no_connection(here: Bench, worker: Worker, *, dropped: bool) -> None:
    here.install(Ruleset("node", {"eth0": ENDPOINT}, options=Options(drop_invalid=dropped)))
    listening = listener(here.guarded, 80)
    # SYN and FIN together: connection tracking calls it invalid.
    with here.peer.namespace.socket(kind=socket.SOCK_RAW, protocol=socket.IPPROTO_TCP) as raw:
        raw.sendto(_tcp(here, flags=0x03), (here.guarded.v4, 0))
    if dropped:
        netns.until(lambda: here.counters()["invalid_in"] == 1, "the counter")
        assert worker.count(80) == 0
    else:
        netns.until(lambda: worker.count(80) == 1, "the question")
        assert here.counters()["invalid_in"] == 0
    assert listening.fileno() > 0


def _tcp(here: Bench, flags: int) -> bytes:
    segment = bytearray(20)
    segment[0:4] = (4000).to_bytes(2, "big") + (80).to_bytes(2, "big")
    segment[12:14] = bytes([5 << 4, flags])
    pseudo = socket.inet_aton(here.peer.v4) + socket.inet_aton(here.guarded.v4) + bytes([0, 6, 0, 20])
    data = pseudo + bytes(segment)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    segment[16:18] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(segment)


def test_silence_means_denied_within_the_time_tests_wait() -> None:
    assert SHORT < 1  # the first retransmission of a lost SYN comes after one second


@FAMILIES
def test_a_session_to_a_failsafe_port_older_than_the_guard_goes_on_though_our_side_speaks_first(
    family: int,
) -> None:
    failsafes = (Failsafe(6, 22),)
    with bench() as here, _session(here, family, 22) as (client, server):
        here.install(Ruleset("node", {"eth0": ENDPOINT}, failsafe_inbound=failsafes))
        with here.worker() as worker:
            worker.decide = lambda _: DENY
            server.sendall(b"prompt")
            assert hears(client, timeout=5) == b"prompt"
            _exchange(client, server)


def test_nobody_opens_a_connection_from_a_failsafe_port() -> None:
    with bench() as here, listener(here.peer, 80):
        here.install(Ruleset("node", {"eth0": ENDPOINT}, failsafe_inbound=(Failsafe(6, 22),)))
        with here.worker() as worker:
            worker.decide = lambda _: DENY
            assert connects(here.guarded, here.peer.v4, 80, source=22) is None
            assert worker.count(80) > 0


def test_a_failsafe_net_holds_for_sessions_older_than_the_guard_too() -> None:
    elsewhere = (Failsafe(6, 22, parse_net("192.0.2.0/24")),)
    with bench() as here, _session(here, 4, 22) as (client, server):
        here.install(Ruleset("node", {"eth0": ENDPOINT}, failsafe_inbound=elsewhere))
        with here.worker() as worker:
            worker.decide = lambda _: DENY
            server.sendall(b"prompt")
            assert hears(client) is None


@contextlib.contextmanager
def _session(here: Bench, family: int, port: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a connection to the guarded side that no conntrack has seen."""
    with listener(here.guarded, port, family) as server:
        client = connects(here.peer, address(here.guarded, family), port, timeout=5)
        assert client is not None
        accepted, _ = server.accept()
        with client, accepted:
            yield client, accepted
