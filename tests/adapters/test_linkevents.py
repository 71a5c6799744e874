"""Word of interfaces, from the kernel that has them."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest
from netns import Namespace

from nfq_guard.adapters.linkevents import LinkEvents

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns


@pytest.fixture
def space() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


@pytest.fixture
def events(space: Namespace) -> Iterator[LinkEvents]:
    with space.entered():
        made = LinkEvents()
    yield made
    made.close()


def something_said(events: LinkEvents) -> bool:
    return bool(select.select([events], [], [], 0)[0])


def test_an_interface_that_comes_is_renamed_or_goes_is_heard_of_at_once(
    space: Namespace, events: LinkEvents
) -> None:
    assert not something_said(events)
    for change in (
        ("link", "add", "one", "type", "veth", "peer", "name", "other"),
        ("link", "set", "one", "name", "two"),
        ("link", "set", "two", "up"),
        ("link", "del", "two"),
    ):
        space.ip(*change)

        assert something_said(events), change
        events.drain()
        assert not something_said(events)


def test_an_address_that_comes_is_no_interface(space: Namespace, events: LinkEvents) -> None:
    space.ip("addr", "add", "10.1.2.3/32", "dev", "lo")

    assert not something_said(events)


def test_there_is_nothing_to_wait_for_when_nothing_was_said(events: LinkEvents) -> None:
    events.drain()


def test_more_than_there_is_room_for_counts_as_said(space: Namespace, events: LinkEvents) -> None:
    events._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for number in range(10):
        space.ip("link", "add", f"one{number}", "type", "veth", "peer", "name", f"other{number}")

    assert something_said(events)
    for _ in range(2):
        events.drain()
    assert not something_said(events)
    space.ip("link", "del", "one1")
    assert something_said(events)
