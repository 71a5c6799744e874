"""The grammars of FelixConfiguration's own field types, at their edges."""

from __future__ import annotations

from typing import Any

import pytest
from parts import read, refusal
from pydantic import ValidationError

from nfq_guard.resources import felix_fields
from nfq_guard.resources.felix_fields import MAX_REGION, regex
from nfq_guard.resources.scalars import PlainScalar
from nfq_guard.resources.values import Port

TEXTS: dict[str, tuple[list[str], list[str]]] = {
    "Duration": (["0", "1h2m3.5s", "1m1m", "007ms"], ["", "0s ", ".5s", "1.s", "-1s", "1us", "s", "1S"]),
    "AnyDuration": (["0", ".5s", "1.s", "5µs", "5μs", "1h1ns"], ["", "5", ".s", "+1s", "1 s"]),
    "ConntrackTimeout": (["Auto", "1.5h", "s", "100us"], ["", "auto", "1", "1ns", "Auto1s"]),
    "InterfaceFilter": (["eth+", "a:b", "x" * 15], ["", "x" * 16, "a/b", "a*"]),
    "InterfaceList": (["", " , ", "/a|b/ , lo", "//"], ["/(/", "a/b", "eth*", "x" * 16]),
    "InterfacePrefixes": (["cali", "a,b_c,-", "x" * 15], ["", "a,", ",a", "x" * 16, "a b"]),
    "AnyInterface": (["*", "eth0.1"], ["", "**", "eth*"]),
    "LogPrefix": (["", "%t %k/%n: a_b-"], ["[x]", "a\n", "é"]),
    "RateLimit": (["1/day", "9999/hour"], ["01/day", "1/days", "/day", "1 /day"]),
    "MetricsHost": (["::1", "host.example", "x" * 64], ["", "x" * 65, "a/b", "[::1]"]),
    "Region": (["a", "a--b", "x" * MAX_REGION], ["", "-a", "a-", "x" * (MAX_REGION + 1)]),
    "FeatureOverrides": (["", "A=", "A=true,B=false,"], [",", "A=true;B=true", "A=TRUE", "=true"]),
    "FeatureGates": (["", "A=x y", "A=1,"], ["A", ",", "A=x,,B=y", "A=x=y,"]),
    "Regex": (["", "^eth[0-9]+$", "(?i)x"], ["(", "[z-a]", "x{2,1}"]),
    "Ipv4OrCidr": (["10.0.0.1", "10.0.0.1/8", "::ffff:10.0.0.1"], ["", "fd00::/8", "10.0.0.0/33"]),
    "Ipv4": (["", "10.0.0.1"], ["::1", "10.0.0.0/8"]),
    "Ipv6": (["", "::1"], ["10.0.0.1", "::/0", "fe80::1%eth0"]),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_that_fit_and_texts_that_do_not(kind: str) -> None:
    good, bad = TEXTS[kind]
    field = getattr(felix_fields, kind)

    assert [text for text in good if read(field, text) != text] == []
    assert [text for text in bad if accepts(field, text)] == []


def accepts(field: Any, value: object) -> bool:
    try:
        read(field, value)
    except ValidationError:
        return False
    return True


WORDS: dict[str, tuple[dict[str, str], list[str]]] = {
    "OnOff": ({"Enabled": "Enabled", "Disabled": "Disabled"}, ["enabled", "true", ""]),
    "Severity": ({"WARNING": "Warning", "fatal": "Fatal"}, ["warn", "Critical"]),
    "AcceptReturn": ({"accept": "Accept", "Return": "Return"}, ["Drop"]),
    "DropReject": ({"DROP": "Drop", "reject": "Reject"}, ["Accept"]),
}


@pytest.mark.parametrize("kind", WORDS)
def test_words_and_how_they_are_kept(kind: str) -> None:
    good, bad = WORDS[kind]
    field = getattr(felix_fields, kind)

    assert {text: read(field, text) for text in good} == good
    assert [text for text in bad if accepts(field, text)] == []


NUMBERS: dict[str, tuple[int, int]] = {
    "Mark": (0, 0xFFFFFFFF),
    "RoutePriority": (1, 0x7FFFFFFE),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_have_limits_which_belong_to_them(kind: str) -> None:
    low, high = NUMBERS[kind]
    field = getattr(felix_fields, kind)

    assert [accepts(field, number) for number in (low - 1, low, high, high + 1)] == [False, True, True, False]


DSCP: dict[str, tuple[object, str]] = {
    "a number": (46, "46"),
    "an unquoted number": (PlainScalar(63, "63", 1, 1), "63"),
    "quoted digits": ("0", "0"),
    "a float without fraction": (8.0, "8"),
    "a class": ("AF11", "AF11"),
    "best effort": ("DF", "DF"),
}


@pytest.mark.parametrize("case", DSCP)
def test_a_dscp_mark(case: str) -> None:
    value, expected = DSCP[case]

    assert read(felix_fields.Dscp, value) == expected


@pytest.mark.parametrize("value", [64, -1, 1.5, False, None, {}, "", "AF15", "AF51", "CS", "EF\n", "08"])
def test_what_is_no_dscp_mark(value: object) -> None:
    assert refusal(felix_fields.Dscp, value)[0] == "bad-value"


def test_ranges_of_node_ports_are_numbers_and_seven_at_most() -> None:
    ranges = ["30000:30100", 80, "443"]

    assert read(felix_fields.NodePortRanges, ranges) == (Port(30000, 30100), Port(80, 80), Port(443, 443))
    assert accepts(felix_fields.NodePortRanges, [*range(1, 8)])
    assert refusal(felix_fields.NodePortRanges, [*range(1, 9)])[0] == "too-many-items"
    assert refusal(felix_fields.NodePortRanges, [80, "http"]) == (
        "bad-port",
        'found "http", expected a port number or a range such as 30000:32767',
    )


def test_a_bad_part_of_a_list_of_interfaces_is_the_one_that_is_told() -> None:
    _, of_name = refusal(felix_fields.InterfaceList, "lo, eth*, /^br/")
    _, of_expression = refusal(felix_fields.InterfaceList, "lo,/[/")

    assert of_name.startswith('found "eth*" in the list')
    assert of_expression.startswith('found "[", expected a regular expression')


@pytest.mark.parametrize("text", ["(" * 5000, "x{99999999999999999999}", "(?P<a>" * 2000])
def test_an_expression_that_cannot_be_compiled_is_refused_whatever_stops_it(text: str) -> None:
    assert refusal(felix_fields.Regex, text)[0] == "bad-value"


def test_an_expression_is_kept_as_it_is_written() -> None:
    assert regex("^a.c$") == "^a.c$"
