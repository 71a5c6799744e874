from __future__ import annotations

import errno
import select
import struct
from typing import TYPE_CHECKING

import netns
import pytest

from nfq_guard.adapters import tablewatch
from nfq_guard.adapters.tablewatch import TableWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = "add table inet nfq_guard\n"


@pytest.fixture
def watched() -> Iterator[tuple[netns.Namespace, TableWatch]]:
    """Yield a namespace that holds a table of our name, and a watch on it."""
    with netns.Namespace() as space:
        space.nft(TABLE)
        with space.entered():
            watch = TableWatch()
        yield space, watch
        watch.close()


def _heard(watch: TableWatch) -> bool:
    readable, _, _ = select.select([watch], [], [], 5)
    assert readable
    return watch.deleted()


@pytest.mark.netns
@pytest.mark.parametrize("command", ["flush ruleset", "delete table inet nfq_guard"])
def test_removal_of_the_table_is_heard_at_once(
    watched: tuple[netns.Namespace, TableWatch], command: str
) -> None:
    space, watch = watched
    space.nft(f"{command}\n")
    assert _heard(watch)
    assert not watch.deleted()


@pytest.mark.netns
@pytest.mark.parametrize(
    "change",
    ["add table inet other\ndelete table inet other", "add table ip nfq_guard\ndelete table ip nfq_guard"],
)
def test_other_tables_are_none_of_our_business(
    watched: tuple[netns.Namespace, TableWatch], change: str
) -> None:
    space, watch = watched
    space.nft("add table inet elsewhere\n")
    space.nft(f"{change}\n")
    assert not _heard(watch)


@pytest.mark.netns
def test_another_namespaces_table_is_not_heard(watched: tuple[netns.Namespace, TableWatch]) -> None:
    space, watch = watched
    with netns.Namespace() as other:
        other.nft(TABLE)
        other.nft("flush ruleset\n")
    space.nft("add table inet other\n")
    assert not _heard(watch)


@pytest.mark.netns
def test_lost_notifications_count_as_a_removal(watched: tuple[netns.Namespace, TableWatch]) -> None:
    space, watch = watched
    elements = ", ".join(f"10.{high}.{low}.1" for high in range(100) for low in range(100))
    space.nft(
        f"table inet other {{\n\tset s {{\n\t\ttype ipv4_addr\n\t\telements = {{ {elements} }}\n\t}}\n}}\n"
    )
    assert _heard(watch)


class _Broken:
    def recv(self, _: int) -> bytes:
        raise OSError(errno.EBADF, "closed")


@pytest.mark.netns
def test_other_errors_of_the_socket_are_raised(
    watched: tuple[netns.Namespace, TableWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, watch = watched
    with monkeypatch.context() as patch:
        patch.setattr(watch, "_socket", _Broken())
        with pytest.raises(OSError, match="closed"):
            watch.deleted()


@pytest.mark.parametrize(
    "data",
    [b"", bytes(20), struct.pack("=IHHII", 8, 0xA02, 0, 0, 0) + bytes(4)],
    ids=["empty", "zeroes", "a length shorter than its header"],
)
def test_broken_messages_are_not_a_removal(data: bytes) -> None:
    assert not any(tablewatch._messages(data))


@pytest.mark.parametrize("attributes", [b"", b"\1\0\1\0", b"\5\0\2\0x\0\0\0"])
def test_a_message_without_a_table_name_names_no_table(attributes: bytes) -> None:
    assert not tablewatch._name(attributes, 1)


@pytest.mark.netns
@pytest.mark.parametrize(
    "command", ["add chain inet nfq_guard x", "flush table inet nfq_guard", "delete table inet nfq_guard"]
)
def test_any_change_of_the_table_is_heard_by_who_asks_for_it(
    watched: tuple[netns.Namespace, TableWatch], command: str
) -> None:
    space, watch = watched
    space.nft("add chain inet nfq_guard y\nadd rule inet nfq_guard y accept\n")
    assert watch.changed()
    space.nft(f"{command}\n")
    assert watch.changed()
    space.nft("add table inet other\nadd chain inet other x\n")
    assert not watch.changed()
