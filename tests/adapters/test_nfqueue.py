"""The queue's reader on real packets: one verdict each, whatever the judge does."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import netns
import pytest
from bench import SHORT, Asked, Bench, address, bench, hears, listener, udp

from nfq_guard.adapters import nfqueue
from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.nfqueue import ALLOW, DENY, PASS, QueueReader, number_of
from nfq_guard.kernel.plan import FailMode, KernelSettings
from nfq_guard.model.flow import Direction, Gate, Packet, Stage
from nfq_guard.packet import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from netns import End

pytestmark = pytest.mark.netns

CLOSED, OPEN = KernelSettings(), KernelSettings(fail_mode=FailMode.OPEN)


@pytest.fixture(params=[CLOSED, OPEN], ids=["fail closed", "fail open"])
def here(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Yield a guarded namespace with the table installed, once for each fail mode."""
    with bench(request.param) as made:
        made.install()
        yield made


@pytest.fixture
def closed() -> Iterator[Bench]:
    """Yield a guarded namespace that fails closed, with the table installed."""
    with bench(CLOSED) as made:
        made.install()
        yield made


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a turn take as long as this machine, busy with other things, needs for it."""
    monkeypatch.setattr(nfqueue, "_TURN_SECONDS", 60)


def _reader(
    here: Bench, judge: Callable[[Gate, int, int, bytearray, int, int], int], **options: int
) -> QueueReader:
    """Return a reader whose every packet is judged by a function that is told where, too."""
    with here.guarded.namespace.entered():
        return QueueReader(0, lambda *where: partial(judge, *where), here.settings, **options)


@pytest.mark.traffic
@pytest.mark.parametrize(
    ("answer", "passes", "asked"),
    [(ALLOW, True, 1), (PASS, True, 3), (DENY, False, 3), (99, False, 3)],
    ids=["allow is remembered", "pass is not remembered", "deny drops", "what is no answer denies"],
)
def test_each_answer_has_its_effect(here: Bench, answer: int, *, passes: bool, asked: int) -> None:
    receiver, sender = udp(here.guarded, port=9), udp(here.peer)
    with here.worker() as worker:
        worker.decide = lambda _: answer
        for _ in range(3):
            sender.sendto(b"x", (here.guarded.v4, 9))
            assert hears(receiver, timeout=5 if passes else SHORT) == (b"x" if passes else None)
        assert worker.count(9) == asked


@pytest.mark.traffic
def test_a_judge_that_raises_leaves_no_packet_without_a_verdict(here: Bench) -> None:
    receiver, sender = udp(here.guarded, port=9), udp(here.peer)

    def raising(_: Asked) -> int:
        raise ValueError("what a bug")

    with here.worker() as worker:
        worker.decide = raising
        sender.sendto(b"lost", (here.guarded.v4, 9))
        passed = here.settings.fail_mode is FailMode.OPEN
        assert hears(receiver, timeout=5 if passed else SHORT) == (b"lost" if passed else None)
        netns.until(lambda: worker.errors, "the exception")
        assert "what a bug" in str(worker.errors[0])
        worker.decide = lambda _: ALLOW
        sender.sendto(b"judged", (here.guarded.v4, 9))
        assert hears(receiver, timeout=5) == b"judged"


@pytest.mark.traffic
def test_a_full_queue_drops_or_passes_as_the_fail_mode_says(here: Bench) -> None:
    receiver, sender = udp(here.guarded, port=9), udp(here.peer)
    with here.worker(max_length=2) as worker:
        worker.pause()
        for number in range(6):
            sender.sendto(bytes([number]), (here.guarded.v4, 9))
        passed = here.settings.fail_mode is FailMode.OPEN
        got = [hears(receiver) for _ in range(4)] if passed else [hears(receiver)]
        assert got == ([b"\2", b"\3", b"\4", b"\5"] if passed else [None])
        worker.resume()
        assert [hears(receiver, timeout=5) for _ in range(2)] == [b"\0", b"\1"]
        sender.sendto(b"next", (here.guarded.v4, 9))
        assert hears(receiver, timeout=5) == b"next"


_SO_SNDBUFFORCE = 32
"""asm-generic/socket.h."""
BURST = 300
"""Packets that wait together: more than one answer may be for."""


def port_of(message: bytearray, at: int, end: int) -> int:
    """Return the port of a packet of a burst; negative for what the kernel says of itself (multicast)."""
    packet = parse(message, at, end)
    assert isinstance(packet, Packet)
    return packet.dport


def burst(end: End, to: str, ports: Iterable[int], *, family: int = 4) -> None:
    """Send to each port its number, fast."""
    with udp(end, family) as sender:
        # What waits in the queue that it leaves by takes room in its socket.
        sender.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 22)
        for port in ports:
            sender.sendto(str(port).encode(), (to, port))


def patterns() -> dict[str, Callable[[int], int]]:
    """Return ways in which answers follow each other, by the packet's place in the burst."""
    chance = random.Random(1)
    drawn = [chance.choice([ALLOW, DENY, PASS]) for _ in range(BURST)]
    return {
        "each another than before": lambda place: (DENY, ALLOW, PASS)[place % 3],
        "long runs": lambda place: (ALLOW, DENY)[place // 70 % 2],
        "one in a hundred denied": lambda place: DENY if place % 100 == 37 else ALLOW,
        "one in a hundred passes": lambda place: PASS if place % 100 == 99 else DENY,
        "any": drawn.__getitem__,
    }


@pytest.mark.traffic
@pytest.mark.parametrize("pattern", patterns().values(), ids=patterns())
@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_in_a_burst_each_packet_gets_its_own_answer(
    closed: Bench, family: int, pattern: Callable[[int], int]
) -> None:
    asked: list[int] = []

    def judge(_: Gate, __: int, ___: int, message: bytearray, at: int, end: int) -> int:
        port = port_of(message, at, end)
        if port < 0:
            return DENY
        asked.append(port)
        return pattern(port - 1000)

    ports = range(1000, 1000 + BURST)
    receivers = [udp(closed.guarded, family, port) for port in ports]
    reader = _reader(closed, judge)
    burst(closed.peer, address(closed.guarded, family), ports, family=family)
    while reader.run():
        pass
    reader.close()

    assert asked == list(ports)
    assert [int(data) for data in waiting(receivers)] == [
        port for port in ports if pattern(port - 1000) != DENY
    ]


def waiting(receivers: Iterable[socket.socket]) -> list[bytes]:
    """Return what lies at each socket by now; nothing is on its way: verdicts are carried out at once."""
    found = []
    for receiver in receivers:
        with contextlib.suppress(BlockingIOError), receiver:
            receiver.setblocking(False)
            found.append(receiver.recv(100))
    return found


@pytest.mark.traffic
@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_in_a_burst_that_leaves_each_packet_gets_its_own_answer(closed: Bench, family: int) -> None:
    def judge(gate: Gate, _: int, __: int, message: bytearray, at: int, end: int) -> int:
        assert gate == Gate(Stage.NORMAL, Direction.OUT)
        return (ALLOW, DENY, PASS)[port_of(message, at, end) % 3]

    ports = range(1000, 1000 + BURST)
    receivers = [udp(closed.peer, family, port) for port in ports]
    reader = _reader(closed, judge)
    burst(closed.guarded, address(closed.peer, family), ports, family=family)
    while reader.run():
        pass
    reader.close()

    expected = [port for port in ports if (ALLOW, DENY, PASS)[port % 3] != DENY]
    netns.until(lambda: hears(receivers[expected[-1] - 1000], timeout=0.01), "the last one")
    assert [int(data) for data in waiting(receivers)] == expected[:-1]


MARKS = """table inet theirs {
	chain before_in {
		type filter hook input priority -150;
		udp dport 1000-1999 meta mark set udp dport map {
			1000-1099 : 0x00000000, 1100-1199 : 0xabcd0001, 1200-1299 : 0x00000fff
		}
	}
	chain after_in {
		type filter hook input priority 10;
		udp dport 1000-1099 meta mark != 0x00000000 counter drop
		udp dport 1100-1199 meta mark != 0xabcd0001 counter drop
		udp dport 1200-1299 meta mark != 0x00000fff counter drop
	}
}
"""


@pytest.mark.traffic
def test_packets_that_wait_together_keep_each_the_mark_that_others_gave_it(closed: Bench) -> None:
    closed.guarded.namespace.nft(MARKS)

    def judge(_: Gate, __: int, ___: int, message: bytearray, at: int, end: int) -> int:
        return PASS if port_of(message, at, end) % 2 else ALLOW

    # Marks change after one packet, after two, after many.
    ports = [group + place for place in range(60) for group in (1000, 1100, 1200)]
    ports += [port for group in (1200, 1000, 1100) for port in range(group + 60, group + 100)]
    receivers = {port: udp(closed.guarded, 4, port) for port in ports}
    reader = _reader(closed, judge)
    burst(closed.peer, closed.guarded.v4, ports)
    while reader.run():
        pass
    reader.close()

    assert {int(data) for data in waiting(receivers.values())} == set(ports)


@pytest.mark.traffic
def test_a_judge_that_raises_in_the_midst_of_packets_leaves_each_with_its_own_answer(here: Bench) -> None:
    asked: list[int] = []

    def judge(_: Gate, __: int, ___: int, message: bytearray, at: int, end: int) -> int:
        port = port_of(message, at, end)
        if port < 0:
            return DENY
        asked.append(port)
        if port % 50 == 25:
            raise ValueError("what a bug")
        return ALLOW if port % 2 else DENY

    ports = range(1000, 1000 + BURST)
    receivers = [udp(here.guarded, 4, port) for port in ports]
    reader = _reader(here, judge)
    burst(here.peer, here.guarded.v4, ports)
    errors = 0
    for _ in range(20):
        try:
            reader.run()
        except ValueError:
            errors += 1
    reader.close()

    assert errors == BURST // 50
    assert asked == list(ports)
    passes = here.settings.fail_mode is FailMode.OPEN
    assert [int(data) for data in waiting(receivers)] == [
        port for port in ports if (passes if port % 50 == 25 else port % 2)
    ]


@pytest.mark.traffic
def test_a_socket_that_is_full_loses_packets_and_gives_those_it_has_their_own_answer(
    closed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def judge(_: Gate, __: int, ___: int, message: bytearray, at: int, end: int) -> int:
        port = port_of(message, at, end)
        if port < 0:
            return DENY
        asked.append(port)
        return ALLOW if port % 2 else DENY

    # Room for few packets: the socket is full long before the queue is.
    monkeypatch.setattr(nfqueue, "_WAITING_PACKET", 1)
    ports = range(1000, 1000 + BURST)
    receivers = [udp(closed.guarded, 4, port) for port in ports]
    reader = _reader(closed, judge)
    burst(closed.peer, closed.guarded.v4, ports)
    while reader.run():
        pass
    with udp(closed.guarded, 4, 2001) as receiver:
        burst(closed.peer, closed.guarded.v4, [2001])
        while reader.run():
            pass
        assert hears(receiver) == b"2001"
    reader.close()

    assert 0 < len(asked) < BURST
    assert [int(data) for data in waiting(receivers)] == [
        port for port in asked if port in ports and port % 2
    ]


@pytest.mark.traffic
@pytest.mark.usefixtures("unhurried")
def test_run_judges_no_more_than_its_budget_and_never_waits(closed: Bench) -> None:
    seen: list[bytes] = []

    def judge(_: Gate, __: int, ___: int, message: bytearray, at: int, end: int) -> int:
        seen.append(bytes(message[at:end]))
        return DENY

    reader = _reader(closed, judge)
    assert reader.run() == 0
    with udp(closed.peer) as sender:
        for _ in range(7):
            sender.sendto(b"x", (closed.guarded.v4, 9))
    assert [reader.run(5), reader.run(5), reader.run(5)] == [5, 2, 0]
    assert len(seen) == 7
    reader.close()


@pytest.mark.traffic
def test_run_comes_back_when_it_took_long_and_has_answered_what_it_took(closed: Bench) -> None:
    seen: list[int] = []

    def judge(_: Gate, __: int, ___: int, message: bytearray, at: int, end: int) -> int:
        seen.append(port_of(message, at, end))
        time.sleep(0.005)
        return ALLOW

    reader = _reader(closed, judge)
    with udp(closed.guarded, 4, 9) as receiver:
        burst(closed.peer, closed.guarded.v4, [9] * 3)
        assert reader.run() == 1
        assert hears(receiver) == b"9"
        assert [reader.run(), reader.run()] == [1, 1]
    reader.close()


@pytest.mark.traffic
@pytest.mark.usefixtures("unhurried")
def test_the_judge_sees_hook_interface_and_the_packets_beginning(closed: Bench) -> None:
    calls: list[tuple[Gate, int, int, bytes]] = []

    def judge(gate: Gate, inward: int, outward: int, message: bytearray, at: int, end: int) -> int:
        calls.append((gate, number_of(inward), number_of(outward), bytes(message[at:end])))
        return ALLOW

    reader = _reader(closed, judge, copy_range=100)
    with closed.guarded.namespace.entered():
        index = socket.if_nametoindex("eth0")
    with udp(closed.peer, port=7) as sender, udp(closed.guarded) as answering:
        sender.sendto(b"x" * 1000, (closed.guarded.v4, 9))
        answering.sendto(b"short", (closed.peer.v4, 7))
    assert reader.run() == 2
    reader.close()
    (inward, outward) = calls
    assert inward[:3] == (Gate(Stage.NORMAL, Direction.IN), index, 0)
    assert outward[:3] == (Gate(Stage.NORMAL, Direction.OUT), 0, index)
    assert len(inward[3]) == 100
    assert outward[3].endswith(b"short")


@pytest.mark.traffic
@pytest.mark.usefixtures("unhurried")
def test_big_local_packets_are_queued_whole_not_cut_to_the_wires_size(closed: Bench) -> None:
    lengths: list[int] = []

    def judge(_: Gate, __: int, ___: int, message: bytearray, at: int, _end: int) -> int:
        lengths.append(int.from_bytes(message[at + 2 : at + 4], "big"))
        return ALLOW

    reader = _reader(closed, judge)
    server = listener(closed.peer, 80)
    client = closed.guarded.namespace.socket()
    client.setblocking(False)
    client.connect_ex((closed.peer.v4, 80))
    assert reader.run() == 1
    accepted, _ = server.accept()
    with accepted:
        netns.until(lambda: client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO) == 1, "connected")
        closed.install()
        client.send(bytes(60_000))
        assert reader.run() >= 1
        assert max(lengths) > 1500
    reader.close()


def test_a_queue_that_somebody_holds_is_refused_with_the_holders_name(closed: Bench) -> None:
    with closed.worker(), closed.guarded.namespace.entered():
        with pytest.raises(KernelError, match=rf"queue 0 is held by process {os.getpid()} \(.+\)"):
            QueueReader(0, lambda *_: lambda *_: DENY, closed.settings)
        QueueReader(1, lambda *_: lambda *_: DENY, closed.settings).close()


def test_a_queue_that_somebody_invisible_holds_is_refused_with_what_we_know(
    closed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nfqueue, "queue_holder", lambda _: None)
    with (
        closed.worker(),
        pytest.raises(
            KernelError, match=r"queue 0: Failed to create queue 0\. Either CAP_NET_ADMIN is missing, or"
        ),
    ):
        _reader(closed, lambda *_: DENY)


def test_a_queue_can_be_held_again_after_it_was_given_back(closed: Bench) -> None:
    for _ in range(2):
        with closed.worker():
            pass


def test_without_the_right_to_do_it_the_reason_is_named(closed: Bench) -> None:
    script = (
        "import os; os.setuid(65534)\n"
        "from nfq_guard.adapters.nfqueue import QueueReader\n"
        "from nfq_guard.kernel.plan import KernelSettings\n"
        "QueueReader(0, print, KernelSettings())\n"
    )
    done = closed.guarded.namespace.run(sys.executable, "-c", script, check=False)
    assert done.returncode == 1
    assert "Error" in done.stderr


def test_flags_that_the_kernel_refuses_are_an_error(closed: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfqueue, "_GSO", 1 << 20)
    with pytest.raises(KernelError, match="queue 0: flags refused: Operation not supported"):
        _reader(closed, lambda *_: DENY)
    monkeypatch.undo()
    _reader(closed, lambda *_: DENY).close()


def test_a_kernel_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfqueue, "_ACK_TIMEOUT_MS", 10)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.send(struct.pack("=IHHIIi", 20, 99, 0, 0, 0, 0))
        with pytest.raises(KernelError, match="does not answer"):
            nfqueue._acknowledgement(ours)
