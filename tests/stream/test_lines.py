from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from events import (
    DEFAULT,
    EVENTS,
    FRAGMENT,
    GRE,
    PING,
    PROFILE,
    SHOP_WEB,
    WEB6,
    denied,
    event,
    logged,
)
from hypothesis import given

from nfq_guard.stream.counted import Counted, Labels
from nfq_guard.stream.lines import VERDICT_AT, Columns, comment, counted_document, document

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event

LINES = {
    "an allowed connection": (
        event(),
        (
            "00:00:00.123Z allow policy in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 "
            "tier default, GlobalNetworkPolicy(allow-ssh) ingress rule 0 at rules/ssh.yaml:14"
        ),
    ),
    "the end of a tier": (
        denied(),
        "00:00:00.123Z deny tier-default in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 end of tier default",
    ),
    "nothing matched": (
        denied(reason="no-match", rule=DEFAULT),
        (
            "00:00:00.123Z deny no-match in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 "
            "nothing matched: default of HostEndpoint(worker-1-eth0)"
        ),
    ),
    "forwarded, IPv6, rejected": (
        denied(
            reason="policy",
            rule=SHOP_WEB,
            packet=WEB6,
            direction="forward",
            stage="forward",
            out_interface="cali1",
            rejected=True,
        ),
        (
            "00:00:00.123Z deny policy forward eth0 > cali1 TCP [2001:db8::7]:40000 > [2001:db8:77::10]:443 "
            "tier shop, NetworkPolicy(shop/allow-web) egress rule 2 at rules/shop.yaml:9, rejected"
        ),
    ),
    "a profile has no tier": (
        event(reason="profile", rule=PROFILE),
        (
            "00:00:00.123Z allow profile in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 "
            "Profile(open) egress rule 1 at rules/open.yaml:3"
        ),
    ),
    "ICMP has types": (
        denied(packet=PING),
        "00:00:00.123Z deny tier-default in eth0 ICMP 203.0.113.99 > 192.0.2.10 type 8 code 0 end of tier default",
    ),
    "a later fragment has no ports": (
        denied(packet=FRAGMENT),
        "00:00:00.123Z deny tier-default in eth0 UDP 10.0.0.2 > 10.0.0.1 end of tier default",
    ),
    "a protocol by its number": (
        denied(packet=GRE),
        "00:00:00.123Z deny tier-default in eth0 47 10.0.0.2 > 10.0.0.1 end of tier default",
    ),
    "a stage that the direction does not tell": (
        event(verdict="pass", reason="", stage="pre-dnat", rule=None),
        "00:00:00.123Z pass in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 pre-dnat stage",
    ),
    "what cannot be parsed": (
        denied(reason="", rule=None, packet=None, unparsable="tiny-fragment"),
        "00:00:00.123Z deny in eth0 60 bytes unparsable: tiny-fragment",
    ),
    "a Log rule": (
        logged(),
        (
            "00:00:00.123Z log in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 "
            "tier default, GlobalNetworkPolicy(log-ssh) ingress rule 0 at rules/log.yaml:12"
        ),
    ),
    "a Log rule that is not known any more": (
        logged(rule=None),
        "00:00:00.123Z log in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 a rule of generation 3",
    ),
    "a rule that is not known any more": (
        event(rule=None),
        "00:00:00.123Z allow policy in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 a rule of generation 3",
    ),
    "what a fault of the guard decided": (
        event(verdict="unjudged", reason="", rule=None),
        (
            "00:00:00.123Z unjudged in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 "
            "not judged for a fault: see the log of the guard"
        ),
    ),
    "a failsafe needs no rule": (
        event(reason="failsafe", rule=None),
        "00:00:00.123Z allow failsafe in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22",
    ),
}


@pytest.mark.parametrize(("one", "words"), LINES.values(), ids=LINES.keys())
def test_a_line_for_people(one: Event, words: str) -> None:
    assert " ".join(Columns().line(one).split()) == words


def test_columns_stand_below_each_other_and_grow_with_what_they_meet() -> None:
    columns = Columns()
    first, wide, last = (columns.line(one) for one in (denied(), denied(packet=WEB6), denied()))

    assert first.index("end of") < wide.index("end of") == last.index("end of")
    assert first.index("TCP") == wide.index("TCP") == last.index("TCP")
    assert first[VERDICT_AT].strip() == "deny"


