"""The demo's own little network: two namespaces, a cable, listeners and clients.

Owns how traffic is really sent. Every socket is made inside its namespace; nothing is
touched outside of them. Must never know what is expected of an attempt.
"""

from __future__ import annotations

import contextlib
import secrets
import select
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from namespaces import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from namespaces import Namespace

    Flow = Mapping[str, Any]

ECHO = Path(__file__).with_name("demo_echo.py")
_ECHO_REQUEST = {4: 8, 6: 128}
_ECHO_REPLY = {4: 0, 6: 129}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}


def family_of(address: str) -> int:
    """Return 4 or 6."""
    return 6 if ":" in address else 4


def connect(host: Namespace, peer: Namespace, own: Iterable[str], others: Iterable[str]) -> None:
    """Join two new namespaces by a cable between their eth0, and give them addresses.

    The peer plays everybody else, near and far: it has all other addresses at once.
    """
    for space in (host, peer):
        run("ip", "netns", "add", space.name)
        space.ip("link", "set", "lo", "up")
    host.ip("link", "add", "name", "eth0", "type", "veth", "peer", "name", "eth0", "netns", peer.name)
    for space in (host, peer):
        space.sysctl("ipv6/conf/eth0/accept_dad", 0)
        space.sysctl("ipv6/conf/eth0/router_solicitations", 0)
        space.ip("link", "set", "eth0", "up")
    for space, addresses in ((host, own), (peer, others)):
        for address in addresses:
            _own(space, address)
    for here, there in ((host, others), (peer, own)):
        for address in there:
            here.ip(f"-{family_of(address)}", "route", "replace", address, "dev", "eth0")


def _own(space: Namespace, address: str) -> None:
    family = family_of(address)
    length, extra = (32, ()) if family == 4 else (128, ("nodad",))  # noqa: PLR2004 - a family is 4 or 6
    space.ip(f"-{family}", "address", "add", f"{address}/{length}", "dev", "eth0", *extra)


def listen(space: Namespace, services: Iterable[tuple[str, str, int]]) -> None:
    """Start a process that echoes on (protocol, address, port), and wait until it does."""
    words = sorted({f"{protocol},{address},{port}" for protocol, address, port in services})
    child = space.start(
        sys.executable, str(ECHO), *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=None
    )
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    if child.stdout.readline().strip() != "ready":
        raise RuntimeError(f"the listeners in {space.name} did not start")


class Attempt:
    """One try to get an answer from the other side. `answered()` never blocks for long."""

    def __init__(self, space: Namespace, flow: Flow) -> None:
        """Send the first packet from a namespace."""
        self._token = secrets.token_hex(8).encode()
        self._family = family_of(flow["src"])
        self._flow = flow
        self._sent = False
        kinds = {"TCP": self._tcp, "UDP": self._udp}
        with space.entered():
            self._socket = kinds.get(flow["protocol"], self._icmp)()
        self._wants_write = flow["protocol"] == "TCP"

    def _bound(self, kind: int, protocol: int = 0, port: int = 0) -> socket.socket:
        made = socket.socket(_FAMILIES[self._family], kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind((self._flow["src"], port))
        return made

    def _tcp(self) -> socket.socket:
        made = self._bound(socket.SOCK_STREAM, port=self._flow.get("sport", 0))
        with contextlib.suppress(BlockingIOError):
            made.connect((self._flow["dst"], self._flow["dport"]))
        return made

    def _udp(self) -> socket.socket:
        made = self._bound(socket.SOCK_DGRAM, port=self._flow.get("sport", 0))
        made.connect((self._flow["dst"], self._flow["dport"]))
        self._send_quietly(made)
        return made

    def _icmp(self) -> socket.socket:
        made = self._bound(socket.SOCK_RAW, _ICMP[self._family])
        made.connect((self._flow["dst"], 0))
        self._token = _echo_request(self._family, self._token)
        self._send_quietly(made)
        # The answer comes with the request's identifier, sequence number and content.
        self._token = bytes([_ECHO_REPLY[self._family], 0]) + self._token[4:]
        return made

    def _send_quietly(self, made: socket.socket) -> None:
        # A packet that the host's own output drops is an EPERM to its sender: an answer too, and not ours to give.
        with contextlib.suppress(PermissionError):
            made.send(self._token)

    def answered(self, seconds: float) -> bool:
        """Wait a little and return whether the answer is there."""
        readable, writable, _ = select.select(
            [self._socket], [self._socket] if self._wants_write else [], [], seconds
        )
        try:
            if writable:
                self._wants_write = False
                self._socket.send(self._token)
            return bool(readable) and self._is_answer(self._socket.recv(2048))
        except OSError:
            return False

    def _is_answer(self, data: bytes) -> bool:
        if self._flow["protocol"] in {"TCP", "UDP"}:
            return data == self._token
        start = (data[0] & 0x0F) * 4 if self._family == 4 else 0  # noqa: PLR2004 - IPv4 comes with its header
        reply = data[start:]
        return reply[:2] + reply[4:] == self._token

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _echo_request(family: int, payload: bytes) -> bytes:
    """Return an ICMP echo request (RFC 792, RFC 4443); the kernel sums up the IPv6 kind itself."""
    rest = struct.pack("!HH", secrets.randbelow(65536), 1) + payload
    head = bytes([_ECHO_REQUEST[family], 0])
    return head + struct.pack("!H", _checksum(head + b"\0\0" + rest)) + rest


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
