"""Field types: what one JSON value may be, typed as Calico's Go structs type it.

Owns the leaf types of the models and their messages. Must never check two fields
against each other: that is a model's `findings`.

A string field takes unquoted numbers and booleans as text, as Calico's decoder does.
Nothing else is converted, except that a float without fraction is an integer in JSON.
"""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, LiteralString, NoReturn

from pydantic import AfterValidator, BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from nfq_guard.model.addresses import FAMILIES, parse_address, parse_net
from nfq_guard.model.decision import Action
from nfq_guard.model.flow import PROTOCOL_NUMBERS
from nfq_guard.resources import names
from nfq_guard.resources.scalars import PlainScalar, too_large
from nfq_guard.resources.values import Port, Protocol, parse_port, parse_protocol, whole
from nfq_guard.selector import SelectorError
from nfq_guard.selector import parse as parse_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LONGEST_SHOWN = 60
"""Characters of a bad value that a message repeats."""

LONGEST_SELECTOR = 16_384
"""Longer ones are not even read. Calico's schema allows 1024, but only where there is a schema."""

MAX_UINT16 = 0xFFFF
MAX_UINT32 = 0xFFFFFFFF


def refuse(code: LiteralString, message: str) -> NoReturn:
    """Raise the error that becomes a Problem at the place of the value."""
    raise PydanticCustomError(code, "{message}", {"message": message})


def show(value: object) -> str:
    """Return a found value fit for a message: one line, short, text in quotes."""
    if isinstance(value, PlainScalar):
        return _short(value.raw)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        text = _short(value)
        return '"' + "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in text) + '"'
    return str(value).lower() if isinstance(value, bool) else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def unwrap(value: object) -> object:
    """Return the value of an unquoted scalar, anything else unchanged."""
    return value.value if isinstance(value, PlainScalar) else value


def _wrong_type(value: object, expected: str) -> NoReturn:
    refuse("wrong-type", f"found {show(value)}, expected {expected}")


def to_text(value: object, info: ValidationInfo) -> str:
    """Decode a string; numbers and booleans that are not quoted become text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if not isinstance(value, PlainScalar):
        _wrong_type(value, "text")
    if not value.faithful and isinstance(info.context, list):
        info.context.append(value)
    return value.text


def to_integer(value: object) -> int:
    """Decode an integer; `80.0` is one, `"80"` and `true` are not."""
    number = whole(unwrap(value))
    if number is None:
        _refuse_huge(value)
        quoted = isinstance(value, str) and value.isascii() and value.isdigit()
        _wrong_type(value, "a whole number" + (" (without quotes)" if quoted else _lost_comment(value)))
    return number


def _refuse_huge(value: object) -> None:
    """Refuse a number that is beyond what any field takes, as text where it is beyond floats too."""
    number = unwrap(value)
    if too_large(number) if isinstance(number, str) else isinstance(number, float) and number.is_integer():
        refuse("out-of-range", f"found {show(value)}, which is more than any number here may be")


def _lost_comment(value: object) -> str:
    """Return a hint for a value that goes on after a gap, as `8  Ping request` does."""
    return '; did a comment lose its "#"?' if isinstance(value, str) and "  " in value.strip() else ""


def to_number(value: object) -> float:
    """Decode a finite number."""
    number = unwrap(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        _refuse_huge(value)
        _wrong_type(value, "a number")
    return float(number)


def to_flag(value: object) -> bool:
    """Decode a boolean; the text "true" and the number 1 are none."""
    flag = unwrap(value)
    if not isinstance(flag, bool):
        _wrong_type(value, "true or false")
    return flag


Text = Annotated[str, BeforeValidator(to_text)]
Integer = Annotated[int, BeforeValidator(to_integer)]
Number = Annotated[float, BeforeValidator(to_number)]
Flag = Annotated[bool, BeforeValidator(to_flag)]


def one_of(*allowed: str, any_case: bool = False) -> AfterValidator:
    """Allow these words only. `any_case` also allows other letter case and the empty string."""
    exact = frozenset(allowed)
    folded = {word.lower(): word for word in allowed or PROTOCOL_NUMBERS}

    def check(text: str) -> str:
        if text in exact or (any_case and (not text or text.lower() in folded)):
            return folded.get(text.lower(), text)
        near = folded.get(text.lower())
        hint = f"; did you mean {near}?" if near else ""
        refuse("bad-value", f"found {show(text)}, expected {_either(allowed)}{hint}")

    return AfterValidator(check)


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def between(low: int, high: int) -> AfterValidator:
    """Allow integers from low to high, both included."""

    def check(number: int) -> int:
        if not low <= number <= high:
            refuse("out-of-range", f"found {show(number)}, expected {low}-{high}")
        return number

    return AfterValidator(check)


def at_least(low: int) -> AfterValidator:
    """Allow integers from low upwards."""

    def check(number: int) -> int:
        if number < low:
            refuse("out-of-range", f"found {show(number)}, expected {low} or more")
        return number

    return AfterValidator(check)


def named(rule: Callable[[str], str | None], code: LiteralString = "bad-name") -> AfterValidator:
    """Allow texts in which a rule of `names` finds nothing wrong."""

    def check(text: str) -> str:
        wrong = rule(text)
        if wrong is not None:
            refuse(code, f"found {show(text)}: {wrong}")
        return text

    return AfterValidator(check)


def matching(pattern: str, expected: str) -> AfterValidator:
    """Allow texts that a pattern matches whole."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            refuse("bad-value", f"found {show(text)}, expected {expected}")
        return text

    return AfterValidator(check)


