"""Field types: what one value may be, and what is said about one that it may not be."""

from __future__ import annotations

import math
from typing import Annotated, Any

import pytest
from parts import read, refusal
from pydantic import BeforeValidator, TypeAdapter

from nfq_guard.model.decision import Action
from nfq_guard.resources import fields
from nfq_guard.resources.fields import Flag, Integer, Number, Text
from nfq_guard.resources.scalars import PlainScalar, resolve
from nfq_guard.resources.values import Port, Protocol

CLOSED = Annotated[Text, fields.one_of("Drop", "Accept")]
OPEN = Annotated[Text, fields.one_of("Drop", "Accept", any_case=True)]
SMALL = Annotated[Integer, fields.between(1, 9)]
FROM_ONE = Annotated[Integer, fields.at_least(-1)]
SHOUT = Annotated[Text, fields.named(lambda text: None if text.isupper() else "not loud enough")]
DIGITS = Annotated[Text, fields.matching(r"[0-9]+", "digits")]
PAIR = Annotated[tuple[Integer, ...], fields.at_most_items(2)]
V6 = Annotated[Text, fields.address_of(6)]
ICMP_TYPE = Annotated[int, BeforeValidator(fields.icmp_type)]


def plain(raw: str) -> PlainScalar:
    """Return what the YAML reader makes of an unquoted scalar."""
    value = resolve(raw)
    assert isinstance(value, bool | int | float)
    return PlainScalar(value, raw, 1, 1)


