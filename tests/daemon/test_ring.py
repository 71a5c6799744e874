from __future__ import annotations

import fcntl
import mmap
import os
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import RECORDS, parts_of

from nfq_guard.daemon.ring import DENIALS, SIZE, WATCHED, Reader, Writer, create_ring, read_only
from nfq_guard.model.flow import Direction, Stage
from nfq_guard.stream.record import ALLOW, DENY, Record, length_of, note, outcome, place

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS = WATCHED.slots
WHERE = place(Stage.NORMAL, Direction.IN, "eth0", "")


@pytest.fixture
def ring() -> Iterator[int]:
    descriptor = create_ring()
    yield descriptor
    os.close(descriptor)


def put(writer: Writer, *times: int) -> None:
    for at in times:
        writer.write(at, note(1, -1, outcome(DENY)), WHERE, b"packet", 0, 6)


def times(records: list[Record]) -> list[int]:
    return [record.time_ns for record in records]


@given(st.lists(RECORDS, max_size=8))
def test_what_is_written_is_read(records: list[Record]) -> None:
    descriptor = create_ring()
    writer, reader = Writer(descriptor), Reader(descriptor)
    for record in records:
        message = b"ahead" + record.data + b"behind"
        writer.write(record.time_ns, *parts_of(record), message, 5, 5 + len(record.data))

    assert reader.read(100) == [
        record._replace(number=number, length=length_of(record.data, len(record.data)))
        for number, record in enumerate(records, start=1)
    ]
    assert (reader.read(100), reader.lost) == ([], 0)
    reader.close()
    os.close(descriptor)


@pytest.mark.parametrize("nonsense", [2**64 - 1, 2**62, 2**63 + 5])
def test_who_follows_a_worker_that_wrote_nonsense_is_read_again_and_nothing_is_told_as_lost(
    ring: int, nonsense: int
) -> None:
    reader = Reader(ring)
    put(Writer(ring), 1)
    assert times(reader.read(9)) == [1]
    with mmap.mmap(ring, SIZE) as memory:
        memory[0:8] = nonsense.to_bytes(8, "little")
        assert (reader.read(9), reader.skip(0), reader.behind) == ([], 0, 0)

    successor = Writer(ring)
    put(successor, 2)
    reader.read(9)
    put(successor, 3, 4)

    assert times(reader.read(9)) == [3, 4]
    assert reader.lost == 0


def test_a_reader_knows_how_far_behind_it_is_whatever_the_writer_says(ring: int) -> None:
    writer, reader = Writer(ring), Reader(ring)
    put(writer, 1, 2, 3)
    reader.read(1)
    assert (reader.behind, reader.written) == (2, 3)
    reader.read(5)
    assert reader.behind == 0

    with mmap.mmap(ring, SIZE) as memory:
        memory[:8] = b"\xff" * 8
        assert reader.behind == 0
        memory[:8] = bytes(8)
        assert reader.behind == 0
    reader.close()


def test_of_a_longer_packet_the_beginning_is_kept(ring: int) -> None:
    writer, reader = Writer(ring), Reader(ring)
    data = bytes(range(256)) * 2
    writer.write(1, note(1, -1, outcome(ALLOW)), WHERE, data, 0, len(data))

    (record,) = reader.read(1)
    assert record.data == data[:256]


def test_of_the_packet_before_in_its_slot_a_record_has_nothing(ring: int) -> None:
    writer = Writer(ring)
    for _ in range(SLOTS):
        writer.write(1, note(1, -1, outcome(ALLOW)), WHERE, bytes(256), 0, 256)
    reader = Reader(ring)
    put(writer, 1)

    assert reader.read(1)[0].data == b"packet"


def test_the_two_rings_of_a_file_have_nothing_to_do_with_each_other(ring: int) -> None:
    writers = Writer(ring), Writer(ring, DENIALS)
    readers = Reader(ring), Reader(ring, DENIALS)
    put(writers[0], *range(SLOTS + 5))
    put(writers[1], *range(DENIALS.slots + 3))

    for reader, writer, part in zip(readers, writers, (WATCHED, DENIALS), strict=True):
        put(writer, 77)
        found = reader.read(2 * SLOTS)
        assert len(found) == part.slots
        assert times(found)[-2:] == [found[-2].number - 1, 77]
        reader.close()
    assert [reader.lost for reader in readers] == [6, 4]


def test_a_reader_starts_at_the_newest(ring: int) -> None:
    writer = Writer(ring)
    put(writer, 1, 2)
    reader = Reader(ring)
    put(writer, 3)

    assert times(reader.read(10)) == [3]
    assert reader.lost == 0


