"""Conversions of setting values from TOML, flags and environment text.

Owns what a well-formed value of each type is. Each takes text or a native value and
raises ValueError that says what was expected; must never know a setting by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_MASK_BITS = 32
_LAST_PORT = 65535
_BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Listen(NamedTuple):
    """A TCP address to listen on."""

    host: str
    port: int


class Typed(str):
    """Text that a typed source (TOML) gave as a string: no number may be read from it."""

    __slots__ = ()


def typed(value: object) -> object:
    """Mark strings of a typed source, so that `queue = "5"` is refused as a string."""
    return Typed(value) if isinstance(value, str) else value


def text(value: object) -> str:
    """Accept a string."""
    if not isinstance(value, str):
        raise ValueError("expected a string")  # noqa: TRY004 - one error type for all conversions
    return str(value)


def paths(value: object) -> tuple[str, ...]:
    """Accept one path, text with several split by ':', or a list of paths."""
    if isinstance(value, Typed):
        found: tuple[object, ...] = (value,)
    elif isinstance(value, str):
        found = tuple(part for part in value.split(":") if part)
    elif isinstance(value, Sequence):
        found = tuple(value)
    else:
        raise ValueError("expected a path or a list of paths")  # noqa: TRY004 - as above
    if not found or not all(isinstance(item, str) and item for item in found):
        raise ValueError("expected a path or a list of paths")
    return tuple(str(item) for item in found)


@dataclass(frozen=True, slots=True)
class Choice:
    """Accepts one of some words, which others may ask for: shells complete them."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """Return the word."""
        if value not in self.words:
            raise ValueError(f"expected {' or '.join(self.words)}")
        return str(value)


def choice(*options: str) -> Choice:
    """Accept one of the given words."""
    return Choice(options)


def boolean(value: object) -> bool:
    """Accept true or false, and in text also yes/no, on/off, 1/0."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not isinstance(value, Typed) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise ValueError("expected true or false")


def integer(low: int, high: int) -> Callable[[object], int]:
    """Accept a whole number in low..high."""

    def convert(value: object) -> int:
        number = _number(value, base=10)
        if number is None or not low <= number <= high:
            raise ValueError(f"expected a whole number {low}-{high}")
        return number

    return convert


def mask(value: object) -> int:
    """Accept 32 bits as a number or as text, `0x3000`; at least one bit is set."""
    plain = str(value) if isinstance(value, Typed) else value
    number = _number(plain, base=0)
    if number is None or not 0 < number < 1 << _MASK_BITS:
        raise ValueError("expected a 32-bit mask such as 0x3000")
    return number


def _number(value: object, base: int) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or isinstance(value, Typed):
        return None
    try:
        return int(value, base)
    except ValueError:
        return None


def listen(value: object) -> str:
    """Accept `HOST:PORT`, `[IPV6]:PORT` or `off`."""
    address = text(value)
    parse_listen(address)
    return address


def parse_listen(address: str) -> Listen | None:
    """Return host and port of a checked address, None for `off`."""
    if address == "off":
        return None
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    well_formed = colon and bare and (":" not in bare or bracketed)
    if not well_formed or not (port.isascii() and port.isdigit()) or int(port) > _LAST_PORT:
        raise ValueError("expected HOST:PORT, [IPV6]:PORT or off")
    return Listen(bare, int(port))
