from __future__ import annotations

import pytest
from captures import PACKETS
from hypothesis import given
from hypothesis import strategies as st
from records import RECORDS, slot_of

from nfq_guard.model.flow import Direction, Stage
from nfq_guard.stream.record import (
    DENY,
    NUMBER,
    RECORD,
    RECORD_AT,
    SLOT,
    VERDICTS,
    Record,
    length_of,
    note,
    outcome,
    place,
    read,
)


def test_a_record_fits_behind_its_number() -> None:
    assert NUMBER.size <= RECORD_AT <= SLOT - RECORD.size


@given(RECORDS)
def test_what_is_written_is_read(record: Record) -> None:
    length = length_of(record.data, len(record.data))

    assert read(slot_of(record)) == record._replace(length=length)


@given(st.binary(min_size=SLOT, max_size=SLOT) | st.binary(max_size=2 * SLOT))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    found = read(data)

    assert found is None or found.verdict in VERDICTS


def test_a_name_longer_than_the_kernel_has_is_cut_and_an_odd_one_is_shown() -> None:
    where = place(Stage.FORWARD, Direction.FORWARD, "x" * 40, "a\udcff")
    slot = bytearray(SLOT)
    RECORD.pack_into(slot, RECORD_AT, 1, 0, note(1, -1, outcome(DENY)), where, b"")

    record = read(bytes(slot))

    assert record is not None
    assert (record.in_interface, record.out_interface) == ("x" * 16, "a\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("data", PACKETS.values(), ids=PACKETS)
def test_the_length_is_what_the_packet_says_however_much_of_it_is_there(data: bytes) -> None:
    assert length_of(data, len(data)) == len(data)
    cut = data[:40]
    assert length_of(cut, len(cut)) == len(data)


@given(st.binary(max_size=100))
def test_no_packet_is_shorter_than_what_is_there_of_it(data: bytes) -> None:
    assert length_of(data, len(data)) >= len(data)
