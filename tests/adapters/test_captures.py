"""Packets of capture files, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from captures import FRAME
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP
from scapy.utils import PcapNgWriter, PcapWriter

from nfq_guard.adapters.captures import CaptureError, read_packet

if TYPE_CHECKING:
    from pathlib import Path

    from scapy.packet import Packet

FOUR = IP(src="192.0.2.1", dst="192.0.2.2") / TCP(sport=1, dport=2)
SIX = IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=3, dport=4)


@pytest.fixture(params=[PcapWriter, PcapNgWriter])
def capture(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = str(tmp_path / "capture")
    with request.param(path) as writer:
        for packet in (FRAME / FOUR, FRAME / SIX, FRAME / ARP()):
            writer.write(packet)
    return path


def test_a_packet_is_as_it_was_from_its_ip_header_on(capture: str) -> None:
    assert read_packet(capture, 1).data == bytes(FOUR)
    assert read_packet(capture, 2).data == bytes(SIX)


@pytest.mark.parametrize(("number", "said"), [(3, "neither IPv4 nor IPv6"), (4, "fewer than 4 packets")])
def test_what_is_no_ip_packet_is_named(capture: str, number: int, said: str) -> None:
    with pytest.raises(CaptureError, match=said):
        read_packet(capture, number)


def test_a_file_that_is_no_capture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a capture, though it is long enough to be one", encoding="utf-8")

    with pytest.raises(CaptureError, match=r"notes\.txt: no pcap or pcapng file"):
        read_packet(str(path), 1)
    with pytest.raises(CaptureError, match="No such file"):
        read_packet(str(tmp_path / "absent"), 1)


@pytest.mark.parametrize("packet", [FOUR, SIX])
def test_of_a_tunnel_the_outer_packet_is_meant(tmp_path: Path, packet: Packet) -> None:
    path = str(tmp_path / "tunnel")
    outer = IPv6(src="2001:db8::5", dst="2001:db8::6") / packet
    with PcapWriter(path) as writer:
        writer.write(FRAME / outer)

    assert read_packet(path, 1).data == bytes(outer)
