"""The queue's messages: what the kernel's headers define, and nothing that makes us raise."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.adapters import queuewire
from nfq_guard.adapters.queuewire import (
    HARDWARE_WORD,
    INDEV_WORD,
    INFO_WORD,
    INWARD,
    INWARD_LENGTH,
    PACKET,
    PAYLOAD,
    Answer,
    Arrival,
    attribute,
    config,
    read,
)

NFQA_PACKET_HDR, NFQA_MARK, NFQA_TIMESTAMP, NFQA_IFINDEX_INDEV, NFQA_IFINDEX_OUTDEV = 1, 3, 4, 5, 6
NFQA_HWADDR, NFQA_PAYLOAD, NFQA_CT, NFQA_CAP_LEN, NFQA_SKB_INFO = 9, 10, 11, 13, 14
NLA_F_NESTED = 1 << 15


def word(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def packet(*attributes: bytes, ident: int = 7, hook: int = 1, kind: int = PACKET) -> bytes:
    """Return a message as nfqnl_build_packet_message writes one."""
    body = attribute(NFQA_PACKET_HDR, struct.pack(">IHB", ident, 0x0800, hook)) + b"".join(attributes)
    # nlmsghdr, and nfgenmsg: family, version, queue.
    head = struct.pack("=IHHII", 20 + len(body), kind, 0, 0, 0) + struct.pack(">BBH", 2, 0, 5)
    return head + body


def read_in(data: bytes) -> Arrival | None:
    return read(bytearray(data + b"\xa5" * 64), len(data))


HARDWARE = attribute(NFQA_HWADDR, bytes(12))
INFO = word(NFQA_SKB_INFO, 0)
CONTENT = attribute(NFQA_PAYLOAD, b"packet!")


def as_it_came(value: int) -> int:
    return socket.htonl(value)


def test_a_packet_that_comes_in_is_read() -> None:
    data = packet(word(NFQA_IFINDEX_INDEV, 3), HARDWARE, INFO, CONTENT)

    arrival = read_in(data)

    assert arrival is not None
    assert arrival[:5] == (as_it_came(7), 1, as_it_came(3), 0, 0)
    assert data[arrival.at : arrival.end] == b"packet!"


def test_every_field_of_a_packet_is_read_wherever_it_stands() -> None:
    others = (
        attribute(NFQA_TIMESTAMP, bytes(16)),
        attribute(NFQA_CT | NLA_F_NESTED, bytes(5)),
        word(NFQA_CAP_LEN, 9000),
    )
    numbers = (word(NFQA_IFINDEX_OUTDEV, 4), word(NFQA_MARK, 0xA0B0C0D0), word(NFQA_IFINDEX_INDEV, 3))
    data = packet(others[0], numbers[0], others[1], *numbers[1:], others[2], CONTENT, hook=2)

    arrival = read_in(data)

    assert arrival is not None
    assert arrival[:5] == (as_it_came(7), 2, as_it_came(3), as_it_came(4), 0xA0B0C0D0)
    assert data[arrival.at : arrival.end] == b"packet!"


def test_what_most_packets_have_is_found_at_one_reading_as_well() -> None:
    data = packet(word(NFQA_IFINDEX_INDEV, 3), HARDWARE, INFO, CONTENT)
    arrival = read_in(data)
    assert arrival is not None

    kind, ident, hook, first, inward, second, third, size, last = INWARD(data)

    assert (kind, first, second, third, last) == (PACKET, INDEV_WORD, HARDWARE_WORD, INFO_WORD, PAYLOAD)
    assert (ident, hook, inward) == arrival[:3]
    assert (INWARD_LENGTH, INWARD_LENGTH - 4 + size) == (arrival.at, arrival.end)


def test_a_packet_without_content_is_one_of_no_bytes() -> None:
    arrival = read_in(packet())

    assert arrival is not None
    assert arrival.at == arrival.end


@pytest.mark.parametrize(
    "data",
    [
        b"",
        packet(CONTENT, kind=2),
        packet(CONTENT, kind=PACKET + 1),
        packet(CONTENT)[:31],
        struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -2) + bytes(16),
    ],
    ids=["nothing", "an error", "another message", "cut in its head", "a refusal with what it is about"],
)
def test_what_is_no_packet_is_passed_over(data: bytes) -> None:
    assert read_in(data) is None


@pytest.mark.parametrize("length", range(32, len(packet(word(NFQA_MARK, 5), CONTENT)) + 1))
def test_a_message_that_was_cut_says_nothing_of_what_is_behind_its_end(length: int) -> None:
    data = packet(word(NFQA_MARK, 5), CONTENT)[:length]

    arrival = read_in(data)

    assert arrival is not None
    assert arrival.mark == (5 if length >= 40 else 0)
    assert arrival.at <= arrival.end <= length


@given(st.binary(max_size=120) | st.binary(max_size=90).map(lambda data: packet() + data))
def test_any_bytes_are_a_packet_within_them_or_nothing(data: bytes) -> None:
    arrival = read(bytearray(data), len(data))

    assert arrival is None or 0 <= arrival.at <= arrival.end <= len(data)


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=16)), max_size=6)
)
def test_lengths_that_lie_lead_nowhere(pieces: list[tuple[int, int, bytes]]) -> None:
    data = packet() + b"".join(struct.pack("=HH", size, kind) + rest for size, kind, rest in pieces)

    arrival = read(bytearray(data), len(data))

    assert arrival is not None
    assert 0 <= arrival.at <= arrival.end <= len(data)


def answered(data: bytes | bytearray) -> tuple[object, ...]:
    """Return length, type, flags, family, version, queue of an answer, and its attributes."""
    length, kind, flags, sequence, port, family, version, queue = struct.unpack_from("=IHHIIBBH", data)
    assert (length, sequence, port) == (len(data), 0, 0)
    return kind, flags, family, version, socket.ntohs(queue), bytes(data[20:])


NFNL_SUBSYS_QUEUE, NFQNL_MSG_VERDICT, NFQNL_MSG_CONFIG, NFQNL_MSG_VERDICT_BATCH = 3 << 8, 1, 2, 3
NLM_F_REQUEST, AF_UNSPEC, NFNETLINK_V0 = 1, 0, 0
NFQA_VERDICT_HDR = 2


@pytest.mark.parametrize(("count", "kind"), [(1, NFQNL_MSG_VERDICT), (2, NFQNL_MSG_VERDICT_BATCH)])
@pytest.mark.parametrize("mark", [None, 0, 0xA0B0C0D0])
def test_an_answer_is_what_the_kernels_headers_define(count: int, kind: int, mark: int | None) -> None:
    answer = Answer(513, 4, mark)

    for ident in (7, 0xFFFFFFFF, 1):
        # struct nfqnl_msg_verdict_hdr: verdict, id, both big-endian.
        attributes = struct.pack("=HH", 12, NFQA_VERDICT_HDR) + struct.pack(">II", 4, ident)
        if mark is not None:
            attributes += struct.pack("=HH", 8, NFQA_MARK) + struct.pack(">I", mark)
        assert answered(answer.to(as_it_came(ident), count)) == (
            NFNL_SUBSYS_QUEUE | kind,
            NLM_F_REQUEST,
            AF_UNSPEC,
            NFNETLINK_V0,
            513,
            attributes,
        )


def test_what_is_set_of_a_queue_is_padded_to_words() -> None:
    message = config(5, 5, (2, b"\1\2\3\4\5"), (3, b"\6\7\0\1"))

    assert answered(message) == (
        NFNL_SUBSYS_QUEUE | NFQNL_MSG_CONFIG,
        5,
        AF_UNSPEC,
        NFNETLINK_V0,
        5,
        struct.pack("=HH", 9, 2) + b"\1\2\3\4\5\0\0\0" + struct.pack("=HH", 8, 3) + b"\6\7\0\1",
    )


def test_the_numbers_are_those_of_the_kernels_header() -> None:
    kinds = {name: getattr(queuewire, f"_{name}") for name in ("VERDICT", "CONFIG", "VERDICT_BATCH")}

    assert PACKET == NFNL_SUBSYS_QUEUE
    assert kinds == {
        "VERDICT": NFNL_SUBSYS_QUEUE | NFQNL_MSG_VERDICT,
        "CONFIG": NFNL_SUBSYS_QUEUE | NFQNL_MSG_CONFIG,
        "VERDICT_BATCH": NFNL_SUBSYS_QUEUE | NFQNL_MSG_VERDICT_BATCH,
    }
