"""FelixConfiguration: all of its fields, and which have an effect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nfq_guard.resources import FelixConfigurationSpec, Source, load, load_or_raise
from nfq_guard.resources.felix import EFFECTIVE
from nfq_guard.resources.values import Protocol

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {field.alias or "" for field in FelixConfigurationSpec.model_fields.values()}


def spec_of(**fields: Any) -> FelixConfigurationSpec:
    """Return the settings that a resource with these fields has."""
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "FelixConfiguration",
        "metadata": {"name": "default"},
    }
    data = json.dumps({**document, "spec": fields}).encode()
    return load_or_raise([Source("felix.json", data)]).felix_configurations[0].value.spec


def is_good(**fields: Any) -> bool:
    """Return whether a resource with these fields is valid."""
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "FelixConfiguration",
        "metadata": {"name": "default"},
    }
    problems = load([Source("felix.json", json.dumps({**document, "spec": fields}).encode())])[1]
    return not [problem for problem in problems if problem.code != "no-effect"]


def test_the_docs_list_every_field_and_which_have_an_effect(root: Path) -> None:
    docs = (root / "docs" / "resources.md").read_text()
    with_effect, _, without = docs.partition("### FelixConfiguration")[2].partition(
        "Accepted, checked and ignored:"
    )

    assert FIELDS >= EFFECTIVE
    assert [name for name in sorted(EFFECTIVE) if f"`{name}`" not in with_effect] == []
    assert [name for name in sorted(FIELDS - EFFECTIVE) if f"`{name}`" not in without] == []


def test_defaults_are_calicos() -> None:
    spec = spec_of()

    assert (spec.interface_prefix, spec.interface_exclude) == ("cali", "kube-ipvs0")
    assert (spec.default_endpoint_to_host_action, spec.disable_conntrack_invalid_check) == ("Drop", False)
    assert (spec.failsafe_inbound_host_ports, spec.failsafe_outbound_host_ports) == (None, None)
    assert spec.model_fields_set == set()


def test_an_empty_list_of_failsafes_is_not_the_default_one() -> None:
    assert spec_of(failsafeInboundHostPorts=[]).failsafe_inbound_host_ports == ()


def test_failsafes() -> None:
    ports = spec_of(
        failsafeInboundHostPorts=[{"protocol": "SCTP", "port": 0, "net": "10.0.0.1/8"}]
    ).failsafe_inbound_host_ports

    assert ports is not None
    assert (ports[0].protocol, ports[0].port, ports[0].net) == (Protocol(132, "SCTP"), 0, "10.0.0.1/8")


def test_an_empty_text_is_a_setting_that_is_not_made() -> None:
    spec = spec_of(interfacePrefix="", logSeverityScreen="")

    assert (spec.interface_prefix, spec.model_fields_set) == ("cali", set())


def test_words_in_any_letter_case_are_read_as_calico_spells_them() -> None:
    assert spec_of(defaultEndpointToHostAction="RETURN").default_endpoint_to_host_action == "Return"


GOOD: dict[str, list[Any]] = {
    "routeRefreshInterval": ["90s", "1m30s", "0", "0.5s", "500ms", "24h"],
    "nftablesRefreshInterval": ["90s", "100us", "1.s"],
    "bpfConntrackTimeouts": [{"tcpSynSent": "Auto", "udpTimeout": "60s"}],
    "istioDSCPMark": [23, "23", 63, 0, "EF", "CS7", "AF43"],
    "interfaceExclude": ["kube-ipvs0", "/^kube/,veth1", "a, b", ","],
    "interfacePrefix": ["cali", "cali,tap"],
    "logActionRateLimit": ["1/second", "9999/day"],
    "logPrefix": ["calico %t %k: a_b-c/d"],
    "kubeNodePortRanges": [["30000:32767", 80], []],
    "natPortRange": ["1000:2000", 5],
    "featureDetectOverride": ["A=true,B=false,C=", "A=true,"],
    "featureGates": ["A=enabled,B=x"],
    "openstackRegion": ["region-one"],
    "bpfLogFilters": [{"all": "tcp", "eth0": "udp"}],
    "iptablesMarkMask": [0, 4294967295],
    "healthTimeoutOverrides": [[{"name": "x", "timeout": "10ns"}], [{"name": "a b_c-D9", "timeout": "0s"}]],
    "bpfKubeProxyHealthzPort": [0, 65535],
    "bpfMaglevMaxServices": [1, 3000],
    "bpfMaglevMaxEndpointsPerService": [1, 3000],
    "failsafeInboundHostPorts": [[{"protocol": "TCP", "port": 22, "net": ""}]],
}
BAD: dict[str, list[Any]] = {
    "routeRefreshInterval": ["-1s", "90", "1d", 90, "1s 2s"],
    "nftablesRefreshInterval": ["-1s", "90"],
    "bpfConntrackTimeouts": [{"tcpSynSent": "soon"}, {"other": "1s"}],
    "istioDSCPMark": [64, -1, "ef", "CS8", "064", True, [1]],
    "interfaceExclude": ["/[/", "a b", "/*/"],
    "interfacePrefix": ["cali, tap", "a.b", ","],
    "logActionRateLimit": ["0/second", "10000/second", "1/week", "1"],
    "kubeNodePortRanges": [["http"], [0], ["1:2"] * 8],
    "natPortRange": [0, "2:1"],
    "featureDetectOverride": ["A", "A=maybe"],
    "featureGates": ["A=", "=x"],
    "openstackRegion": ["Region", "x" * 47, "a.b"],
    "bpfLogFilters": [{"eth@0": "tcp"}, {"*": "tcp"}, ["tcp"]],
    "iptablesMarkMask": [-1, 4294967296, "0xff"],
    "healthTimeoutOverrides": [
        [{"name": "", "timeout": "10ns"}],
        [{"name": "%", "timeout": "10ns"}],
        [{"name": "x"}],
    ],
    "bpfKubeProxyHealthzPort": [-1, 65536],
    "bpfMaglevMaxServices": [0, 3001],
    "bpfMaglevMaxEndpointsPerService": [0, 3001],
    "prometheusMetricsHost": ["a b", "x" * 65],
    "debugPort": [65536],
    "wireguardRoutingRulePriority": [0, 32766],
    "goMaxProcs": [-2],
    "bpfMapSizeConntrackCleanupQueue": [0],
}


@pytest.mark.parametrize("field", GOOD)
def test_what_fields_may_be(field: str) -> None:
    assert [value for value in GOOD[field] if not is_good(**{field: value})] == []


@pytest.mark.parametrize("field", BAD)
def test_what_fields_may_not_be(field: str) -> None:
    assert [value for value in BAD[field] if is_good(**{field: value})] == []
