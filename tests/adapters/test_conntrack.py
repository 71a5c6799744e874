from __future__ import annotations

import errno
import re
import socket
import struct
import sys
from typing import TYPE_CHECKING

import netns
import pytest

from nfq_guard.adapters import conntrack
from nfq_guard.adapters.command import KernelError
from nfq_guard.adapters.conntrack import clear_marks

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = 0xF0000000
MARKING = """table inet marking {
	chain output {
		type filter hook output priority 0;
		ct state new udp dport 1-1000 ct mark set 0x50000abc
		ct state new udp dport 1001-2000 ct mark set 0x00000abc
	}
}
"""


@pytest.fixture
def marked() -> Iterator[netns.Namespace]:
    """Yield a namespace with a peer, in which UDP to ports 1-1000 is marked as judged, 1001-2000 is not."""
    with netns.pair() as (end, _):
        end.namespace.nft(MARKING)
        yield end.namespace


def _talk(space: netns.Namespace, *ports: int) -> None:
    for family, host in ((socket.AF_INET, "10.77.0.2"), (socket.AF_INET6, "fd00:77::2")):
        with space.socket(family, socket.SOCK_DGRAM) as sender:
            for port in ports:
                sender.sendto(b"x", (host, port))


def _marks(space: netns.Namespace) -> list[str]:
    return sorted(
        found
        for family in ("ipv4", "ipv6")
        for found in re.findall(r"mark=(\d+)", space.run("conntrack", "-L", "-f", family).stdout)
    )


@pytest.mark.netns
def test_only_our_bits_are_cleared_in_both_families(marked: netns.Namespace) -> None:
    _talk(marked, 7, 1007)
    assert _marks(marked) == sorted([str(0x50000ABC), str(0xABC)] * 2)
    with marked.entered():
        assert clear_marks(MASK) == 2
    assert _marks(marked) == [str(0xABC)] * 4


@pytest.mark.netns
def test_an_empty_table_is_no_error(marked: netns.Namespace) -> None:
    with marked.entered():
        assert clear_marks(MASK) == 0


@pytest.mark.netns
def test_more_entries_than_fit_in_one_message_are_all_cleared(marked: netns.Namespace) -> None:
    _talk(marked, *range(1, 700))
    with marked.entered():
        assert clear_marks(MASK) == 2 * 699
        assert clear_marks(MASK) == 0


@pytest.mark.netns
def test_entries_that_end_while_we_work_are_passed_over(
    marked: netns.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = conntrack._clear

    def after_they_ended(netlink: socket.socket, mask: int, entries: list[conntrack._Entry]) -> None:
        marked.run("conntrack", "-D", "-p", "udp", "--dport", "3")
        clear(netlink, mask, entries)

    monkeypatch.setattr(conntrack, "_clear", after_they_ended)
    _talk(marked, 1, 2, 3, 4)
    with marked.entered():
        assert clear_marks(MASK) == 8
    assert set(_marks(marked)) == {str(0xABC)}


@pytest.mark.netns
def test_without_the_right_to_do_it_the_kernels_refusal_is_reported(marked: netns.Namespace) -> None:
    script = (
        "import os; from nfq_guard.adapters.conntrack import clear_marks; os.setuid(65534); clear_marks(0xf)"
    )
    done = marked.run(sys.executable, "-c", script, check=False)
    assert "KernelError: connection marks cannot be cleared: Operation not permitted" in done.stderr


def test_a_socket_that_cannot_be_had_is_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(conntrack, "_open", refused)
    with pytest.raises(KernelError, match="connection marks cannot be cleared: Too many open files"):
        clear_marks(MASK)


def test_a_mask_that_cannot_hold_generations_is_refused() -> None:
    with pytest.raises(ValueError, match="connection mark mask"):
        clear_marks(0)


@pytest.mark.parametrize("data", [b"", b"\0" * 16, struct.pack("=IHHII", 8, 0, 0, 0, 0)])
def test_short_or_broken_messages_end_the_reading(data: bytes) -> None:
    assert not list(conntrack._messages(data))


def test_broken_attributes_end_the_reading() -> None:
    assert not list(conntrack._attributes(b"\x02\x00\x01\x00", 0))


def test_a_refusal_in_the_answer_is_an_error() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        refusal = struct.pack("=i", -1)
        theirs.send(struct.pack("=IHHII", 20, 2, 0, 0, 0) + refusal)
        with pytest.raises(PermissionError):
            list(conntrack._dump(ours))
        theirs.send(struct.pack("=IHHII", 20, 2, 0, 1, 0) + refusal)
        entry = conntrack._Entry(2, b"", MASK)
        with pytest.raises(PermissionError):
            conntrack._clear(ours, MASK, [entry])
