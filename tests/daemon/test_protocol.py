from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest

from nfq_guard.daemon import protocol
from nfq_guard.daemon.parcel import Unpacking
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import CounterKey, EndpointState, GuardedEndpoint, Ruleset
from nfq_guard.kernel.plan import KernelSettings
from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import Packet, Side, Stage

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    made = protocol.pair()
    yield made
    for end in made:
        end.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    setup = protocol.WorkerSetup(1, 2, KernelSettings(), 3)
    sent: list[protocol.ToWorker] = [protocol.Bind(), setup, protocol.Bind()]

    for message in sent:
        protocol.send(ours, message)

    assert [protocol.receive(theirs) for _ in sent] == sent
    with pytest.raises(BlockingIOError):
        protocol.receive(theirs)


def test_answers_arrive_whole_and_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    note = protocol.Note(6, "packet", {"interface": "b\udcff", "sport": 5, "src": "10.0.0.1"})
    sent: list[protocol.FromWorker] = [protocol.Installed(3), protocol.Bound(), protocol.Refused("why"), note]

    for message in sent:
        protocol.answer(theirs, message)

    assert [protocol.hear(ours) for _ in sent] == sent
    with pytest.raises(BlockingIOError):
        protocol.hear(ours)


RUBBISH = [
    pickle.dumps(protocol.Bound()),
    b"[]",
    b"{}",
    b"7",
    b'["Bind"]',
    b'["Installed"]',
    b'["Installed", "3"]',
    b'["Note", 6, "x", []]',
    b'["Refused", {}]',
    b"[" * 100_000,
    b"\xff",
]


@pytest.mark.parametrize("data", RUBBISH, ids=lambda data: repr(data[:20]))
def test_what_is_no_answer_of_a_worker_is_refused(
    ends: tuple[socket.socket, socket.socket], data: bytes
) -> None:
    ours, theirs = ends
    theirs.send(data)

    with pytest.raises(ValueError, match=r"."):
        protocol.hear(ours)


def taken_in(sock: socket.socket) -> protocol.Payload:
    unpacking = protocol.receive(sock)
    assert isinstance(unpacking, Unpacking)
    payload = unpacking.step(60)
    assert isinstance(payload, protocol.Payload)
    return payload


def test_a_ruleset_of_any_size_arrives_at_every_worker(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    decisions = [Decision(Verdict.DENY, Reason.POLICY, endpoint=f"hep-{n}") for n in range(20_000)]
    chain = Chain(FlatRule(Step.DECIDE, ANYTHING, decision) for decision in decisions)
    endpoint = GuardedEndpoint("hep", {(Stage.NORMAL, Side.INGRESS): chain})
    install = protocol.Install(2, tuple(range(20_000)))
    descriptor = protocol.store(Ruleset("node", {"eth0": endpoint}, generation=2), install)

    for _ in range(2):
        protocol.send_file(ours, descriptor)
        ruleset, arrived = taken_in(theirs)

        assert arrived == install
        assert (ruleset.node, ruleset.generation) == ("node", 2)
        copy = ruleset.governed["eth0"].chains[Stage.NORMAL, Side.INGRESS]
        assert [rule.decision for rule in copy.rules] == decisions
        assert copy.classify(Packet(4, 6, 1, 2, 3, 4)).decision == decisions[0]
    os.close(descriptor)


def test_the_endpoint_of_many_interfaces_arrives_as_one(ends: tuple[socket.socket, socket.socket]) -> None:
    endpoint = GuardedEndpoint("hep", {})
    governed = {f"eth{number}": endpoint for number in range(1000)}
    descriptor = protocol.store(Ruleset("node", governed), protocol.Install(2, ()))

    protocol.send_file(ends[0], descriptor)
    ruleset, _ = taken_in(ends[1])

    assert ruleset.endpoints == (endpoint,)
    os.close(descriptor)


def test_what_a_worker_need_not_know_stays_behind(ends: tuple[socket.socket, socket.socket]) -> None:
    keys = (CounterKey("t", "k", "policy", "0", "ingress", "allow"),)
    states = (EndpointState("HostEndpoint", "hep", "", "up"),)
    ruleset = Ruleset("node", counter_keys=keys, endpoint_states=states)
    descriptor = protocol.store(ruleset, protocol.Install(2, (1,)))

    protocol.send_file(ends[0], descriptor)

    assert taken_in(ends[1]) == protocol.Payload(Ruleset("node"), protocol.Install(2, (1,)))
    os.close(descriptor)


def test_the_end_of_the_other_side_is_heard(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    ours.close()

    assert protocol.receive(theirs) is None


def test_a_full_socket_is_an_error_and_never_a_wait(ends: tuple[socket.socket, socket.socket]) -> None:
    note = protocol.Note(6, "x", {"text": "y" * 1000})

    with pytest.raises(BlockingIOError):
        fill(ends[0], note)


def fill(sock: socket.socket, note: protocol.Note) -> None:
    for _ in range(100_000):
        protocol.answer(sock, note)
