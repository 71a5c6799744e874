"""What an unquoted YAML scalar means to Calico's decoder.

Owns the resolution of plain scalars (YAML 1.1 as the Go library reads it: `yes` and `on`
are booleans, `010` is octal, `1:30` is text) and how such a value becomes text where the
resource wants text. Must never depend on the field that the scalar stands in.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass

_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_SPECIAL = {
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 400
"""Longer digits are text: no 64-bit number or float needs them, and reading them is slow."""

_BITS = 64


@dataclass(frozen=True, slots=True)
class PlainScalar:
    """An unquoted scalar that is not text: `80`, `1.5`, `yes`."""

    value: bool | float
    raw: str
    """As the file shows it."""
    line: int
    column: int

    @property
    def text(self) -> str:
        """Return what a string field makes of it, as Calico's YAML wrapper converts."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return str(self.value) if isinstance(self.value, int) else float_text(self.value)

    @property
    def faithful(self) -> bool:
        """Return whether that text is what the file shows."""
        return self.text == self.raw


def resolve(raw: str) -> str | bool | float | None:
    """Return the value of a plain scalar: text, boolean, integer, float or null."""
    if raw in _NULL:
        return None
    if raw in _TRUE:
        return True
    if raw in _FALSE:
        return False
    if raw in _SPECIAL:
        return _SPECIAL[raw]
    if raw[0] not in "+-.0123456789" or len(raw) > _LONGEST_NUMBER:
        return raw
    return _number(raw.replace("_", ""), raw)


def too_large(text: str) -> bool:
    """Return whether a text is a number that no 64-bit number or float can hold, hence text."""
    digits = text.replace("_", "")
    return isinstance(resolve(text), str) and bool(_INTEGER.fullmatch(digits) or _FLOAT.fullmatch(digits))


def _number(digits: str, raw: str) -> str | float:
    if _INTEGER.fullmatch(digits):
        number = _integer(digits)
        if -(1 << (_BITS - 1)) <= number < 1 << _BITS:
            return number
        if not digits.lstrip("+-").isdigit():
            return raw
    elif not _FLOAT.fullmatch(digits):
        return raw
    # As Go's ParseFloat, which refuses what float() takes for infinite.
    value = float(digits)
    return value if math.isfinite(value) else raw


def _integer(digits: str) -> int:
    sign = -1 if digits.startswith("-") else 1
    body = digits.lstrip("+-")
    if len(body) > 1 and body[0] == "0" and body[1].isdigit():
        return sign * int(body, 8)
    return sign * int(body, 0)


def float_text(value: float) -> str:
    """Return a float as Go's FormatFloat(value, 'g', -1, 32) writes it."""
    if math.isnan(value):
        return "NaN"
    narrow = _narrow(value)
    if math.isinf(narrow):
        return "+Inf" if narrow > 0 else "-Inf"
    shortest = next(text for text in (f"{narrow:.{n}e}" for n in range(10)) if _narrow(float(text)) == narrow)
    mantissa, _, exponent = shortest.partition("e")
    power = int(exponent)
    if power < _LEAST_PLAIN or power >= _FIRST_SCIENTIFIC:
        return shortest
    decimals = max(len(mantissa.lstrip("-").replace(".", "")) - power - 1, 0)
    return f"{float(shortest):.{decimals}f}"


_LEAST_PLAIN, _FIRST_SCIENTIFIC = -4, 6
"""Powers of ten between which Go writes shortest floats without exponent."""


def _narrow(value: float) -> float:
    """Return the nearest 32-bit float."""
    try:
        packed: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return packed
