"""Packets in capture files, from their IP header on.

Owns the reading of pcap and pcapng, by scapy, and what is in front of an IP header. Must
never judge a packet, nor change a byte of it.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from nfq_guard.model.flow import Direction

_DIRECTIONS = {1: Direction.IN, 2: Direction.OUT}
"""The lowest bits of a packet's flags (pcapng, epb_flags)."""


class CaptureError(Exception):
    """A capture file cannot be read, or has no such packet; says what was found."""


class Captured(NamedTuple):
    """A packet, and what its file says about it: pcap nothing, pcapng whatever its writer knew."""

    data: bytes
    """From its IP header on."""
    interface: str = ""
    direction: Direction | None = None
    """IN or OUT."""
    comments: tuple[str, ...] = ()


def read_packet(path: str, number: int) -> Captured:
    """Return packet `number`, from 1, of a capture; CaptureError if there is none, or none of IP.

    `-` is standard input.
    """
    # A second to import, for the few who have a capture.
    from scapy.error import Scapy_Exception  # noqa: PLC0415
    from scapy.layers.inet import IP  # noqa: PLC0415
    from scapy.layers.inet6 import IPv6  # noqa: PLC0415
    from scapy.utils import PcapReader  # noqa: PLC0415

    try:
        # Opened here: what scapy opens and does not like, it leaves open.
        with open("/dev/stdin" if path == "-" else path, "rb") as stream, PcapReader(stream) as reader:  # noqa: PTH123 - text in, text out
            packet = next(islice(reader, number - 1, None), None)
    except (Scapy_Exception, EOFError, MemoryError) as error:
        raise CaptureError(f"{path}: no pcap or pcapng file: {error}") from error
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from error
    if packet is None:
        raise CaptureError(f"{path}: it has fewer than {number} packets")
    layer = packet
    while layer:
        # The outermost: a tunnel's own packet is what the guard sees.
        if isinstance(layer, (IP, IPv6)):
            return Captured(
                bytes(layer.original),
                _decoded(packet.sniffed_on or b""),
                _DIRECTIONS.get(packet.direction),
                tuple(map(_decoded, packet.comments or ())),
            )
        layer = layer.payload
    raise CaptureError(f"{path}: packet {number} is neither IPv4 nor IPv6: {packet.summary()}")


def _decoded(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("utf-8", "replace")
