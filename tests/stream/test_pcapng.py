from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from captures import wire
from events import DNS, EVENTS, PACKETS, PING6, SHOP_WEB, SSH, WEB6, capture_of, denied, event
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.utils import PcapNgReader, RawPcapNgReader

from nfq_guard.stream.pcapng import Capture

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event


def read(data: bytes) -> list[Any]:
    with PcapNgReader(io.BytesIO(data)) as reader:
        return list(reader)


def test_packets_are_read_back_with_their_time_interface_direction_and_what_became_of_them() -> None:
    out = event(packet=DNS, direction="out", in_interface="", out_interface="eth1", side="egress")
    first, second, third = read(capture_of(event(), out, denied(packet=WEB6)))

    assert [type(packet) for packet in (first, second, third)] == [IP, IP, IPv6]
    assert bytes(first) == wire(SSH)
    assert first.sniffed_on == third.sniffed_on == "eth0"
    assert second.sniffed_on == "eth1"
    assert [packet.direction for packet in (first, second)] == [1, 2]
    assert f"{first.time:.9f}" == "1767225600.123456789"
    assert first.wirelen == 60
    comments = [packet.comments[0].decode() for packet in (first, second, third)]
    assert comments[0].startswith(
        "allow policy: tier default, GlobalNetworkPolicy(allow-ssh) ingress rule 0 at "
    )
    assert comments[2] == "deny tier-default: ingress, end of tier default"


@given(st.lists(EVENTS, max_size=6))
def test_any_events_make_a_file_that_is_read_to_its_end(events: list[Event]) -> None:
    with RawPcapNgReader(io.BytesIO(capture_of(*events))) as reader:
        found = list(reader)

    assert [data for data, _ in found] == [one.data for one in events]
    for (_, meta), one in zip(found, events, strict=True):
        assert (meta.tshigh << 32) + meta.tslow == one.time_ns
        assert meta.wirelen == max(one.length, len(one.data))
        assert meta.linktype == 101


def test_every_block_is_whole_by_itself() -> None:
    capture = Capture()
    blocks = [
        capture.head(),
        *(block for packet in PACKETS for block in capture.blocks(event(packet=packet))),
    ]

    assert len(blocks) == 2 + len(PACKETS)
    for block in blocks:
        assert len(block) % 4 == 0
        assert block[4:8] == block[-4:] == len(block).to_bytes(4, "little")


def test_a_forwarded_packet_is_one_of_the_interface_that_it_came_by() -> None:
    (packet,) = read(capture_of(event(packet=PING6, direction="forward", out_interface="cali1")))

    assert packet.sniffed_on == "eth0"
    assert packet.direction in {None, 0}


@pytest.mark.parametrize("name", ["x" * 100_000, "\ud800", "é" * 5000])
def test_a_name_of_any_length_and_kind_fits(name: str) -> None:
    (packet,) = read(capture_of(event(rule=SHOP_WEB._replace(file=name))))

    assert bytes(packet) == wire(SSH)
    packet.comments[0].decode()


def test_a_packet_of_an_unknown_interface_is_written_too() -> None:
    (packet,) = read(capture_of(event(in_interface="")))

    assert bytes(packet) == wire(SSH)