def at_most_items(most: int) -> AfterValidator:
    """Allow lists of at most so many items."""

    def check(items: tuple[object, ...]) -> tuple[object, ...]:
        if len(items) > most:
            refuse("too-many-items", f"the list has {len(items)} items, at most {most} are allowed")
        return items

    return AfterValidator(check)


def _action(value: object, info: ValidationInfo) -> Action:
    text = to_text(value, info)
    try:
        return Action(text)
    except ValueError:
        near = next((word for word in Action if word.lower() == text.lower()), None)
    hint = f"; did you mean {near}?" if near else ""
    refuse("bad-value", f"found {show(text)}, expected {_either(tuple(Action))}{hint}")


def _protocol(value: object) -> Protocol:
    try:
        protocol = parse_protocol(unwrap(value))
    except (ValueError, TypeError) as error:
        refuse("bad-protocol", f"found {show(value)}: {error}")
    if not protocol.known:
        refuse("bad-protocol", f"found {show(value)}, expected {_PROTOCOLS}{protocol_hint(protocol.text)}")
    return protocol


_PROTOCOLS = "TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number 1-255"


_ANY_PROTOCOL = frozenset({"*", "all", "any", "ip"})


def protocol_hint(text: str, allowed: Collection[str] = ()) -> str:
    """Return what may have been meant by a text that is no protocol; `allowed`: not all are, and one has to be there."""
    spelled = text.lower()[:LONGEST_SHOWN]
    if spelled in _ANY_PROTOCOL and not allowed:
        return "; leave the field out for every protocol"
    words = {word.lower(): word for word in allowed or PROTOCOL_NUMBERS}
    near = get_close_matches(spelled, words, 1)
    return f"; did you mean {words[near[0]]}?" if near else ""


def _port(value: object) -> Port:
    try:
        port = parse_port(unwrap(value))
    except (ValueError, TypeError) as error:
        refuse("bad-port", f"found {show(value)}: {error}{_several_ports(value)}")
    wrong = names.port_name(port.name) if port.name is not None else None
    if wrong is not None:
        span = re.fullmatch(r"([0-9]+)-([0-9]+)", port.name or "")
        hint = f"; a range is written {span[1]}:{span[2]}" if span else ""
        refuse("bad-port", f"found {show(value)}: {wrong}{hint}")
    if port.name is None and port.low < 1:
        refuse("bad-port", f"found {show(value)}: ports are 1-{MAX_UINT16}")
    return port