GOOD: dict[str, tuple[Any, object, object]] = {
    "text": (Text, "10", "10"),
    "an unquoted number as text": (Text, plain("10"), "10"),
    "an unquoted word for yes as text": (Text, plain("on"), "true"),
    "nothing as text": (Text, None, ""),
    "an integer": (Integer, 80, 80),
    "an unquoted one": (Integer, plain("0x50"), 80),
    "a float without fraction": (Integer, 80.0, 80),
    "a negative one": (Integer, plain("-1"), -1),
    "a number": (Number, plain("-1.5"), -1.5),
    "an integer as a number": (Number, 3, 3.0),
    "a flag": (Flag, True, True),
    "an unquoted flag": (Flag, plain("off"), False),
    "one of the words": (CLOSED, "Accept", "Accept"),
    "one in other letter case": (OPEN, "aCCEPT", "Accept"),
    "none of them where that is a default": (OPEN, "", ""),
    "the lowest": (SMALL, 1, 1),
    "the highest": (SMALL, 9, 9),
    "the lowest of what has no end": (FROM_ONE, -1, -1),
    "a text that a rule finds nothing wrong with": (SHOUT, "HEY", "HEY"),
    "a text that matches whole": (DIGITS, "09", "09"),
    "as many items as there may be": (PAIR, [1, 2], (1, 2)),
    "an action": (fields.RuleAction, "Pass", Action.PASS),
    "a protocol by name": (fields.AnyProtocol, "UDPLite", Protocol(136, "UDPLite")),
    "a protocol by number": (fields.AnyProtocol, plain("255"), Protocol(255, "255")),
    "the first port": (fields.RulePort, 1, Port(1, 1)),
    "the last port": (fields.RulePort, plain("65535"), Port(65535, 65535)),
    "a range of all": (fields.RulePort, "1:65535", Port(1, 65535)),
    "a named port": (fields.RulePort, "http-alt", Port(0, 0, "http-alt")),
    "no selector": (fields.SelectorText, "", ""),
    "a selector stays as it was written": (fields.SelectorText, " has(a)", " has(a)"),
    "a CIDR": (fields.Cidr, "10.0.0.0/8", "10.0.0.0/8"),
    "everything": (fields.Cidr, "::/0", "::/0"),
    "an address where a CIDR need not be": (fields.AddressOrCidr, "fd00::1", "fd00::1"),
    "host bits where they may be": (fields.AddressOrCidr, "10.0.0.1/8", "10.0.0.1/8"),
    "an address": (fields.Address, "fd00::1", "fd00::1"),
    "an address of a family": (V6, "::1", "::1"),
    "no address": (V6, "", ""),
    "a name": (fields.Name, "a.b-c", "a.b-c"),
    "a port's name": (fields.PortName, "http", "http"),
    "an interface": (fields.InterfaceName, "eth0.1", "eth0.1"),
    "a port number": (fields.PortNumber, 65535, 65535),
    "an IP version": (fields.IpVersion, plain("6"), 6),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_field_may_be(case: str) -> None:
    kind, value, expected = GOOD[case]
    found = read(kind, value)

    assert (type(found), found) == (type(expected), expected)


BAD: dict[str, tuple[Any, object, str, str]] = {
    "a list as text": (Text, [], "wrong-type", "found a list, expected text"),
    "a number that no file holds as text": (Text, 1, "wrong-type", "found 1, expected text"),
    "quoted digits": (Integer, "80", "wrong-type", 'found "80", expected a whole number (without quotes)'),
    "other digits": (Integer, "٣", "wrong-type", 'found "٣", expected a whole number'),
    "a comment that lost its sign": (
        Integer,
        "8  Ping",
        "wrong-type",
        'found "8  Ping", expected a whole number; did a comment lose its "#"?',
    ),
    "a fraction": (Integer, plain("1.5"), "wrong-type", "found 1.5, expected a whole number"),
    "a flag as an integer": (Integer, plain("yes"), "wrong-type", "found yes, expected a whole number"),
    "nothing as an integer": (Integer, None, "wrong-type", "found nothing, expected a whole number"),
    "a flag as a number": (Number, True, "wrong-type", "found true, expected a number"),
    "text as a number": (Number, "1", "wrong-type", 'found "1", expected a number'),
    "infinity": (Number, plain(".inf"), "wrong-type", "found .inf, expected a number"),
    "not a number": (Number, math.nan, "wrong-type", "found nan, expected a number"),
    "text as a flag": (Flag, "true", "wrong-type", 'found "true", expected true or false'),
    "one as a flag": (Flag, plain("1"), "wrong-type", "found 1, expected true or false"),
    "another word": (CLOSED, "Reject", "bad-value", 'found "Reject", expected Drop or Accept'),
    "a word in other letter case": (
        CLOSED,
        "drop",
        "bad-value",
        'found "drop", expected Drop or Accept; did you mean Drop?',
    ),
    "no word": (CLOSED, "", "bad-value", 'found "", expected Drop or Accept'),
    "another word in any letter case": (OPEN, "x", "bad-value", 'found "x", expected Drop or Accept'),
    "one too low": (SMALL, 0, "out-of-range", "found 0, expected 1-9"),
    "one too high": (SMALL, 10, "out-of-range", "found 10, expected 1-9"),
    "below what has no end": (FROM_ONE, -2, "out-of-range", "found -2, expected -1 or more"),
    "a text that a rule finds something wrong with": (
        SHOUT,
        "hey",
        "bad-name",
        'found "hey": not loud enough',
    ),
    "a text that matches in part": (DIGITS, "09\n", "bad-value", 'found "09\\u{a}", expected digits'),
    "an empty text": (DIGITS, "", "bad-value", 'found "", expected digits'),
    "an item too many": (PAIR, [1, 2, 3], "too-many-items", "the list has 3 items, at most 2 are allowed"),
    "an action in other letter case": (
        fields.RuleAction,
        "DENY",
        "bad-value",
        'found "DENY", expected Allow, Deny, Log or Pass; did you mean Deny?',
    ),
    "an action that is none": (
        fields.RuleAction,
        plain("no"),
        "bad-value",
        'found "false", expected Allow, Deny, Log or Pass',
    ),
    "protocol 0": (
        fields.AnyProtocol,
        0,
        "bad-protocol",
        "found 0, expected TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number 1-255",
    ),
    "a protocol in other letter case": (
        fields.AnyProtocol,
        "icmpV6",
        "bad-protocol",
        'found "icmpV6", expected TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number 1-255; did you mean ICMPv6?',
    ),
    "a protocol that is a list": (
        fields.AnyProtocol,
        ["TCP"],
        "bad-protocol",
        "found a list: expected a protocol name such as TCP, or a number",
    ),
    "port 0": (fields.RulePort, 0, "bad-port", "found 0: ports are 1-65535"),
    "several ports in one text": (
        fields.RulePort,
        "80, 8000:8100,https",
        "bad-port",
        (
            'found "80, 8000:8100,https": expected a port number, a range such as 8000:8100, or a port name; '
            "each port is an item of the list: 80, 8000:8100, https"
        ),
    ),
    "a text that lists what is no port": (
        fields.RulePort,
        "80,?",
        "bad-port",
        'found "80,?": expected a port number, a range such as 8000:8100, or a port name',
    ),
    "an ICMP type by name": (
        ICMP_TYPE,
        "Echo",
        "wrong-type",
        'found "Echo", expected a number: 8 for ICMP, 128 for ICMPv6',
    ),
    "an ICMP type that nobody knows": (ICMP_TYPE, "x", "wrong-type", 'found "x", expected a whole number'),
    "a range from port 0": (fields.RulePort, "0:9", "bad-port", 'found "0:9": ports are 1-65535'),
    "an address without prefix length": (
        fields.Cidr,
        "fd00::1",
        "bad-net",
        'found "fd00::1", expected a CIDR; did you mean fd00::1/128?',
    ),
    "host bits": (
        fields.Cidr,
        "10.0.0.1/31",
        "bad-net",
        'found "10.0.0.1/31": bits are set right of the prefix; did you mean 10.0.0.0/31?',
    ),
    "a CIDR with a comment that lost its sign": (
        fields.Cidr,
        "10.0.0.0/8  office",
        "bad-net",
        'found "10.0.0.0/8  office", expected a CIDR such as 10.0.0.0/8 or fd00::/8; did a comment lose its "#"?',
    ),
    "no net": (
        fields.AddressOrCidr,
        "",
        "bad-net",
        'found "", expected a CIDR such as 10.0.0.0/8 or fd00::/8',
    ),
    "a CIDR as an address": (
        fields.Address,
        "10.0.0.1/32",
        "bad-address",
        'found "10.0.0.1/32", expected an IPv4 or IPv6 address without prefix length',
    ),
    "an address of the other family": (
        V6,
        "10.0.0.1",
        "bad-address",
        'found "10.0.0.1", expected an IPv6 address',
    ),
    "an IPv6 address that is one of IPv4": (
        V6,
        "::ffff:10.0.0.1",
        "bad-address",
        'found "::ffff:10.0.0.1", expected an IPv6 address',
    ),
    "no address of any family": (V6, "::1%lo", "bad-address", 'found "::1%lo", expected an IPv6 address'),
    "a range that runs backwards": (
        fields.RulePort,
        "9:1",
        "bad-port",
        'found "9:1": the range runs backwards; did you mean 1:9?',
    ),
    "a port number of 0": (fields.PortNumber, 0, "out-of-range", "found 0, expected 1-65535"),
    "IP version 5": (fields.IpVersion, 5, "bad-value", "found 5, expected 4 or 6"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_field_may_not_be(case: str) -> None:
    kind, value, code, message = BAD[case]

    assert refusal(kind, value) == (code, message)


def test_a_range_with_a_dash_is_told_how_ranges_are_written() -> None:
    code, message = refusal(fields.RulePort, "80-90")

    assert code == "bad-port"
    assert message.endswith("; a range is written 80:90")


def test_a_selector_that_cannot_be_read_is_told_with_its_column() -> None:
    code, message = refusal(fields.SelectorText, "has(a) &")

    assert code == "bad-selector"
    assert 'at column 8 of the selector "has(a) &"' in message


def test_a_selector_beyond_all_reason_is_not_even_read() -> None:
    longest = "has(" + "a" * 500 + ")" + " " * (fields.LONGEST_SELECTOR - 505)

    assert read(fields.SelectorText, longest) == longest
    assert refusal(fields.SelectorText, longest + " ")[0] == "too-long"
    assert refusal(fields.SelectorText, "(" * (fields.LONGEST_SELECTOR + 1))[0] == "too-long"


SHOWN: dict[str, tuple[object, str]] = {
    "text in quotes": ("a b", '"a b"'),
    "what is unquoted in the file without": (plain("010"), "010"),
    "a mapping": ({"a": 1}, "a mapping"),
    "a list": ([1], "a list"),
    "nothing": (None, "nothing"),
    "a flag as JSON has it": (True, "true"),
    "a number": (1.5, "1.5"),
    "a line break": ("a\nb", '"a\\u{a}b"'),
    "what would turn the line round": ("a\u202eb", '"a\\u{202e}b"'),
    "sixty characters": ("x" * 60, '"' + "x" * 60 + '"'),
    "more are cut": ("x" * 61, '"' + "x" * 59 + '…"'),
}


@pytest.mark.parametrize("case", SHOWN)
def test_how_a_message_shows(case: str) -> None:
    value, expected = SHOWN[case]

    assert fields.show(value) == expected


def test_unwrapping_touches_unquoted_scalars_only() -> None:
    assert [fields.unwrap(value) for value in (plain("yes"), "yes", 1, None)] == [True, "yes", 1, None]


def test_text_that_yaml_reads_as_something_else_is_noted_where_somebody_asks() -> None:
    noted: list[PlainScalar] = []
    values = [plain("no"), plain("80"), "no", plain("1.10")]

    texts = TypeAdapter(tuple[Text, ...]).validate_python(values, context=noted)

    assert texts == ("false", "80", "no", "1.1")
    assert [scalar.raw for scalar in noted] == ["no", "1.10"]
