"""Connection tracking entries: takes our generation out of their marks.

Owns the two ctnetlink messages for that (linux/netfilter/nfnetlink_conntrack.h). Must
never touch other bits of a mark, nor remove an entry.

Not `conntrack -U`: it ends at the first entry that vanishes while it works, reads, changes
and writes back the whole mark, cannot do both families at once, and calls an empty
table an error. The kernel itself changes only the bits it is told to.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.adapters.command import KernelError
from nfq_guard.kernel.marks import check_connection_mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NETLINK_NETFILTER = 12
_NEW, _GET = 1 << 8 | 0, 1 << 8 | 1
"""NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_NEW and IPCTNL_MSG_CT_GET."""
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")
_KIND = 0x3FFF
"""An attribute's kind without the flags for nesting and byte order."""
_TUPLE, _MARK, _ZONE, _MARK_MASK = 1, 8, 18, 21
"""CTA_*."""

_BATCH = 128
"""Changes sent before the kernel's answer is read: it answers each that fails, and those
answers have to fit into the receive buffer."""
_RECEIVE = 1 << 18
_TIMEOUT = 10.0
"""Seconds the kernel may take to answer."""


class _Entry(NamedTuple):
    """A tracked connection: what names it to the kernel (raw attributes), and its mark."""

    family: int
    naming: bytes
    mark: int


def clear_marks(mask: int) -> int:
    """Clear the mask's bits in every entry that has any: it no longer counts as judged.

    Works in the network namespace of the calling thread. Returns the number of entries.
    KernelError if the kernel refuses; entries that end meanwhile are not an error.
    """
    check_connection_mask(mask)
    try:
        with _open() as netlink:
            marked = [entry for entry in _dump(netlink) if entry.mark & mask]
        with _open() as netlink:
            for start in range(0, len(marked), _BATCH):
                _clear(netlink, mask, marked[start : start + _BATCH])
    except OSError as error:
        raise KernelError(f"connection marks cannot be cleared: {error.strerror or error}") from error
    return len(marked)


def _open() -> socket.socket:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    netlink.settimeout(_TIMEOUT)
    return netlink


def _dump(netlink: socket.socket) -> Iterator[_Entry]:
    netlink.send(_message(_GET, _REQUEST | _DUMP, 0, socket.AF_UNSPEC, b""))
    while True:
        for kind, _, body in _messages(netlink.recv(_RECEIVE)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise _refusal(body)
            yield _entry(body)


def _clear(netlink: socket.socket, mask: int, entries: list[_Entry]) -> None:
    """Send one batch and wait until the kernel has seen its last change."""
    change = _attribute(_MARK, bytes(4)) + _attribute(_MARK_MASK, struct.pack(">I", mask))
    last = len(entries)
    messages = (
        _message(_NEW, _REQUEST | (_ACK if at == last else 0), at, entry.family, entry.naming + change)
        for at, entry in enumerate(entries, start=1)
    )
    netlink.send(b"".join(messages))
    while not _finished(netlink, last):
        pass


def _finished(netlink: socket.socket, last: int) -> bool:
    """Read one answer; return whether it was the last change's. OSError for a refusal."""
    for _, sequence, body in _messages(netlink.recv(_RECEIVE)):
        refusal = _refusal(body)
        if refusal.errno not in {0, errno.ENOENT}:
            raise refusal
        if sequence == last:
            return True
    return False


def _entry(body: bytes) -> _Entry:
    naming, mark = b"", 0
    for kind, raw in _attributes(body, _GENERIC.size):
        if kind in {_TUPLE, _ZONE}:
            naming += raw
        elif kind == _MARK:
            mark = int.from_bytes(raw[_ATTRIBUTE.size : _ATTRIBUTE.size + 4], "big")
    return _Entry(body[0], naming, mark)


def _refusal(body: bytes) -> OSError:
    number = -int(struct.unpack_from("=i", body)[0])
    return OSError(number, os.strerror(number))


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value


def _attributes(data: bytes, at: int) -> Iterable[tuple[int, bytes]]:
    """Yield each attribute's kind and its raw bytes, header and padding included."""
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        following = at + (length + 3 & ~3)
        yield kind & _KIND, data[at:following]
        at = following


def _message(kind: int, flags: int, sequence: int, family: int, attributes: bytes) -> bytes:
    body = _GENERIC.pack(family, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield each netlink message's kind, sequence number and body."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, sequence, data[at + _HEADER.size : at + length]
        at += length + 3 & ~3
