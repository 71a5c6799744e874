"""Who may see the web page: the setting `page`, and what a browser says of who sent it.

Owns the refusals. An address says which host asks, not whose page made a browser ask: a
foreign site reaches loopback by a name that it has pointed there, or by a request of its
own. Must never look at what is asked for.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from nfq_guard.adapters.http import Request

LOOPBACK, EVERYWHERE, OFF = "loopback", "everywhere", "off"
_OWN_SITES = frozenset({"", "none", "same-origin"})
"""Sec-Fetch-Site: absent (no browser, or an old one), typed by a person, or our own page."""


def refusal(who: str, request: Request, names: AbstractSet[str]) -> str:
    """Return why a request is not answered, empty where it is; `names`: what the host is called."""
    if who == LOOPBACK and not (is_loopback(request.client) and is_loopback(request.server)):
        return (
            f"found a request from {request.client} to {request.server}, expected both to be loopback addresses: "
            "reach the page by ssh -L, or set page to everywhere"
        )
    name = host_name(request.host)
    if name is None or not (_address(name) or name in names):
        return (
            f"found the Host {request.host[:100]!r}, expected an address, localhost or this host's own name: "
            "open the page by one of these"
        )
    if request.site not in _OWN_SITES:
        return "found a request that another site made: open the page by typing its address"
    if request.origin and request.origin.lower() != f"http://{request.host.lower()}":
        return f"found the Origin {request.origin[:100]!r}, expected this page's own"
    return ""


def is_loopback(text: str) -> bool:
    """Return whether an address is the host's own loopback, also as IPv6 sockets spell IPv4."""
    address = _address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_loopback


def host_name(header: str) -> str | None:
    """Return the name or address of a Host header in lower case, None for what is none."""
    if header.startswith("["):
        name, bracket, port = header[1:].partition("]")
        good = bool(bracket) and ":" in name and (not port or _is_port(port))
    else:
        name, colon, number = header.partition(":")
        good = bool(name) and (not colon or _is_port(f":{number}"))
    return name.lower().removesuffix(".") if good else None


def _is_port(text: str) -> bool:
    digits = text.removeprefix(":")
    return text.startswith(":") and digits.isascii() and digits.isdigit()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