def _several_ports(value: object) -> str:
    """Return a hint for a text that lists ports, each of which would be good as an item."""
    if not isinstance(value, str) or "," not in value or len(value) > LONGEST_SHOWN:
        return ""
    parts = [part.strip() for part in value.split(",")]
    if not all(part and _is_port(part) for part in parts):
        return ""
    return f"; each port is an item of the list: {', '.join(parts)}"


def _is_port(text: str) -> bool:
    try:
        parse_port(text)
    except (ValueError, TypeError):
        return False
    return True


def icmp_type(value: object) -> int:
    """Decode an ICMP type: a number only, as in Calico, with a hint for one that is named."""
    number = _ICMP_TYPES.get(value.lower()[:LONGEST_SHOWN]) if isinstance(value, str) else None
    if number is not None:
        v4, v6 = number
        refuse("wrong-type", f"found {show(value)}, expected a number: {v4} for ICMP, {v6} for ICMPv6")
    return to_integer(value)


_ICMP_TYPES = {
    **dict.fromkeys(("echo", "echo-request", "echorequest", "ping"), (8, 128)),
    **dict.fromkeys(("echo-reply", "echoreply", "pong"), (0, 129)),
    **dict.fromkeys(("destination-unreachable", "unreachable"), (3, 1)),
    **dict.fromkeys(("time-exceeded", "ttl-exceeded"), (11, 3)),
    "parameter-problem": (12, 4),
}
"""Names that other firewalls have for types, as numbers of ICMP and of ICMPv6."""


def _selector(text: str) -> str:
    if len(text) > LONGEST_SELECTOR:
        refuse("too-long", f"the selector has {len(text)} characters, which is more than any can need")
    try:
        parse_selector(text)
    except SelectorError as error:
        refuse("bad-selector", f"{error.message} at column {error.column} of the selector {show(text)}")
    return text


def _net(text: str) -> str:
    try:
        parse_net(text)
    except ValueError as error:
        refuse("bad-net", _about_net(text, error))
    return text


def _address_or_net(text: str) -> str:
    try:
        parse_net(text, bare=True, host_bits=True)
    except ValueError as error:
        refuse("bad-net", _about_net(text, error))
    return text


def _about_net(text: str, error: ValueError) -> str:
    try:
        family, _ = parse_address(text)
    except ValueError:
        pass
    else:
        return f"found {show(text)}, expected a CIDR; did you mean {text}/{32 if family == 4 else 128}?"  # noqa: PLR2004
    detail = str(error)
    if "did you mean" in detail:
        return f"found {show(text)}: bits are set right of the prefix{detail[detail.index(';') :]}"
    return f"found {show(text)}, expected a CIDR such as 10.0.0.0/8 or fd00::/8{_lost_comment(text)}"


def _address(text: str) -> str:
    try:
        parse_address(text)
    except ValueError:
        refuse("bad-address", f"found {show(text)}, expected an IPv4 or IPv6 address without prefix length")
    return text


def address_of(family: int) -> AfterValidator:
    """Allow an address of family 4 or 6, or nothing."""

    def check(text: str) -> str:
        try:
            good = not text or parse_address(text)[0] == family
        except ValueError:
            good = False
        if not good:
            refuse("bad-address", f"found {show(text)}, expected an IPv{family} address")
        return text

    return AfterValidator(check)


def _ip_version(number: int) -> int:
    if number not in FAMILIES:
        refuse("bad-value", f"found {show(number)}, expected 4 or 6")
    return number


RuleAction = Annotated[Action, BeforeValidator(_action)]
AnyProtocol = Annotated[Protocol, BeforeValidator(_protocol)]
RulePort = Annotated[Port, BeforeValidator(_port)]
SelectorText = Annotated[Text, AfterValidator(_selector)]
Cidr = Annotated[Text, AfterValidator(_net)]
AddressOrCidr = Annotated[Text, AfterValidator(_address_or_net)]
Address = Annotated[Text, AfterValidator(_address)]
Name = Annotated[Text, named(names.subdomain)]
PortName = Annotated[Text, named(names.port_name)]
InterfaceName = Annotated[Text, named(names.interface)]
PortNumber = Annotated[Integer, between(1, MAX_UINT16)]
IpVersion = Annotated[Integer, AfterValidator(_ip_version)]
