"""A mapping in a file to a model, or to everything that is wrong with it, in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nfq_guard.model.problem import Position, Problem, Severity
from nfq_guard.resources.decode import Subject, decode, to_python
from nfq_guard.resources.endpoints import HostEndpoint
from nfq_guard.resources.groups import GlobalNetworkSet, Profile, Tier
from nfq_guard.resources.policies import GlobalNetworkPolicy
from nfq_guard.resources.scalars import PlainScalar
from nfq_guard.resources.source import Source
from nfq_guard.resources.tree import read_documents

if TYPE_CHECKING:
    from nfq_guard.resources.base import Resource


def subject_of(text: str) -> Subject:
    return Subject("x.yaml", "Kind", "name", read_documents(Source("x.yaml", text.encode())).roots[0])


def decoded(model: type[Resource], text: str) -> tuple[Resource | None, list[Problem]]:
    return decode(model, subject_of(text))


def spec_of(spec: str) -> str:
    return f"metadata: {{name: a}}\nspec: {spec}\n"


def told(model: type[Resource], text: str) -> list[tuple[str, str]]:
    """Return field and code of every error, in the order of the fields."""
    value, problems = decoded(model, text)
    assert value is None
    assert {problem.severity for problem in problems} == {Severity.ERROR}
    return sorted((problem.field, problem.code) for problem in problems)


ALL_AT_ONCE: dict[str, tuple[type[Resource], str, list[tuple[str, str]]]] = {
    "a bad field does not hide that others do not fit together": (
        GlobalNetworkPolicy,
        "{order: first, preDNAT: true, ingress: [{action: Allow, destination: {ports: [80]}}]}",
        [
            ("spec.ingress[0].destination.ports", "conflict"),
            ("spec.order", "wrong-type"),
            ("spec.preDNAT", "conflict"),
        ],
    ),
    "nor does a part that does not fit hide that its whole does not": (
        GlobalNetworkPolicy,
        "{doNotTrack: true, ingress: [{action: Deny, protocol: TCP, http: {paths: [{exact: a}]}}]}",
        [
            ("spec.doNotTrack", "conflict"),
            ("spec.ingress[0].http", "conflict"),
            ("spec.ingress[0].http.paths[0].exact", "bad-value"),
        ],
    ),
    "what is missing does not hide what is wrong": (
        HostEndpoint,
        "{expectedIPs: [10.0.0.1, 10.0.0.1], ports: [{name: UP}]}",
        [
            ("spec.expectedIPs[1]", "duplicate-item"),
            ("spec.node", "missing-field"),
            ("spec.ports[0].name", "bad-name"),
            ("spec.ports[0].port", "missing-field"),
            ("spec.ports[0].protocol", "missing-field"),
        ],
    ),
    "items keep their place when those before them are bad": (
        GlobalNetworkSet,
        "{nets: [x, 10.0.0.0/8, w, 11.0.0.0/8, 10.0.0.0/8, z, 11.0.0.0/8]}",
        [
            ("spec.nets[0]", "bad-net"),
            ("spec.nets[2]", "bad-net"),
            ("spec.nets[4]", "duplicate-item"),
            ("spec.nets[5]", "bad-net"),
            ("spec.nets[6]", "duplicate-item"),
        ],
    ),
    "and so do items of items": (
        GlobalNetworkPolicy,
        "{ingress: [7, {action: Allow}, {action: Allow, source: {nets: [x, 10.0.0.0/8, 10.0.0.0/8]}}]}",
        [
            ("spec.ingress[0]", "wrong-type"),
            ("spec.ingress[2].source.nets[0]", "bad-net"),
            ("spec.ingress[2].source.nets[2]", "duplicate-item"),
        ],
    ),
    "fields in other letter case are told as Calico spells them": (
        Tier,
        "{ORDER: first, defaultaction: Allow}",
        [("spec.defaultAction", "bad-value"), ("spec.order", "wrong-type")],
    ),
    "a fault is told once, however often it is decoded": (
        Profile,
        "{labelsToApply: {a b: x}, ingress: [{action: Never}], egress: [{action: Allow, source: {ports: [1]}}]}",
        [
            ("spec.egress[0].source.ports", "conflict"),
            ('spec.labelsToApply["a b"]', "bad-label"),
            ("spec.ingress[0].action", "bad-value"),
        ],
    ),
}


@pytest.mark.parametrize("case", ALL_AT_ONCE)
def test_everything_is_told_at_once(case: str) -> None:
    model, spec, expected = ALL_AT_ONCE[case]

    assert told(model, spec_of(spec)) == sorted(expected)


CONSEQUENCES: dict[str, tuple[type[Resource], str, str]] = {
    "an endpoint whose only address is bad": (
        HostEndpoint,
        "{node: a, expectedIPs: [x]}",
        "spec.expectedIPs[0]",
    ),
    "an endpoint whose interface is bad": (
        HostEndpoint,
        "{node: a, interfaceName: '?'}",
        "spec.interfaceName",
    ),
    "ports beside a bad protocol": (
        GlobalNetworkPolicy,
        "{ingress: [{action: Allow, protocol: tcp, source: {ports: [80]}}]}",
        "spec.ingress[0].protocol",
    ),
    "ICMP beside a bad protocol": (
        GlobalNetworkPolicy,
        "{ingress: [{action: Allow, protocol: icmp, icmp: {type: 8}}]}",
        "spec.ingress[0].protocol",
    ),
    "an ICMP code beside a bad type": (
        GlobalNetworkPolicy,
        "{ingress: [{action: Allow, protocol: ICMP, icmp: {type: 256, code: 0}}]}",
        "spec.ingress[0].icmp.type",
    ),
    "a stage beside a bad applyOnForward": (
        GlobalNetworkPolicy,
        "{preDNAT: true, applyOnForward: 1}",
        "spec.applyOnForward",
    ),
    "services whose name is bad": (
        GlobalNetworkPolicy,
        "{ingress: [{action: Allow, source: {services: {name: W, namespace: shop}}}]}",
        "spec.ingress[0].source.services.name",
    ),
}


@pytest.mark.parametrize("case", CONSEQUENCES)
def test_what_only_follows_from_a_fault_is_not_told(case: str) -> None:
    model, spec, field = CONSEQUENCES[case]

    assert [found for found, _ in told(model, spec_of(spec))] == [field]


PLACES: dict[str, tuple[str, tuple[int, int]]] = {
    "a bad value: where it stands": ("spec:\n  order: first\n", (3, 10)),
    "an unknown field: its key": ("spec:\n  ordre:   7\n", (3, 3)),
    "a bad label: its key": ("spec: {}\nx-y: 1\n", (3, 1)),
    "a part that is none": ("spec:\n  - 7\n", (3, 3)),
}


@pytest.mark.parametrize("case", PLACES)
def test_the_place_of(case: str) -> None:
    text, (line, column) = PLACES[case]

    _, problems = decoded(Tier, "metadata: {name: a}\n" + text)

    assert [problem.position for problem in problems] == [Position("x.yaml", line, column)]


def test_a_missing_field_is_told_at_what_should_hold_it() -> None:
    _, problems = decoded(HostEndpoint, "metadata: {name: a}\nspec:\n  interfaceName: lo\n")

    assert [(problem.field, problem.position) for problem in problems] == [
        ("spec.node", Position("x.yaml", 2, 1))
    ]


UNKNOWN = {
    "{ordr: 1}": "unknown field; did you mean order?",
    "{tier: 1}": "unknown field; known here: defaultAction, order",
    "{Default_Action: Deny}": "unknown field; did you mean defaultAction?",
    "{order: 1, Order: 2}": "unknown field; did you mean order?",
    "{ORDER: 1, Order: 2}": "unknown field; did you mean order?",
}


@pytest.mark.parametrize("spec", UNKNOWN)
def test_an_unknown_field_is_told_with_the_nearest_that_is_known(spec: str) -> None:
    _, (problem,) = decoded(Tier, spec_of(spec))

    assert (problem.code, problem.message) == ("unknown-field", UNKNOWN[spec])


@pytest.mark.parametrize(
    ("field", "home"), [("selector: all()", "spec"), ("labels: {a: b}", "metadata"), ("Types: []", "spec")]
)
def test_a_field_beside_the_part_it_belongs_to_is_told_with_that_part(field: str, home: str) -> None:
    name = field.partition(":")[0]
    _, (beside,) = decoded(GlobalNetworkPolicy, f"metadata: {{name: a}}\n{field}\n")

    assert beside.message == (
        f"unknown field; known here: apiVersion, kind, metadata, spec; {name} belongs under {home}"
    )


def test_a_field_in_the_other_part_is_told_with_the_right_one() -> None:
    _, problems = decoded(GlobalNetworkPolicy, "metadata: {name: a, order: 1}\nspec: {labels: {a: b}}\n")

    assert [problem.message.rpartition("; ")[2] for problem in problems] == [
        "order belongs under spec",
        "labels belongs under metadata",
    ]


def test_unknown_fields_deep_inside_are_told_with_what_is_known_there() -> None:
    _, (problem,) = decoded(
        GlobalNetworkPolicy, spec_of("{ingress: [{action: Log, protocol: ICMP, icmp: {typ: 8}}]}")
    )

    assert (problem.field, problem.message) == (
        "spec.ingress[0].icmp.typ",
        "unknown field; did you mean type?",
    )


TYPES = {
    "metadata: {name: a}\nspec: []": "found a list, expected a mapping",
    "metadata: {name: a}\nspec: yes": "found yes, expected a mapping",
    "metadata: {name: a, labels: [a]}": "found a list, expected a mapping",
    "metadata: {name: a, finalizers: {}}": "found a mapping, expected a list",
    "metadata: {name: a, ownerReferences: [x]}": 'found "x", expected a mapping',
}


@pytest.mark.parametrize("text", TYPES)
def test_lists_mappings_and_values_in_each_others_place(text: str) -> None:
    _, (problem,) = decoded(Tier, text)

    assert (problem.code, problem.message) == ("wrong-type", TYPES[text])


def test_what_is_good_is_decoded_and_nothing_told() -> None:
    value, problems = decoded(Tier, spec_of("{order: 7, defaultAction: ~}"))

    assert problems == []
    assert isinstance(value, Tier)
    assert value.spec.order == 7


def test_text_that_yaml_reads_as_something_else_is_a_warning_and_the_resource_is_decoded() -> None:
    value, problems = decoded(Tier, "metadata:\n  name: a\n  labels: {a: no, b: 'no', c: 1.10}\n")

    assert value is not None
    assert [
        (problem.field, problem.code, problem.severity, problem.position.column) for problem in problems
    ] == [
        ("metadata.labels.a", "unquoted-value", Severity.WARNING, 15),
        ("metadata.labels.c", "unquoted-value", Severity.WARNING, 31),
    ]
    assert problems[1].message == 'without quotes, 1.10 is read as "1.1"; put quotes around it'


def test_a_warning_is_told_beside_errors_too() -> None:
    value, problems = decoded(Tier, "metadata: {name: a, labels: {a: on}}\nspec: {order: x}\n")

    assert value is None
    assert [problem.code for problem in problems] == ["wrong-type", "unquoted-value"]


def test_a_value_that_an_alias_repeats_is_told_once() -> None:
    _, problems = decoded(Tier, "metadata: {name: a, labels: &l {a: on}, annotations: *l}\n")

    assert [problem.field for problem in problems] == ["metadata.labels.a"]


def test_a_subject_tells_about_itself() -> None:
    subject = subject_of("spec:\n  order: 7\n")

    at_value = subject.problem(("spec", "order"), "conflict", "text")
    at_key = subject.problem(("spec", "order"), "conflict", "text", key=True, severity=Severity.WARNING)

    assert at_value == Problem(Position("x.yaml", 2, 10), "conflict", "text", "spec.order", "Kind", "name")
    assert (at_key.position, at_key.severity) == (Position("x.yaml", 2, 3), Severity.WARNING)


def test_a_tree_as_data_keeps_its_nulls() -> None:
    data = to_python(subject_of("{a: ~, b: {c: null}, d: [~, 'x', {e: }], f: ''}").node)

    assert data == {"a": None, "b": {"c": None}, "d": [None, "x", {"e": None}], "f": ""}


def test_unquoted_values_come_with_what_the_file_shows() -> None:
    (scalar,) = to_python(subject_of("[0x10]").node)

    assert scalar == PlainScalar(16, "0x10", 1, 2)
