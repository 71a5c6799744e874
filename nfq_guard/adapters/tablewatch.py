"""Hears when somebody removes our table (`nft flush ruleset`), or changes it.

Owns a socket on the kernel's nftables notifications. Must never decide what to do about
it: it only wakes its reader, who asks what is there now.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from nfq_guard.kernel.learned import COUNTER_PREFIX, PREFIX
from nfq_guard.kernel.render import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETLINK_NETFILTER = 12
_GROUP_NFTABLES = 7
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_SET_NAME = 2
"""NFTA_SET_ELEM_LIST_SET, and NFTA_OBJ_NAME."""
_OURS_TO_CHANGE = {10 << 8 | 12: PREFIX, 10 << 8 | 14: PREFIX, 10 << 8 | 18: COUNTER_PREFIX}
"""NFT_MSG_NEWSETELEM, DELSETELEM and NEWOBJ about names that start so are verdicts being learned."""
_DELETE_TABLE = 10 << 8 | 2
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE."""
_INET = 1
_TABLE_NAME = 1
"""NFTA_TABLE_NAME."""
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_GENERIC = 4
"""struct nfgenmsg: family, version, two bytes of resource id."""
_RECEIVE = 65536


class TableWatch:
    """Use from a poll loop: readable -> `deleted()`. Lives in the namespace it is made in."""

    def __init__(self) -> None:
        """Listen from now on. OSError where the kernel refuses."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
        )
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)

    def fileno(self) -> int:
        """Return the descriptor to poll for input."""
        return self._socket.fileno()

    def deleted(self) -> bool:
        """Read what has come, without waiting; return whether our table may be gone.

        Also true when the kernel had to drop notifications: ask the table itself. Our own
        replacement of a table of another version is reported as well.
        """
        return self._drain(_DELETE_TABLE)

    def changed(self) -> bool:
        """Like `deleted`, for any change in our table: rules flushed, elements taken out.

        Our own changes are reported as well: the kernel does not say whose they are.
        """
        return self._drain(None)

    def _drain(self, kind: int | None) -> bool:
        found = False
        while True:
            try:
                data = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found = True
                continue
            found = found or any(kind in {None, heard} for heard in _messages(data))

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def _messages(data: bytes) -> Iterator[int]:
    """Yield the kind of each netlink message about our table."""
    at = 0
    while at + _HEADER.size + _GENERIC <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size + _GENERIC:
            return
        body = data[at + _HEADER.size : at + length]
        # Tables, chains, rules, sets and elements all name their table in attribute 1.
        if body[0] == _INET and _name(body[_GENERIC:], _TABLE_NAME) == TABLE:
            mine = _OURS_TO_CHANGE.get(kind)
            if mine is None or not _name(body[_GENERIC:], _SET_NAME).startswith(mine):
                yield kind
        at += (length + 3) & ~3


def _name(attributes: bytes, wanted: int) -> str:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if length < _ATTRIBUTE.size:
            return ""
        if kind == wanted:
            return os.fsdecode(attributes[at + _ATTRIBUTE.size : at + length].rstrip(b"\0"))
        at += (length + 3) & ~3
    return ""
