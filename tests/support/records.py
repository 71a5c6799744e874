"""Records of verdicts: any that can be, and the slots that hold them."""

from __future__ import annotations

from captures import wire
from events import SSH
from hypothesis import strategies as st

from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Direction, Side, Stage
from nfq_guard.packet import UnparsableReason
from nfq_guard.stream.record import (
    DENY,
    KEPT,
    NUMBER,
    RECORD,
    RECORD_AT,
    SLOT,
    VERDICTS,
    Record,
    note,
    outcome,
    place,
)

U64, U32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
NAMES = st.text("abcdefgh0123.-é", max_size=7)
RECORDS = st.builds(
    Record,
    number=U64,
    time_ns=U64,
    generation=U32,
    counter=st.integers(-(2**31), 2**31 - 1),
    verdict=st.sampled_from(VERDICTS),
    reason=st.none() | st.sampled_from(Reason),
    stage=st.sampled_from(Stage),
    side=st.none() | st.sampled_from(Side),
    direction=st.sampled_from(Direction),
    rejected=st.booleans(),
    in_interface=NAMES,
    out_interface=NAMES,
    length=U32,
    unparsable=st.none() | st.sampled_from(UnparsableReason),
    data=st.binary(max_size=KEPT),
)


DENIED = Record(
    0,
    1_767_225_600_000_000_000,
    3,
    1,
    DENY,
    Reason.TIER_DEFAULT,
    Stage.NORMAL,
    Side.INGRESS,
    Direction.IN,
    False,
    "eth0",
    "",
    60,
    None,
    wire(SSH),
)
"""A denial at the end of the tier."""


def parts_of(record: Record) -> tuple[bytes, bytes]:
    """Return what became of a record's packet, by what, and where, as slots say it."""
    said = outcome(record.verdict, record.reason, record.side, record.unparsable, rejected=record.rejected)
    return note(record.generation, record.counter, said), place(
        record.stage, record.direction, record.in_interface, record.out_interface
    )


def slot_of(record: Record) -> bytes:
    """Return the slot that holds a record; its length is what the packet says."""
    slot = bytearray(SLOT)
    NUMBER.pack_into(slot, 0, record.number)
    seen = len(record.data)
    RECORD.pack_into(slot, RECORD_AT, record.time_ns, seen, *parts_of(record), record.data)
    return bytes(slot)
