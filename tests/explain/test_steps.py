"""What is near to being allowed, and how resources are called."""

from __future__ import annotations

import pytest

from nfq_guard.explain.steps import Field, Miss, Outcome, RuleStep, Title
from nfq_guard.model.decision import Action
from nfq_guard.model.problem import Position

NET = Miss(Field.SOURCE, "source.nets", "10.0.0.1", "192.0.2.0/24")
NAME = Miss(Field.SOURCE, "source.selector", "10.0.0.1", "nobody")
PORT = Miss(Field.DESTINATION_PORT, "destination.ports", "80", "443")
UDP = Miss(Field.PROTOCOL, "protocol", "TCP", "UDP")
PING = Miss(Field.PROTOCOL, "protocol", "TCP", "ICMP")
PING6 = Miss(Field.PROTOCOL, "protocol", "ICMPv6", "ICMP")
ECHO = Miss(Field.ICMP, "icmp", "type 128 code 0", "type 8")
TYPE = Miss(Field.PROTOCOL, "icmp", "TCP", "ICMP")


@pytest.mark.parametrize(
    ("misses", "nearly"),
    [
        ((), False),
        ((NET,), True),
        ((NET, NAME), True),
        ((NET, PORT), False),
        ((UDP,), True),
        ((PING,), False),
        ((PING, TYPE), False),
        ((PING6,), True),
        ((PING6, ECHO), True),
        ((PING6, NET), False),
    ],
)
def test_one_field_alone_is_near(misses: tuple[Miss, ...], nearly: bool) -> None:  # noqa: FBT001 - a parameter
    rule = RuleStep(0, Action.ALLOW, Position("a.yaml", 1), Outcome.RULED_OUT, accepts=False, misses=misses)

    assert rule.nearly is nearly


def test_whoever_names_the_very_port_is_nearer_than_who_wants_another() -> None:
    rule = RuleStep(0, Action.ALLOW, Position("a.yaml", 1), Outcome.RULED_OUT, accepts=False)
    other_port = rule._replace(misses=(PORT,))
    any_port = rule._replace(misses=(NET,))
    wrong_source = rule._replace(misses=(NET,), names_port=True)
    wrong_protocol = rule._replace(misses=(UDP,), names_port=True)

    found = sorted([other_port, any_port, wrong_protocol, wrong_source], key=lambda one: one.distance)

    assert found == [wrong_source, wrong_protocol, any_port, other_port]


def test_a_title_names_the_namespace_where_there_is_one() -> None:
    assert str(Title("Tier", "a", None, Position("f"))) == "Tier(a)"
    assert str(Title("NetworkPolicy", "a", "shop", Position("f"))) == "NetworkPolicy(shop/a)"
