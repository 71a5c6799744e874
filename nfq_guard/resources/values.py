"""Protocols and ports as Calico's JSON spells them: a number or a string.

Owns reading them from decoded JSON values and nothing else: whether a port may stand
beside a protocol is the rule's business. Must never look at a file or a position.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nfq_guard.model.flow import PORT_PROTOCOLS, PROTOCOL_NUMBERS

MAX_PORT = 65535
MAX_PROTOCOL = 255
UNKNOWN_PROTOCOL = -1
"""Number of a protocol whose name Calico reads but then refuses."""

_DIGITS = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]+):([0-9]+)")
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")


class Protocol(NamedTuple):
    """An IP protocol. `text` is how the resource spells it, `TCP` or `6`."""

    number: int
    text: str

    @property
    def has_ports(self) -> bool:
        """Return whether Calico lets rules match ports of this protocol."""
        return self.number in PORT_PROTOCOLS

    @property
    def known(self) -> bool:
        """Return whether it is a protocol that rules may name: not 0, not an unknown name."""
        return self.number > 0


class Port(NamedTuple):
    """Ports `low`..`high` inclusive, or, where `name` is set, whatever carries that name."""

    low: int
    high: int
    name: str | None = None

    def __str__(self) -> str:
        """Return the port as a resource spells it."""
        if self.name is not None:
            return self.name
        return str(self.low) if self.low == self.high else f"{self.low}:{self.high}"


def parse_protocol(value: object) -> Protocol:
    """Return the protocol a JSON value means; ValueError says what was wrong.

    As numorstring.Protocol: an integer 0-255, or a string. A string of digits up to 255
    is a number, any other string a name, also where no such protocol exists.
    """
    number = whole(value)
    if number is not None:
        if not 0 <= number <= MAX_PROTOCOL:
            raise ValueError(f"protocol numbers are 1-{MAX_PROTOCOL}")
        return Protocol(number, str(number))
    if not isinstance(value, str):
        raise TypeError("expected a protocol name such as TCP, or a number")
    if _DIGITS.fullmatch(value) and _number(value) <= MAX_PROTOCOL:
        return Protocol(int(value), value)
    return Protocol(PROTOCOL_NUMBERS.get(value, UNKNOWN_PROTOCOL), value)


def parse_port(value: object) -> Port:
    """Return the port a JSON value means; ValueError or TypeError says what was wrong.

    As numorstring.Port: an integer, a string of digits, `low:high`, or a name. Port 0
    is read here and refused where a rule uses it.
    """
    number = whole(value)
    if number is not None:
        return Port(_port(number), number)
    if not isinstance(value, str):
        raise TypeError("expected a port number, a range such as 8000:8100, or a port name")
    if _DIGITS.fullmatch(value):
        single = _port(_number(value))
        return Port(single, single)
    span = _RANGE.fullmatch(value)
    if span is not None:
        return _range(_port(_number(span[1])), _port(_number(span[2])))
    if not _NAME.fullmatch(value):
        raise ValueError("expected a port number, a range such as 8000:8100, or a port name")
    return Port(0, 0, value)


def whole(value: object) -> int | None:
    """Return the integer a JSON number is, None for anything else (a bool is no number)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _FLOAT_AS_INTEGER:
        return int(value)
    return None


_FLOAT_AS_INTEGER = 1e21
"""From here on Go writes a float with an exponent, and no longer reads it as an integer."""


def _number(digits: str) -> int:
    """Return the value of digits, capped so that a megabyte of nines costs nothing."""
    return int(digits) if len(digits) <= 20 else MAX_PORT + 1  # noqa: PLR2004 - any length beyond 5


def _port(number: int) -> int:
    if not 0 <= number <= MAX_PORT:
        raise ValueError(f"ports are 1-{MAX_PORT}")
    return number


def _range(low: int, high: int) -> Port:
    if low > high:
        raise ValueError(f"the range runs backwards; did you mean {high}:{low}?")
    return Port(low, high)
