"""Failsafe ports: the default lists, and the text form of a list.

Owns both (Calico felix/config/config_params.go and param_types.go PortListParam). The
text form is what `FELIX_FAILSAFE*` and felix.cfg hold; resources spell ports out.
"""

from __future__ import annotations

import re

from nfq_guard.engine.ruleset import Failsafe
from nfq_guard.model.addresses import Net, parse_net
from nfq_guard.model.flow import TCP, UDP
from nfq_guard.resources.values import MAX_PORT

_BOTH = tuple(Failsafe(TCP, port) for port in (179, 2379, 2380, 5473, 6443, 6666, 6667))
"""BGP, etcd, Typha, the Kubernetes API and etcd of self-hosted clusters."""

DEFAULT_INBOUND: tuple[Failsafe, ...] = (Failsafe(TCP, 22), Failsafe(UDP, 68), *_BOTH)
DEFAULT_OUTBOUND: tuple[Failsafe, ...] = (Failsafe(UDP, 53), Failsafe(UDP, 67), *_BOTH)

_NONE = "none"
_PROTOCOLS = {"tcp": TCP, "udp": UDP}
_ELEMENT = re.compile(
    r"(?:(?P<protocol>[^:]*):)?(?:(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:\[\]]*)):)?(?P<port>[^:\[\]]*)"
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}")


class FailsafeError(ValueError):
    """A list in text form cannot be read; `problems` has a sentence for each bad element."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def parse_failsafes(text: str, default: tuple[Failsafe, ...]) -> tuple[Failsafe, ...]:
    """Return the failsafes a text lists: none for `none`, the default ones for no text.

    Elements between commas: `PORT` (TCP), `PROTOCOL:PORT`, `PROTOCOL:CIDR:PORT` or
    `PROTOCOL:[IPV6-CIDR]:PORT`. FailsafeError names every bad element.
    """
    if not text:
        return default
    if text.strip().lower() == _NONE:
        return ()
    failsafes: list[Failsafe] = []
    problems: list[str] = []
    for element in filter(None, (part.strip() for part in text.split(","))):
        try:
            failsafes.append(_element(element))
        except ValueError as error:
            problems.append(f"{element[:60]}: {error}")
    if problems:
        raise FailsafeError(tuple(problems))
    return tuple(failsafes)


def _element(element: str) -> Failsafe:
    match = _ELEMENT.fullmatch(element)
    if match is None:
        raise ValueError("expected PORT, PROTOCOL:PORT, PROTOCOL:CIDR:PORT or PROTOCOL:[IPV6-CIDR]:PORT")
    name = match["protocol"]
    protocol = TCP if name is None else _PROTOCOLS.get(name.lower())
    if protocol is None:
        raise ValueError(f"unknown protocol {name}, expected tcp or udp")
    return Failsafe(protocol, _port(match["port"]), _net(match["v4"], match["v6"]))


def _port(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"found {text or 'nothing'} as the port, expected a number")
    number = int(text)
    if not 0 <= number <= MAX_PORT:
        raise ValueError(f"found the port {text}, expected 0-{MAX_PORT}")
    return number


def _net(v4: str | None, v6: str | None) -> Net | None:
    text = v4 if v6 is None else v6
    if text is None:
        return None
    try:
        return parse_net(text, bare=True, host_bits=True)
    except ValueError:
        raise ValueError(f"found {text or 'nothing'}, expected an IP address or CIDR") from None
