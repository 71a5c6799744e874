from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from events import DEFAULT, END_OF_TIER, EVENTS, FRAGMENT, PING, SHOP_WEB, SSH, WEB6, event
from hypothesis import given

from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Direction, Side, Stage
from nfq_guard.stream.counted import Counted, Labels
from nfq_guard.stream.fields import ALIASES, BARE, FIELDS, PAIRS, Kind
from nfq_guard.stream.record import VERDICTS

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event

HAS = {
    "the rule's names, the policy's with and without its namespace": (
        event(rule=SHOP_WEB),
        {
            "tier": ("shop",),
            "policy": ("shop/allow-web", "allow-web"),
            "kind": ("networkpolicy",),
            "rule": ("2",),
        },
    ),
    "no policy at the end of a tier": (
        event(rule=END_OF_TIER),
        {"tier": ("default",), "policy": (), "kind": ("tier",), "rule": ("default",)},
    ),
    "neither tier nor policy where nothing matched": (
        event(rule=DEFAULT),
        {"tier": (), "policy": (), "kind": ("hostendpoint",), "rule": ("default",)},
    ),
    "nothing of a rule that nobody knows": (
        event(rule=None),
        {"tier": (), "policy": (), "kind": (), "rule": ()},
    ),
    "both of what there are two": (
        event(direction="forward", out_interface="cali1"),
        {"iface": ("eth0", "cali1"), "port": (40000, 22), "host": ((4, SSH.src), (4, SSH.dst))},
    ),
    "one interface of what comes in": (event(), {"iface": ("eth0",), "out_interface": ()}),
    "no ports of a later fragment": (event(packet=FRAGMENT), {"port": (), "dport": (), "proto": (17,)}),
    "ICMP fields of ICMP": (event(packet=PING), {"icmp_type": (8,), "icmp_code": (0,), "sport": ()}),
    "addresses with their family": (event(packet=WEB6), {"src": ((6, WEB6.src),), "family": (6,)}),
    "nothing of a packet that cannot be parsed": (
        event(packet=None, unparsable="not-ip"),
        {"src": (), "host": (), "proto": (), "family": (), "unparsable": ("not-ip",), "length": (60,)},
    ),
    "no reason for what could not be judged": (event(reason="", side=""), {"reason": (), "side": ()}),
    "what all packets that the kernel counts have in common": (
        Counted(Labels("failsafe", "allow", "ingress", "normal"), 3).event(1),
        {"verdict": ("allow",), "direction": ("in",), "length": (), "generation": (), "iface": ()},
    ),
}


@pytest.mark.parametrize(("one", "expected"), HAS.values(), ids=HAS.keys())
def test_an_event_has(one: Event, expected: dict[str, object]) -> None:
    assert {name: FIELDS[name].of(one) for name in expected} == expected


@given(EVENTS)
def test_what_an_event_has_is_a_value_of_the_field(one: Event) -> None:
    for field in FIELDS.values():
        for value in field.of(one):
            if field.kind in {Kind.WORD, Kind.FLAG}:
                assert value in field.words
            elif field.kind is Kind.NUMBER:
                assert 0 <= value <= field.last
            elif field.kind is Kind.ADDRESS:
                assert value[0] in {4, 6}
            else:
                assert value


@pytest.mark.parametrize(
    ("name", "words"),
    [("verdict", VERDICTS), ("reason", Reason), ("stage", Stage), ("direction", Direction), ("side", Side)],
)
def test_closed_lists_are_those_of_the_model(name: str, words: tuple[str, ...]) -> None:
    field = FIELDS[name]

    assert set(map(str, words)) == set(field.words.values())
    assert all(field.words[str(word)] == word for word in words)


def test_other_names_are_of_fields_and_no_field_s_own() -> None:
    assert set(ALIASES.values()) | set(PAIRS.values()) <= FIELDS.keys()
    assert not (ALIASES.keys() | BARE.keys()) & FIELDS.keys()
    assert not ALIASES.keys() & BARE.keys()


def test_words_that_stand_by_themselves() -> None:
    expected = {
        "deny": "verdict",
        "in": "direction",
        "forward": "direction",
        "ingress": "side",
        "pre-dnat": "stage",
        "established": "reason",
        "tcp": "proto",
        "ip6": "family",
        "tiny-fragment": "unparsable",
        "reject": "rejected",
    }

    assert {word: BARE[word][0] for word in expected} == expected
    assert "policy" not in BARE  # a field; the reason is asked for with its own
