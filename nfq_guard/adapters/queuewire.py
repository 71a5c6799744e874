"""What the kernel's queue says and hears, byte by byte (linux/netfilter/nfnetlink_queue.h).

Owns the messages: packets that wait, and answers to them. Numbers that the kernel only
wants back, or that we only compare (packet ids, interface numbers), stay as they came:
big-endian, read as the machine reads. Must never decide.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

_SUBSYSTEM = 3 << 8
"""NFNL_SUBSYS_QUEUE."""
PACKET, _VERDICT, _CONFIG, _VERDICT_BATCH = (_SUBSYSTEM | number for number in range(4))
"""NFQNL_MSG_*."""
ERROR = 2
"""NLMSG_ERROR; with error 0 an acknowledgement."""
REQUEST, ACK = 1, 4

_VERDICT_HEADER, _MARK, _INDEV, _OUTDEV, _HARDWARE, _PAYLOAD, _INFO = 2, 3, 5, 6, 9, 10, 14
"""NFQA_*."""

HEADER = struct.Struct("=HHII")
"""Type, flags, sequence, port of nlmsghdr, behind its length."""
_MESSAGE = struct.Struct("=IHHIIBBH")
"""nlmsghdr and nfgenmsg."""
_ATTRIBUTE = struct.Struct("=HH")
_WORD = struct.Struct("=I")
_WITH_WORD = _ATTRIBUTE.size + _WORD.size
_HEAD = struct.Struct("=4xH18xI2xBx").unpack_from
"""Type; packet id and hook of NFQA_PACKET_HDR, which the kernel puts first."""
_SECOND = 32
"""Where the attribute behind it begins."""

INWARD = struct.Struct("=4xH18xI2xBxIII12xI4xHH").unpack_from
"""Head, and what most packets that come in have: NFQA_IFINDEX_INDEV, NFQA_HWADDR,
NFQA_SKB_INFO, NFQA_PAYLOAD. Type, id, hook, header and value of the first, headers of the
next two, length and type of the last."""
INWARD_LENGTH = 68
"""Bytes ahead of such a packet."""


def _word(length: int, kind: int) -> int:
    """Return the header of an attribute as one number."""
    return int(_WORD.unpack(_ATTRIBUTE.pack(length, kind))[0])


INDEV_WORD, HARDWARE_WORD, INFO_WORD = _word(8, _INDEV), _word(16, _HARDWARE), _word(8, _INFO)
PAYLOAD = _PAYLOAD


class Arrival(NamedTuple):
    """A packet that waits. Its bytes are at `at`..`end` of the message."""

    ident: int
    """As it came."""
    hook: int
    inward: int = 0
    """Interface numbers, as they came; 0 where there is none."""
    outward: int = 0
    mark: int = 0
    """Of the packet, as a number."""
    at: int = 0
    end: int = 0


def read(message: bytearray, length: int) -> Arrival | None:
    """Return the packet in the first bytes of a buffer, None if they are about something else. Never raises."""
    if length < _SECOND:
        return None
    kind, ident, hook = _HEAD(message)
    if kind != PACKET:
        return None
    found = {}
    at, start, end = _SECOND, 0, 0
    while at + _ATTRIBUTE.size <= length:
        size, kind = _ATTRIBUTE.unpack_from(message, at)
        if size < _ATTRIBUTE.size:
            break
        if kind == _PAYLOAD:
            start, end = at + _ATTRIBUTE.size, min(at + size, length)
        elif kind in _NUMBERS and size >= _WITH_WORD <= length - at:
            found[kind] = int(_WORD.unpack_from(message, at + _ATTRIBUTE.size)[0])
        at += size + 3 & ~3
    mark = socket.ntohl(found.get(_MARK, 0))
    return Arrival(ident, hook, found.get(_INDEV, 0), found.get(_OUTDEV, 0), mark, start, end)


_NUMBERS = frozenset({_MARK, _INDEV, _OUTDEV})


class Answer:
    """What the kernel is told: a verdict, and perhaps a mark. The same bytes but for the packet's id."""

    __slots__ = ("_batch", "_single")

    def __init__(self, queue: int, verdict: int, mark: int | None) -> None:
        """`verdict` is NF_*; None: leave the mark."""
        body = _ATTRIBUTE.pack(12, _VERDICT_HEADER) + struct.pack(">II", verdict, 0)
        if mark is not None:
            body += _ATTRIBUTE.pack(8, _MARK) + struct.pack(">I", mark)
        self._single = bytearray(message(queue, _VERDICT, REQUEST, body))
        self._batch = bytearray(message(queue, _VERDICT_BATCH, REQUEST, body))

    def to(self, ident: int, count: int) -> bytearray:
        """Return the message for `count` packets, the last of which has this id (as it came).

        A batch verdict is for all packets up to an id that still wait.
        """
        told = self._single if count == 1 else self._batch
        _WORD.pack_into(told, _IDENT, ident)
        return told


_IDENT = _MESSAGE.size + _ATTRIBUTE.size + 4
"""Where an answer has the id: behind the verdict."""


def message(queue: int, kind: int, flags: int, body: bytes) -> bytes:
    """Return a message about a queue."""
    head = _MESSAGE.pack(_MESSAGE.size + len(body), kind, flags, 0, 0, 0, 0, socket.htons(queue))
    return head + body


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def config(queue: int, flags: int, *attributes: tuple[int, bytes]) -> bytes:
    """Return a message that sets something of a queue (NFQA_CFG_*)."""
    body = b"".join(attribute(kind, value) for kind, value in attributes)
    return message(queue, _CONFIG, flags, body)
