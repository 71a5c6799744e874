from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

import pytest
from netns import Namespace

from nfq_guard.adapters.host import HostWatch, node_name, read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.model.host import HostFacts

pytestmark = pytest.mark.netns


@pytest.fixture
def space() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


def make(space: Namespace, name: str) -> None:
    space.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-peer")


def facts(space: Namespace) -> HostFacts:
    with space.entered():
        return read_facts("me")


def test_interfaces_come_with_number_state_and_both_families(space: Namespace) -> None:
    make(space, "guard0")
    space.ip("address", "add", "10.9.0.1/24", "dev", "guard0")
    space.ip("address", "add", "10.1.0.1/24", "dev", "guard0")
    space.ip("address", "add", "fd09::1/64", "dev", "guard0", "nodad")

    found = facts(space)

    assert found.node == "me"
    assert sorted(found.interfaces) == ["guard0", "guard0-peer", "lo"]
    assert found.interfaces["guard0"].addresses == ("10.1.0.1", "10.9.0.1", "fd09::1")
    assert not found.interfaces["guard0"].up
    assert found.interfaces["lo"].addresses == ("127.0.0.1", "::1")
    assert found.interfaces["lo"].up
    assert found.interfaces["guard0"].index > found.interfaces["lo"].index > 0


def test_the_address_of_a_point_to_point_link_is_our_end(space: Namespace) -> None:
    make(space, "ptp0")
    space.ip("address", "add", "10.0.0.1", "peer", "10.0.0.2", "dev", "ptp0")

    assert facts(space).interfaces["ptp0"].addresses == ("10.0.0.1",)


def test_a_name_that_is_not_text_is_one_like_any_other(space: Namespace) -> None:
    make(space, "b\udcff\udcfe")

    assert {"lo", "b\udcff\udcfe"} < {*facts(space).interfaces}


CHANGES = {
    "an interface that appears": ("link", "add", "new0", "type", "veth", "peer", "name", "new0-peer"),
    "an interface that is renamed": ("link", "set", "old0", "name", "other0"),
    "an interface that goes": ("link", "del", "old0"),
    "an interface that comes up": ("link", "set", "old0", "up"),
    "a new IPv4 address": ("address", "add", "10.0.0.1/24", "dev", "old0"),
    "a new IPv6 address": ("-6", "address", "add", "fd00::1/64", "dev", "lo"),
}


@pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES)
def test_hears_of(space: Namespace, command: tuple[str, ...]) -> None:
    make(space, "old0")
    before = facts(space)
    with space.entered():
        watch = HostWatch()

    space.ip(*command)

    assert select.select([watch], [], [], 5)[0]
    watch.drain()
    assert not select.select([watch], [], [], 0)[0]
    assert facts(space) != before
    watch.close()


def test_a_flood_of_events_that_overflows_is_a_change_like_any_other(space: Namespace) -> None:
    with space.entered():
        watch = HostWatch()
    with socket.socket(fileno=watch._socket.detach()) as small:
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        watch._socket = small
        lines = "".join(f"address add 10.3.{n // 250}.{n % 250 + 1}/32 dev lo\n" for n in range(400))
        space.run("ip", "-batch", "-", text=lines)

        watch.drain()

        assert not select.select([watch], [], [], 0)[0]


def test_a_node_is_called_as_configured_or_after_the_host_in_lower_case() -> None:
    assert node_name("Given") == "Given"
    assert node_name() == socket.gethostname().strip().lower()
