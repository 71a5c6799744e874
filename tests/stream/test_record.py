from __future__ import annotations

import pytest
from captures import PACKETS
from hypothesis import given
from hypothesis import strategies as st
from records import RECORDS, slot_of

from nfq_guard.model.flow import Direction, Stage
from nfq_guard.stream.record import (
    DATA_AT,
    DENY,
    HEAD,
    HEAD_AT,
    SLOT,
    VERDICTS,
    Record,
    length_of,
    outcome,
    place,
    read,
)


def test_head_and_packet_do_not_overlap() -> None:
    assert HEAD_AT + HEAD.size <= DATA_AT


@given(RECORDS)
def test_what_is_written_is_read(record: Record) -> None:
    assert read(slot_of(record)) == record


@given(st.binary(min_size=SLOT, max_size=SLOT) | st.binary(max_size=2 * SLOT))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    found = read(data)

    assert found is None or found.verdict in VERDICTS


def test_a_name_longer_than_the_kernel_has_is_cut_and_an_odd_one_is_shown() -> None:
    where = place(Stage.FORWARD, Direction.FORWARD, "x" * 40, "a\udcff")
    slot = bytearray(SLOT)
    HEAD.pack_into(slot, HEAD_AT, 1, 1, -1, 0, 0, outcome(DENY), where)

    record = read(bytes(slot))

    assert record is not None
    assert (record.in_interface, record.out_interface) == ("x" * 16, "a\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("data", PACKETS.values(), ids=PACKETS)
def test_the_length_is_what_the_packet_says_however_much_of_it_is_there(data: bytes) -> None:
    message = b"ahead" + data

    assert length_of(message, 5, len(message)) == len(data)
    assert length_of(message, 5, 5 + min(40, len(data))) == len(data)


@given(st.binary(max_size=100))
def test_no_packet_is_shorter_than_what_is_there_of_it(data: bytes) -> None:
    assert length_of(data, 0, len(data)) >= len(data)