def test_packets_that_were_counted_say_so_and_are_no_packet() -> None:
    columns = Columns()
    counted = Counted(Labels("failsafe", "allow", "ingress", "normal"), 12)
    of = counted.event(1_767_225_600_000_000_000)

    line = columns.counted(of, counted.packets)
    assert " ".join(line.split()) == (
        "00:00:00.000Z allow failsafe in counted: 12 packets normal stage, decided by the kernel"
    )
    assert line.index("counted") == columns.line(event()).index("TCP")
    assert counted_document(of, 12) == {
        "time": "2026-01-01T00:00:00.000000000Z",
        "verdict": "allow",
        "reason": "failsafe",
        "stage": "normal",
        "direction": "in",
        "side": "ingress",
        "counted": 12,
    }


DOCUMENTS: dict[str, tuple[Event, dict[str, object]]] = {
    "a policy's rule": (
        event(),
        {
            "time": "2026-01-01T00:00:00.123456789Z",
            "verdict": "allow",
            "reason": "policy",
            "stage": "normal",
            "direction": "in",
            "side": "ingress",
            "in_interface": "eth0",
            "out_interface": None,
            "protocol": "TCP",
            "src": "198.51.100.7",
            "dst": "192.0.2.10",
            "sport": 40000,
            "dport": 22,
            "icmp_type": None,
            "icmp_code": None,
            "tier": "default",
            "policy": {"kind": "GlobalNetworkPolicy", "name": "allow-ssh", "namespace": None},
            "rule": 0,
            "file": "rules/ssh.yaml",
            "line": 14,
            "rejected": False,
            "length": 60,
            "unparsable": None,
            "generation": 3,
            "queue": 4600,
        },
    ),
    "a namespace": (
        event(rule=SHOP_WEB),
        {
            "tier": "shop",
            "policy": {"kind": "NetworkPolicy", "name": "allow-web", "namespace": "shop"},
            "rule": 2,
        },
    ),
    "the end of a tier": (
        denied(),
        {"tier": "default", "policy": None, "rule": None, "file": None, "line": None},
    ),
    "nothing matched": (denied(rule=DEFAULT), {"tier": None, "policy": None, "rule": None}),
    "no rule": (event(rule=None), {"tier": None, "policy": None, "rule": None, "file": None}),
    "ICMP": (event(packet=PING), {"protocol": "ICMP", "sport": None, "icmp_type": 8, "icmp_code": 0}),
    "a protocol by its number": (event(packet=GRE), {"protocol": 47, "dport": None}),
    "what cannot be parsed": (
        denied(reason="", side="", rule=None, packet=None, unparsable="not-ip"),
        {"reason": None, "side": None, "protocol": None, "src": None, "dport": None, "unparsable": "not-ip"},
    ),
}


@pytest.mark.parametrize(("one", "expected"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_an_object_for_programs(one: Event, expected: dict[str, object]) -> None:
    found = document(one)

    assert {key: found[key] for key in expected} == expected
    assert list(found) == list(DOCUMENTS["a policy's rule"][1])


@given(EVENTS)
def test_any_event_is_a_printable_line_and_an_object(one: Event) -> None:
    assert Columns().line(one).isprintable()
    assert comment(one).isprintable()
    assert json.loads(json.dumps(document(one))) == document(one)


def test_no_name_commands_the_terminal() -> None:
    hostile = "\x1b]0;pwn\a"
    rule = SHOP_WEB._replace(name=f"shop/{hostile}", file=hostile)
    line = Columns().line(event(rule=rule, in_interface=hostile))

    assert line.isprintable()
    assert r"\u001b]0;pwn\u0007" in line


def test_a_time_that_is_none_is_shown_as_the_last_there_is() -> None:
    assert document(event(time_ns=2**64 - 1))["time"] == "2554-07-21T23:34:33.709551615Z"
    assert str(document(event(time_ns=10**21))["time"]).startswith("9999-12-31T23:59:59")


def test_a_comment_says_what_became_of_it_and_why() -> None:
    assert comment(denied(rejected=True)) == "deny tier-default: end of tier default, rejected"
    assert comment(event(reason="failsafe", rule=None)) == "allow failsafe"
    log = "log: tier default, GlobalNetworkPolicy(log-ssh) ingress rule 0 at rules/log.yaml:12"
    assert comment(logged()) == log
