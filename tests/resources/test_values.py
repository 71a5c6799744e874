"""Ports and protocols as JSON values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nfq_guard.resources.values import UNKNOWN_PROTOCOL, Port, Protocol, parse_port, parse_protocol, whole

if TYPE_CHECKING:
    from pathlib import Path

PORTS: dict[str, tuple[object, Port]] = {
    "an integer": (80, Port(80, 80)),
    "zero is read, and refused by rules": (0, Port(0, 0)),
    "a float without fraction": (80.0, Port(80, 80)),
    "digits": ("080", Port(80, 80)),
    "a range": ("8000:8100", Port(8000, 8100)),
    "a range of one": ("7:7", Port(7, 7)),
    "a name": ("http", Port(0, 0, "http")),
    "a name that looks like a range": ("100-200", Port(0, 0, "100-200")),
    "a name with all it may have": ("A_b.c-9", Port(0, 0, "A_b.c-9")),
}

BAD_PORTS: dict[str, object] = {
    "negative": -1,
    "beyond 16 bits": 65536,
    "digits beyond 16 bits": "65536",
    "a million digits": "9" * 1_000_000,
    "a range beyond 16 bits": "0:65536",
    "a range that runs backwards": "10:1",
    "three numbers": "1:2:3",
    "a sign": "-1:10",
    "a fraction": 80.5,
    "true": True,
    "nothing": None,
    "a list": [80],
    "empty text": "",
    "a star": "*",
    "a name too long": "x" * 129,
    "other digits": "٣",
}

PROTOCOLS: dict[str, tuple[object, Protocol]] = {
    "a name": ("TCP", Protocol(6, "TCP")),
    "mixed case as Calico spells it": ("ICMPv6", Protocol(58, "ICMPv6")),
    "a number": (17, Protocol(17, "17")),
    "zero is read, and refused later": (0, Protocol(0, "0")),
    "digits": ("255", Protocol(255, "255")),
    "digits beyond 8 bits are a name": ("256", Protocol(UNKNOWN_PROTOCOL, "256")),
    "lower case is another name": ("tcp", Protocol(UNKNOWN_PROTOCOL, "tcp")),
}


@pytest.mark.parametrize("case", PORTS)
def test_ports(case: str) -> None:
    value, expected = PORTS[case]

    assert parse_port(value) == expected


@pytest.mark.parametrize("case", BAD_PORTS)
def test_what_is_no_port(case: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_port(BAD_PORTS[case])


@pytest.mark.parametrize("case", PROTOCOLS)
def test_protocols(case: str) -> None:
    value, expected = PROTOCOLS[case]

    assert parse_protocol(value) == expected


@pytest.mark.parametrize("value", [256, -1, 6.5, True, None, [6]])
def test_what_is_no_protocol(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_protocol(value)


def test_which_protocols_have_ports_and_which_are_known() -> None:
    assert [number for number in range(-1, 256) if Protocol(number, "").has_ports] == [6, 17, 132]
    assert not Protocol(0, "0").known
    assert not Protocol(UNKNOWN_PROTOCOL, "x").known


def test_a_port_prints_as_it_is_written() -> None:
    for text in ("80", "8000:8100", "http"):
        assert str(parse_port(text)) == text


def test_whole_numbers() -> None:
    assert [whole(value) for value in (1, 1.0, 1.5, True, "1", 1e30, None)] == [
        1,
        1,
        None,
        None,
        None,
        None,
        None,
    ]


@pytest.mark.conformance
def test_numorstring_cases(cases_dir: Path) -> None:
    parsers = {"port": parse_port, "protocol": parse_protocol}
    for case in json.loads((cases_dir / "numorstring.json").read_text())["cases"]:
        try:
            parsers[case["type"]](json.loads(case["json"]))
            parses = True
        except (ValueError, TypeError):
            parses = False
        assert parses is case["parses"], case
