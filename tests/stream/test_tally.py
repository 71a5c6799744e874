from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from events import DEFAULT, EVENTS, FRAGMENT, PING, SHOP_WEB, SSH, WEB6, denied, event
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.stream.record import DENY
from nfq_guard.stream.tally import LATEST, SECONDS, Tally

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.heavy import Hitter


def keys(hitters: list[Hitter[str]]) -> list[str]:
    return [hitter.key for hitter in hitters]


def told(*events: Event) -> Tally:
    tally = Tally()
    tally.take(events, 1.0)
    return tally


@given(st.lists(EVENTS, max_size=40))
def test_any_events_are_counted_and_denials_in_each_column(events: list[Event]) -> None:
    tally = told(*events)
    denied_ones = [one for one in events if one.verdict == DENY]
    found = tally.denied(100, 1.0)

    assert tally.taken == len(events)
    assert [one.event for one in tally.latest()] == events[::-1]
    assert found.packets == len(denied_ones)
    for column in (found.sources, found.ports, found.interfaces, found.rules):
        assert sum(hitter.times for hitter in column) == len(denied_ones)
    interfaces = Counter(one.in_interface for one in denied_ones if one.direction == "in")
    counted = {hitter.key: hitter.times for hitter in found.interfaces}
    assert all(counted[name] >= count for name, count in interfaces.items())


def test_denials_are_counted_by_what_people_look_for() -> None:
    tally = told(
        denied(packet=SSH),
        denied(packet=SSH),
        denied(packet=WEB6, rule=SHOP_WEB),
        denied(packet=PING, reason="no-match", rule=DEFAULT),
        denied(packet=FRAGMENT, rule=None),
        denied(packet=None, data=b"", unparsable="bad-ip-header", reason="", rule=None),
        event(packet=SSH),
    )
    found = tally.denied(9, 1.0)

    assert found.packets == 6
    assert (found.sources[0].key, found.sources[0].times) == ("198.51.100.7", 2)
    assert keys(found.ports) == ["TCP 22", "TCP 443", "ICMP type 8", "UDP", "bad-ip-header"]
    assert keys(found.rules) == [
        "end of tier default",
        "shop/allow-web rule 2",
        "no-match",
        "tier-default",
        "bad-ip-header",
    ]


def test_an_interface_is_the_one_that_the_packet_crosses() -> None:
    tally = told(
        denied(),
        denied(direction="out", in_interface="", out_interface="eth1"),
        denied(direction="forward", out_interface="eth1"),
        denied(direction="forward", out_interface=""),
    )

    assert [(one.key, one.times) for one in tally.denied(9, 1.0).interfaces] == [
        ("eth0", 2),
        ("eth1", 1),
        ("eth0 > eth1", 1),
    ]


def test_what_is_kept_is_bounded_and_denials_are_forgotten() -> None:
    tally = told(*[denied()] * (LATEST + 50))

    assert len(tally.latest()) == LATEST
    assert (tally.latest()[0].number, tally.taken) == (LATEST + 50, LATEST + 50)
    assert tally.denied(9, 1.0 + SECONDS).packets == 0
