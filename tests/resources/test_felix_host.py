"""Settings of host protection: failsafe ports above all."""

from __future__ import annotations

from typing import Any

import pytest
from parts import faults, messages

from nfq_guard.resources.felix_host import HostSettings, ProtoPort
from nfq_guard.resources.values import Protocol

PORTS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "TCP": ({"protocol": "TCP"}, []),
    "UDP": ({"protocol": "UDP"}, []),
    "SCTP": ({"protocol": "SCTP"}, []),
    "lower case as in the text form": ({"protocol": "tcp"}, [("protocol", "bad-protocol")]),
    "a protocol without ports": ({"protocol": "ICMP"}, [("protocol", "bad-protocol")]),
    "a number": ({"protocol": 6}, [("protocol", "bad-protocol")]),
    "digits": ({"protocol": "6"}, [("protocol", "bad-protocol")]),
    "nothing": ({}, [("protocol", "missing")]),
    "the first port": ({"protocol": "TCP", "port": 0}, []),
    "the last port": ({"protocol": "TCP", "port": 65535}, []),
    "one beyond": ({"protocol": "TCP", "port": 65536}, [("port", "out-of-range")]),
    "a port by name": ({"protocol": "TCP", "port": "ssh"}, [("port", "wrong-type")]),
    "an address": ({"protocol": "TCP", "net": "fd00::1"}, []),
    "a net with host bits": ({"protocol": "TCP", "net": "10.0.0.1/8"}, []),
    "a net that cannot be read": ({"protocol": "TCP", "net": "10.0.0.0/33"}, [("net", "bad-net")]),
    "an empty net": ({"protocol": "TCP", "net": ""}, []),
}


@pytest.mark.parametrize("case", PORTS)
def test_a_failsafe_port_has(case: str) -> None:
    fields, expected = PORTS[case]

    assert faults(ProtoPort, {"port": 22, **fields}) == expected


def test_a_failsafe_port_is_kept_as_it_is_written() -> None:
    port = ProtoPort.model_validate({"protocol": "SCTP", "port": 9, "net": "10.0.0.1/8"})

    assert (port.protocol, port.port, port.net) == (Protocol(132, "SCTP"), 9, "10.0.0.1/8")
    assert ProtoPort.model_validate({"protocol": "TCP", "port": 9}).net is None


def test_a_bad_protocol_is_told_with_those_that_failsafes_may_have() -> None:
    assert messages(ProtoPort, {"protocol": ["TCP"], "port": 1}) == [
        "found a list, expected TCP, UDP or SCTP"
    ]
    assert messages(ProtoPort, {"protocol": "tcp", "port": 1}) == [
        'found "tcp", expected TCP, UDP or SCTP; did you mean TCP?'
    ]
    assert messages(ProtoPort, {"protocol": "any", "port": 1}) == ['found "any", expected TCP, UDP or SCTP']


LISTS: dict[str, tuple[object, int | None]] = {
    "not given: Calico's own list": (None, None),
    "empty: none": ([], 0),
    "one": ([{"protocol": "TCP", "port": 22}], 1),
    "one twice: not a set": ([{"protocol": "TCP", "port": 22}] * 2, 2),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_of_failsafes(case: str) -> None:
    given, expected = LISTS[case]
    fields = {} if given is None else {"failsafeInboundHostPorts": given}

    settings = HostSettings.model_validate(fields)

    ports = settings.failsafe_inbound_host_ports
    assert (None if ports is None else len(ports)) == expected
    assert settings.failsafe_outbound_host_ports is None


SETTINGS: dict[str, tuple[str, object, str | None]] = {
    "a burst of none": ("logActionRateLimitBurst", 0, None),
    "the largest burst": ("logActionRateLimitBurst", 9999, None),
    "a burst below": ("logActionRateLimitBurst", -1, "out-of-range"),
    "a node selector": ("nodeSelector", "rack == 'a'", None),
    "a node selector that cannot be read": ("nodeSelector", "rack = 'a'", "bad-selector"),
    "an action in any letter case": ("defaultEndpointToHostAction", "ACCEPT", None),
    "an action that is none": ("defaultEndpointToHostAction", "Allow", "bad-value"),
    "a word that has one letter case only": ("awsSrcDstCheck", "donothing", "bad-value"),
    "a flag": ("disableConntrackInvalidCheck", True, None),
    "a flag as text": ("disableConntrackInvalidCheck", "true", "wrong-type"),
    "Calico's own spelling of an abbreviation": ("floatingIPs", "Enabled", None),
    "an abbreviation spelt otherwise": ("allowVxlanPacketsFromWorkload", True, "extra_forbidden"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting(case: str) -> None:
    field, value, code = SETTINGS[case]

    assert faults(HostSettings, {field: value}) == ([] if code is None else [(field, code)])
