"""This machine's name, interfaces and addresses, and word of their changes (rtnetlink).

Owns the translation from rtnetlink to HostFacts. Events only wake the reader up: facts
are always read whole, so that no lost or reordered event can leave them wrong.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from nfq_guard.model.host import HostFacts, Interface

if TYPE_CHECKING:
    from collections.abc import Iterable

_IFF_UP = 1
_NETLINK_ROUTE = 0
_RTMGRP_LINK = 0x1
_RTMGRP_IPV4_IFADDR = 0x10
_RTMGRP_IPV6_IFADDR = 0x100
_GROUPS = _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR
_RECEIVE = 65536


def node_name(configured: str = "") -> str:
    """Return the configured node name, else the host name in lower case as Felix does."""
    return configured or socket.gethostname().strip().lower()


def read_facts(node: str = "") -> HostFacts:
    """Return the facts of the network namespace this process is in.

    OSError where the kernel refuses, or something changed during the dump: ask again.
    """
    try:
        with IPRoute() as route:
            links = list(route.get_links())
            addresses = list(route.get_addr())
    except NetlinkError as error:
        raise OSError(error.code, f"rtnetlink: {error}") from error
    return HostFacts(node_name(node), _interfaces(links, addresses))


def _interfaces(links: Iterable[Any], addresses: Iterable[Any]) -> dict[str, Interface]:
    by_index: dict[int, list[str]] = {}
    for message in addresses:
        # IFA_ADDRESS is the peer's on point-to-point links: IFA_LOCAL is ours.
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if text:
            by_index.setdefault(message["index"], []).append(text)
    found: dict[str, Interface] = {}
    for link in links:
        # Any bytes but '/' and space may stand in a name: pyroute2 gives bytes for what is not UTF-8.
        name, index = os.fsdecode(link.get_attr("IFLA_IFNAME")), link["index"]
        ordered = tuple(sorted(set(by_index.get(index, ())), key=_order))
        found[name] = Interface(name, ordered, index, bool(link["flags"] & _IFF_UP))
    return dict(sorted(found.items()))


def _order(text: str) -> tuple[int, int]:
    address = ipaddress.ip_address(text)
    return address.version, int(address)


class HostWatch:
    """A file descriptor that turns readable when interfaces or addresses change."""

    def __init__(self) -> None:
        """Subscribe before the first `read_facts`, so that no change falls between."""
        flags = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, flags, _NETLINK_ROUTE)
        self._socket.bind((0, _GROUPS))

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Read away what is pending. An overflow (ENOBUFS) is a change like any other."""
        with contextlib.suppress(BlockingIOError):
            while True:
                with contextlib.suppress(_Overflow):
                    self._read()

    def _read(self) -> None:
        try:
            self._socket.recv(_RECEIVE)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _Overflow from error

    def close(self) -> None:
        """Unsubscribe."""
        self._socket.close()


class _Overflow(Exception):  # noqa: N818 - private flow control
    """The kernel dropped events for us."""
