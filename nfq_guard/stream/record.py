"""One verdict as a worker writes it down: the layout of a slot of its ring.

Owns every byte of a slot but for who may write it when (daemon/ring.py). What is read
was written by a process that reads what strangers send: any bytes give a Record or
None, never an exception.
"""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Direction, Side, Stage
from nfq_guard.packet import UnparsableReason

if TYPE_CHECKING:
    from enum import StrEnum

SLOT = 384
"""Bytes: a number, what there is to say, and the packet's beginning."""
KEPT = 256
"""Bytes of a packet that are kept, from its IP header on: all that the worker saw of it."""
ALLOW, DENY, PASS, UNJUDGED, LOG = VERDICTS = ("allow", "deny", "pass", "unjudged", "log")
"""PASS: left to the next stage. UNJUDGED: it could not be judged, and the fail mode let it by. LOG: no verdict yet, a
Log rule was met on the way to it."""
WISHED = (ALLOW, DENY, LOG)
"""What a watcher may wish to be written down; PASS and UNJUDGED go with ALLOW."""

NUMBER = Struct("=Q")
"""Of the record, at the slot's beginning: from 1, 0 while the slot is written."""
_NOTE = Struct("=Ii5s")
_PLACE = Struct("=BB16s16s")
RECORD = Struct(f"=QI{_NOTE.size}s{_PLACE.size}s{KEPT}s")
"""Behind it: time, bytes that the worker saw, `note`, `place`, and the packet's beginning."""
RECORD_AT = NUMBER.size
_NONE = 255
_REASONS, _STAGES, _SIDES = tuple(Reason), tuple(Stage), tuple(Side)
_DIRECTIONS, _UNPARSABLE = tuple(Direction), tuple(UnparsableReason)
_NAME = 16
"""Bytes of an interface's name (IFNAMSIZ)."""
_IPV4, _IPV6 = 4, 6
_IPV4_HEADER, _IPV6_HEADER = 20, 40


class Record(NamedTuple):
    """A verdict about one packet at one stage, or a Log rule that it met ahead of that."""

    number: int
    """From 1 in each ring, without a gap."""
    time_ns: int
    """Nanoseconds since the epoch."""
    generation: int
    counter: int
    """Index into Ruleset.counted of the line that decided, or that logs; -1: none."""
    verdict: str
    """One of VERDICTS."""
    reason: Reason | None
    stage: Stage
    side: Side | None
    """Whose rules decided."""
    direction: Direction
    rejected: bool
    """Its sender was told. Valid for DENY."""
    in_interface: str
    """Empty where the packet has none at this stage."""
    out_interface: str
    length: int
    """Of the whole packet as it was queued: segments may not have been cut yet."""
    unparsable: UnparsableReason | None
    """Why it could not be judged."""
    data: bytes
    """Its beginning, from the IP header on."""


@cache
def outcome(
    verdict: str,
    reason: Reason | None = None,
    side: Side | None = None,
    unparsable: UnparsableReason | None = None,
    *,
    rejected: bool = False,
) -> bytes:
    """Return how a slot says what became of a packet, and why."""
    return bytes(
        (
            VERDICTS.index(verdict),
            _code(_REASONS, reason),
            _code(_SIDES, side),
            _code(_UNPARSABLE, unparsable),
            rejected,
        )
    )


def place(stage: Stage, direction: Direction, in_interface: str, out_interface: str) -> bytes:
    """Return how a slot says where a packet was judged."""
    # The kernel's names are bytes: whatever they hold comes back as text.
    names = (name.encode("utf-8", "surrogateescape")[:_NAME] for name in (in_interface, out_interface))
    return _PLACE.pack(_STAGES.index(stage), _DIRECTIONS.index(direction), *names)


def note(generation: int, counter: int, said: bytes) -> bytes:
    """Return how a slot says what all packets with one `outcome` have in common."""
    return _NOTE.pack(generation, counter, said)


def length_of(data: bytes, seen: int) -> int:
    """Return how long a packet of which so many bytes were seen says that it is: it may have been cut."""
    version = data[0] >> 4 if data else 0
    if version == _IPV4 and len(data) >= _IPV4_HEADER:
        said = data[2] << 8 | data[3]
    elif version == _IPV6 and len(data) >= _IPV6_HEADER:
        said = _IPV6_HEADER + (data[4] << 8 | data[5])
    else:
        said = 0
    return max(said, seen)


def read(slot: bytes) -> Record | None:
    """Return what a slot says, None for what no worker of ours wrote."""
    if len(slot) != SLOT:
        return None
    (number,) = NUMBER.unpack_from(slot)
    time_ns, seen, what, where, data = RECORD.unpack_from(slot, RECORD_AT)
    generation, counter, codes = _NOTE.unpack(what)
    data = data[:seen]
    stage, direction, inward, outward = _PLACE.unpack(where)
    verdict, reason, side, unparsable, rejected = codes
    try:
        return Record(
            number,
            time_ns,
            generation,
            counter,
            VERDICTS[verdict],
            _REASONS[reason] if reason != _NONE else None,
            _STAGES[stage],
            _SIDES[side] if side != _NONE else None,
            _DIRECTIONS[direction],
            bool(rejected),
            _name(inward),
            _name(outward),
            length_of(data, seen),
            _UNPARSABLE[unparsable] if unparsable != _NONE else None,
            data,
        )
    except IndexError:
        return None


def _code(members: tuple[StrEnum, ...], member: StrEnum | None) -> int:
    return _NONE if member is None else members.index(member)


def _name(field: bytes) -> str:
    return field.rstrip(b"\0").decode("utf-8", "replace")