def test_no_more_are_read_than_asked_for_and_the_rest_the_next_time(ring: int) -> None:
    writer, reader = Writer(ring), Reader(ring)
    put(writer, *range(5))

    assert [times(reader.read(2)) for _ in range(4)] == [[0, 1], [2, 3], [4], []]


MORE = st.sampled_from((0, 1, 5, SLOTS - 1, SLOTS, SLOTS + 1, 2 * SLOTS + 7))
MOST = st.sampled_from((0, 1, 100, SLOTS, SLOTS + 1))


@settings(max_examples=30)
@given(st.lists(st.tuples(MORE, MOST), max_size=3))
def test_a_reader_that_is_lapped_counts_its_losses_exactly(turns: list[tuple[int, int]]) -> None:
    descriptor = create_ring()
    writer, reader = Writer(descriptor), Reader(descriptor)
    written = read = 0
    for more, most in turns:
        put(writer, *range(written, written + more))
        written += more
        found = reader.read(most)
        read += len(found)
        # In order, and whatever is missing between two is counted.
        if found:
            assert found[-1].number == read + reader.lost
            assert times(found) == list(range(found[0].time_ns, found[0].time_ns + len(found)))

    read += len(reader.read(SLOTS + 1))
    assert read + reader.lost == written
    reader.close()
    os.close(descriptor)


def test_a_record_that_is_being_overwritten_is_lost_not_torn(ring: int) -> None:
    writer, reader = Writer(ring), Reader(ring)
    put(writer, *range(SLOTS))
    with mmap.mmap(ring, SIZE) as memory:
        # As the writer leaves the first record's slot while it writes the next one there.
        start = WATCHED.end - SLOTS * 384 + 384
        memory[start : start + 8] = bytes(8)

        assert times(reader.read(2)) == [1]
    assert reader.lost == 1


def test_whatever_stands_in_the_ring_a_reader_comes_back(ring: int) -> None:
    reader = Reader(ring)
    with mmap.mmap(ring, SIZE) as memory:
        memory[:8] = b"\xff" * 8
        assert reader.read(100) == []
        memory[:8] = bytes(8)
        assert reader.read(100) == []
        memory[:] = b"\xff" * SIZE
        assert reader.read(100) == []


def test_no_record_is_torn_while_somebody_writes(ring: int) -> None:
    writer, reader = Writer(ring), Reader(ring)
    stopping = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not stopping.is_set():
            written += 1
            fill = bytes((written % 256,)) * 256
            said = note(written % 2**32, written % 2**31, outcome(DENY))
            writer.write(written, said, WHERE, fill, 0, 256)

    thread = threading.Thread(target=write)
    thread.start()
    read = 0
    try:
        while reader.lost < 3 * SLOTS and read < 40_000:
            for record in reader.read(50):
                number = record.number
                assert (record.time_ns, record.generation, record.counter) == (number, number, number)
                assert record.data == bytes((number % 256,)) * 256
                read += 1
    finally:
        stopping.set()
        thread.join()
    while found := reader.read(1000):
        read += len(found)

    assert read + reader.lost == written


def test_a_writer_goes_on_behind_the_last_whole_record(ring: int) -> None:
    reader = Reader(ring)
    put(Writer(ring), 1, 2)
    put(Writer(ring), 3)

    assert [(record.number, record.time_ns) for record in reader.read(10)] == [(1, 1), (2, 2), (3, 3)]


def test_a_ring_can_be_given_away_for_reading_alone(ring: int) -> None:
    given_away = read_only(ring)
    reader = Reader(given_away)
    put(Writer(ring), 1)

    assert times(reader.read(10)) == [1]
    with pytest.raises(PermissionError):
        Writer(given_away)
    with pytest.raises(OSError, match=r"not permitted|Invalid"):
        os.ftruncate(given_away, 0)
    os.close(given_away)


def test_nobody_takes_the_memory_away_from_under_the_others(ring: int) -> None:
    for size in (0, 2 * SIZE):
        with pytest.raises(PermissionError):
            os.ftruncate(ring, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(ring, fcntl.F_ADD_SEALS, 0)


def test_what_is_no_ring_is_refused() -> None:
    descriptor = os.memfd_create("short")

    with pytest.raises(ValueError, match="the rings have"):
        Reader(descriptor)
    os.close(descriptor)


def test_a_reader_may_leave_out_all_but_the_newest(ring: int) -> None:
    reader = Reader(ring)
    put(Writer(ring), *range(1, 11))

    assert reader.skip(3) == 7
    assert reader.skip(3) == 0
    assert times(reader.read(10)) == [8, 9, 10]
    assert (reader.skip(3), reader.lost) == (0, 0)
