"""Calico's own validation cases, and the manifests of its docs and tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nfq_guard.model.problem import Problem, Severity
from nfq_guard.resources import Source, load
from nfq_guard.resources.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.conformance

LEFT_OUT = {
    "IPPool": "address management is no part of a host firewall: the kind is refused as unsupported",
}
"""Kinds whose cases are not run, with the reason. A kind that is in KINDS may not stand here."""

WRAPPERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "IPNAT": (
        "WorkloadEndpoint",
        lambda nat: {"interfaceName": "cali1", "ipNetworks": [nat["internalIP"]], "ipNATs": [nat]},
    ),
    "NetworkSetSpec": ("NetworkSet", lambda spec: spec),
    "Protocol": (
        "GlobalNetworkPolicy",
        lambda protocol: {"ingress": [{"action": "Allow", "protocol": protocol}]},
    ),
    "WorkloadEndpointPort": ("WorkloadEndpoint", lambda port: {"interfaceName": "cali1", "ports": [port]}),
    "WorkloadEndpointSpec": ("WorkloadEndpoint", lambda spec: spec),
}
"""Fragments that the cases do not wrap in a resource, with the kind and the spec they are put in."""

UNKNOWN_FIELDS_COUNT = {
    "overview-15ddeac.yaml": "spec.interface is no field of HostEndpoint; strict decoding refuses it",
    "workloadendpoint-c51cf50.yaml": "spec.endpoint is there twice, and digits without quotes are no containerID",
}
"""Manifests that the index calls valid because it looks at values, not at keys."""


def resource_of(case: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a case as a whole resource, and whether that is valid."""
    if "resource" in case:
        return dict(case["resource"]), case["resource_valid"]
    if case["kind"] not in WRAPPERS:
        return {"kind": case["kind"], **case["object"]}, case["valid"]
    kind, wrap = WRAPPERS[case["kind"]]
    return {"kind": kind, "metadata": {"name": "wrapped"}, "spec": wrap(case["object"])}, case["valid"]


def errors_of(resource: Mapping[str, Any]) -> list[Problem]:
    """Return the errors in a resource."""
    data = json.dumps({"apiVersion": "projectcalico.org/v3", **resource}).encode()
    return [problem for problem in load([Source("case.json", data)])[1] if problem.severity is Severity.ERROR]


def test_validator_cases(cases_dir: Path) -> None:
    """Each case of a kind that is known is valid or not, as Calico's validator says."""
    cases = json.loads((cases_dir / "validator.json").read_text())["cases"]
    wrong, ran = [], 0
    for case in cases:
        resource, valid = resource_of(case)
        if resource["kind"] in LEFT_OUT:
            continue
        ran += 1
        errors = errors_of(resource)
        if bool(errors) == valid:
            wrong.append((case["desc"], resource, [str(error) for error in errors]))

    assert wrong == []
    assert ran > 320


def test_no_kind_that_is_known_is_left_out() -> None:
    assert not LEFT_OUT.keys() & KINDS.keys()


def manifests(cases_dir: Path) -> Iterator[tuple[str, Mapping[str, Any], list[Problem]]]:
    """Yield each resource of each manifest with the errors told about it."""
    folder = cases_dir / "yaml_manifests"
    for entry in json.loads((folder / "index.json").read_text())["files"]:
        problems = load([Source(entry["file"], (folder / entry["file"]).read_bytes())])[1]
        errors = [problem for problem in problems if problem.severity is Severity.ERROR]
        for described in entry["resources"]:
            mine = [
                error
                for error in errors
                if (error.kind, error.name) == (described["kind"], described["name"])
            ]
            yield entry["file"], described, mine


def test_manifests_of_known_kinds_load_if_they_are_valid(cases_dir: Path) -> None:
    for file, described, errors in manifests(cases_dir):
        if described["kind"] in KINDS and file not in UNKNOWN_FIELDS_COUNT:
            assert (not errors) == described["valid_by_restated_rules"], (file, described, errors)


def test_manifests_of_other_kinds_get_a_message_that_names_kind_and_place(cases_dir: Path) -> None:
    for file, described, errors in manifests(cases_dir):
        if described["kind"] not in KINDS:
            told = [error for error in errors if error.code == "unsupported-kind"]
            assert len(told) == 1, (file, described)
            assert described["kind"] in told[0].message
            assert told[0].position.file == file
            assert told[0].position.line > 0
