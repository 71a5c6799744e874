from __future__ import annotations

from typing import Any

import pytest
from events import event
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.daemon.denylog import BURST, EACH_SECONDS, PER_SECOND, TUPLES, DenyLog
from nfq_guard.model.flow import ICMP, TCP, Packet
from nfq_guard.stream.event import Event, Rule

RULE = Rule("default", "GlobalNetworkPolicy", "traffic", "1", "ingress", "deny", "a.yaml", 12)


def syn(port: int = 23, source: int = 2, sport: int = 1000) -> Packet:
    return Packet(4, TCP, 0x0A000000 + source, 0x0A000001, sport, port)


SYN = syn()


def denied(packet: Packet = SYN, **fields: Any) -> Event:
    return event(**{"verdict": "deny", "rule": RULE, "packet": packet, **fields})


def test_a_line_says_what_was_denied_where_and_by_what() -> None:
    assert DenyLog().meet(denied(), 0.0) == {
        "reason": "policy",
        "policy": "traffic",
        "kind": "GlobalNetworkPolicy",
        "rule": "1",
        "tier": "default",
        "at": "a.yaml:12",
        "stage": "normal",
        "direction": "ingress",
        "interface": "eth0",
        "protocol": "TCP",
        "src": "10.0.0.2",
        "dst": "10.0.0.1",
        "sport": 1000,
        "dport": 23,
        "more": 0,
        "others": 0,
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"direction": "out", "side": "egress", "in_interface": "", "out_interface": "eth1"},
            {"direction": "egress", "interface": "eth1"},
        ),
        (
            {"direction": "forward", "stage": "forward", "out_interface": "eth1"},
            {"direction": "ingress", "interface": "eth0", "out_interface": "eth1", "stage": "forward"},
        ),
        ({"direction": "out", "side": "", "out_interface": "eth1"}, {"direction": "egress"}),
        ({"reason": "", "side": "", "unparsable": "not-ip"}, {"reason": "not-ip", "direction": "ingress"}),
        ({"reason": ""}, {"reason": "fault"}),
    ],
    ids=["going out", "forwarded", "going out by no rule", "unreadable", "a fault of ours"],
)
def test_a_line_fits_what_was_denied(fields: dict[str, Any], said: dict[str, object]) -> None:
    line = DenyLog().meet(denied(**fields), 0.0)

    assert line is not None
    assert said.items() <= line.items()
    assert ("out_interface" in line) is (fields.get("direction") == "forward")


def test_what_is_not_known_is_left_out() -> None:
    line = DenyLog().meet(denied(rule=None)._replace(packet=None), 0.0)

    assert line is not None
    assert list(line) == ["reason", "stage", "direction", "interface", "more", "others"]
    end = DenyLog().meet(denied(rule=RULE._replace(file="", line=0)), 0.0)
    assert end is not None
    assert "at" not in end


def test_packets_that_are_alike_get_a_line_a_minute_and_are_counted_in_the_next() -> None:
    log = DenyLog()
    lines = [log.meet(denied(syn(sport=1000 + second)), float(second)) for second in range(121)]

    found = {second: line["more"] for second, line in enumerate(lines) if line is not None}
    assert found == {0: 0, int(EACH_SECONDS): EACH_SECONDS - 1, 2 * int(EACH_SECONDS): EACH_SECONDS - 1}


@pytest.mark.parametrize(
    "other",
    [
        denied(syn(port=24)),
        denied(syn(source=3)),
        denied(in_interface="eth1"),
        denied(rule=None),
        denied(direction="out", out_interface="eth0", in_interface=""),
        denied(Packet(4, ICMP, 2, 1, icmp_type=8, icmp_code=0)),
    ],
    ids=["port", "source", "interface", "rule", "direction", "protocol"],
)
def test_packets_that_differ_in_what_matters_have_lines_of_their_own(other: Event) -> None:
    log = DenyLog()
    assert log.meet(denied(), 0.0)
    assert log.meet(denied(syn(sport=9)), 0.0) is None

    line = log.meet(other, 0.0)

    assert line is not None
    assert (line["more"], line["others"]) == (0, 1)


def test_a_line_counts_its_own_packets_and_those_of_others_apart() -> None:
    log = DenyLog()
    log.meet(denied(), 0.0)
    for _ in range(3):
        log.meet(denied(), 1.0)
    log.meet(denied(syn(24)), 2.0)
    for _ in range(2):
        log.meet(denied(), 3.0)
    for _ in range(4):
        log.meet(denied(syn(24)), 3.0)
    log.miss(10)

    line = log.meet(denied(), EACH_SECONDS)

    assert line is not None
    assert (line["more"], line["others"]) == (5, 14)


def test_a_flood_of_tuples_gets_few_lines_and_little_memory() -> None:
    log = DenyLog()
    events = 0
    lines = []
    for second in range(10):
        for source in range(500):
            events += 1
            line = log.meet(denied(syn(source=1000 * second + source)), float(second))
            if line is not None:
                lines.append(line)
        assert len(log._tuples) <= TUPLES

    assert len(lines) == BURST + 9 * PER_SECOND
    # Not one is left out of both.
    assert sum(1 + int(str(line["others"])) for line in lines) + log._unlogged == events


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 30), st.integers(0, 3)), max_size=60),
)
def test_every_denial_is_logged_or_counted(steps: list[tuple[int, float, int]]) -> None:
    log = DenyLog()
    now, pending = 0.0, 0
    for source, wait, missed in steps:
        now += wait
        log.miss(missed)
        pending += missed
        line = log.meet(denied(syn(source=source)), now)
        if line is None:
            pending += 1
            continue
        others, more = int(str(line["others"])), int(str(line["more"]))
        assert others <= pending <= others + more
        pending = 0
