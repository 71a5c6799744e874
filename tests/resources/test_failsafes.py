"""Failsafe ports: the default lists and the text form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nfq_guard.engine.ruleset import Failsafe
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import TCP, UDP
from nfq_guard.resources.failsafes import DEFAULT_INBOUND, DEFAULT_OUTBOUND, FailsafeError, parse_failsafes

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = (Failsafe(TCP, 1),)

LISTS: dict[str, tuple[str, tuple[Failsafe, ...]]] = {
    "nothing is the default": ("", DEFAULT),
    "none is none at all": ("none", ()),
    "None too": (" None ", ()),
    "a port is TCP": ("22", (Failsafe(TCP, 22),)),
    "protocols in any case": ("TCP:22,Udp:53", (Failsafe(TCP, 22), Failsafe(UDP, 53))),
    "spaces and empty elements": (" 22 ,, udp:53 ,", (Failsafe(TCP, 22), Failsafe(UDP, 53))),
    "port 0 and the last": ("0,65535", (Failsafe(TCP, 0), Failsafe(TCP, 65535))),
    "a net": ("tcp:10.0.0.0/8:22", (Failsafe(TCP, 22, parse_net("10.0.0.0/8")),)),
    "a net with host bits is masked": ("tcp:1.2.3.4/8:22", (Failsafe(TCP, 22, parse_net("1.0.0.0/8")),)),
    "an address": ("tcp:10.0.0.1:22", (Failsafe(TCP, 22, parse_net("10.0.0.1/32")),)),
    "an IPv6 net": ("udp:[fd00::/8]:53", (Failsafe(UDP, 53, parse_net("fd00::/8")),)),
    "an IPv6 address": ("udp:[fd00::1]:53", (Failsafe(UDP, 53, parse_net("fd00::1/128")),)),
}

BAD = {
    "foo:1": "unknown protocol foo",
    "sctp:1": "unknown protocol sctp",
    ":22": "unknown protocol",
    "ssh": "expected a number",
    "tcp:": "found nothing as the port",
    "tcp:65536": "expected 0-65535",
    "-1": "expected 0-65535",
    "tcp:99999999999999999999999": "expected a number",
    "tcp:0.0.0.0/0:1:bar": "expected PORT, PROTOCOL:PORT",
    "tcp:nowhere:22": "expected an IP address or CIDR",
    "tcp:[nowhere]:22": "expected an IP address or CIDR",
    "tcp::22": "found nothing, expected an IP address",
    "tcp:[::/0]22": "expected PORT, PROTOCOL:PORT",
    "tcp:[::/0]": "expected PORT, PROTOCOL:PORT",
    "tcp:[::/0:22": "expected PORT, PROTOCOL:PORT",
    "tcp:::/0:22": "expected PORT, PROTOCOL:PORT",
}


@pytest.mark.parametrize("case", LISTS)
def test_lists(case: str) -> None:
    text, expected = LISTS[case]

    assert parse_failsafes(text, DEFAULT) == expected


@pytest.mark.parametrize("element", BAD)
def test_what_cannot_be_read(element: str) -> None:
    with pytest.raises(FailsafeError) as caught:
        parse_failsafes(f"22,{element},53", DEFAULT)

    assert [BAD[element] in problem for problem in caught.value.problems] == [True]


def test_every_bad_element_is_told() -> None:
    with pytest.raises(FailsafeError) as caught:
        parse_failsafes("a,22,b:1", DEFAULT)

    assert len(caught.value.problems) == 2


def test_default_lists() -> None:
    names = {TCP: "tcp", UDP: "udp"}
    text = {
        name: ",".join(f"{names[failsafe.protocol]}:{failsafe.port}" for failsafe in failsafes)
        for name, failsafes in (("in", DEFAULT_INBOUND), ("out", DEFAULT_OUTBOUND))
    }

    assert text == {
        "in": "tcp:22,udp:68,tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667",
        "out": "udp:53,udp:67,tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667",
    }


@pytest.mark.conformance
def test_failsafe_config_cases(cases_dir: Path) -> None:
    defaults = {"FailsafeInboundHostPorts": DEFAULT_INBOUND, "FailsafeOutboundHostPorts": DEFAULT_OUTBOUND}
    for case in json.loads((cases_dir / "failsafe_config.json").read_text())["cases"]:
        default = defaults[case["param"]]
        expected = tuple(
            Failsafe(
                {"tcp": TCP, "udp": UDP}[port["protocol"]],
                port["port"],
                parse_net(port["net"], bare=True, host_bits=True) if "net" in port else None,
            )
            for port in case["expected"]
        )
        if case.get("error"):
            with pytest.raises(FailsafeError):
                parse_failsafes(case["value"], default)
            assert default == expected, "after an error Felix goes on with the default list"
        else:
            assert parse_failsafes(case["value"], default) == expected, case
