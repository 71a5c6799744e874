"""Whole files: what is told about bad ones, and what good ones become."""

from __future__ import annotations

import json
import random
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfq_guard.model.decision import Action
from nfq_guard.model.problem import ConfigError, Position, Severity
from nfq_guard.resources import Source, load, load_or_raise
from nfq_guard.resources.codes import CODES
from nfq_guard.resources.source import MAX_FILE_BYTES, MAX_NODES, MAX_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Callable

PROBLEMS = Path(__file__).resolve().parent.parent / "problems"
FILES = sorted(path for path in PROBLEMS.iterdir() if path.suffix != ".expected")

TIER = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: %s}\n"


def _alias_bomb() -> bytes:
    lines = [b"l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        b"l%d: &l%d [%s]" % (level, level, b", ".join([b"*l%d" % (level - 1)] * 9)) for level in range(1, 10)
    ]
    return b"\n".join(lines)


def _merge_bomb() -> bytes:
    keys = b", ".join(b"k%d: 1" % number for number in range(1000))
    return (
        b"base: &base {" + keys + b"}\n" + b"\n".join(b"m%d: {<<: *base}" % number for number in range(1000))
    )


def _set(nets: bytes) -> bytes:
    head = (TIER % "x").replace("Tier", "GlobalNetworkSet").encode()
    return head + b"spec: {nets: [" + nets + b"]}"


def _metadata(fields: bytes) -> bytes:
    return b"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: x, " + fields + b"}\n"


def _policy(selector: bytes) -> bytes:
    return (
        (TIER % "x").replace("Tier", "GlobalNetworkPolicy").encode()
        + b"spec: {selector: '"
        + selector
        + b"'}"
    )


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a file larger than the bound": ("too-large", lambda: b"# " + b"x" * MAX_FILE_BYTES),
    "a list of millions of values": ("too-many-values", lambda: b"- a\n" * 3_000_000),
    "a mapping of half a million keys": (
        "too-many-values",
        lambda: b"{" + b",".join(b'"k%d": 1' % number for number in range(MAX_NODES)) + b"}",
    ),
    "aliases of aliases of aliases": ("too-many-values", _alias_bomb),
    "merge keys of merge keys": ("too-many-values", _merge_bomb),
    "a hundred thousand open brackets": ("too-deep", lambda: b"[" * 100_000),
    "a hundred thousand open braces": ("too-deep", lambda: b"{a: " * 100_000),
    "a hundred thousand nested list items": ("too-deep", lambda: b"- " * 100_000),
    "a hundred thousand complex keys": ("too-deep", lambda: b"? " * 100_000),
    "an executable": ("not-text", lambda: b"\x7fELF\x02\x01\x01\0\0\0"),
    "UTF-16 text": ("not-text", lambda: "kind: Tier".encode("utf-16")),
    "Latin-1 text": ("not-text", lambda: "# Gerät\n".encode("latin-1")),
    "a control character": ("not-text", lambda: b"kind: \x07"),
    "a quoted text that never ends": ("yaml-syntax", lambda: b'"' + b"a" * 1_000_000),
    "an anchor inside itself": ("bad-alias", lambda: b"a: &a {b: *a}"),
    "a number of a million digits": (
        "missing-field",
        lambda: b"kind: Tier\nspec: {order: " + b"9" * 1_000_000 + b"}",
    ),
    "an exponent of a million": ("out-of-range", lambda: (TIER % "x").encode() + b"spec: {order: 1e999999}"),
    "a hundred thousand bad addresses": (
        "bad-net",
        lambda: _set(b", ".join(b"x%d" % n for n in range(100_000))),
    ),
    "a hundred thousand equal addresses": (
        "duplicate-item",
        lambda: _set(b", ".join([b"10.0.0.1"] * 100_000)),
    ),
    "a hundred thousand unknown fields": (
        "unknown-field",
        lambda: (
            (TIER % "x").encode() + b"spec: {" + b", ".join(b"ordr%d: 1" % n for n in range(100_000)) + b"}"
        ),
    ),
    "a hundred thousand equal keys": ("duplicate-key", lambda: b"{" + b", ".join([b"a: 1"] * 100_000) + b"}"),
    "a hundred thousand surprises": (
        "unquoted-value",
        lambda: _metadata(b"labels: {" + b", ".join(b"k%d: no" % n for n in range(100_000)) + b"}"),
    ),
    "a hundred thousand bad labels": (
        "bad-label",
        lambda: _metadata(b"labels: {" + b", ".join(b"k%d: -" % n for n in range(100_000)) + b"}"),
    ),
    "a name of a megabyte": ("bad-name", (TIER % ("a" * 1_000_000)).encode),
    "a kind of a megabyte": ("unsupported-kind", lambda: b"kind: " + b"HostEndpoint" * 80_000),
    "a field of a megabyte": (
        "unknown-field",
        lambda: b'? "' + b"order" * 200_000 + b'"\n: 1\n' + (TIER % "x").encode(),
    ),
    "a label of a megabyte": ("bad-label", lambda: _metadata(b'labels: {? "' + b"k" * 1_000_000 + b'" : x}')),
    "a selector of a megabyte": ("too-long", lambda: _policy(b"has(a)" + b" || has(a)" * 100_000)),
    "a selector of parentheses": ("bad-selector", lambda: _policy(b"(" * 16_000)),
    "more problems than are worth reading": (
        "too-many-problems",
        lambda: b"\n---\n".join(b"kind: Nothing" for _ in range(MAX_PROBLEMS + 5)),
    ),
}
"""What may be found in a folder, with the code it must get."""


def loaded(text: str | bytes, name: str = "rules.yaml") -> list[str]:
    """Return everything that is told about one file, a line each."""
    data = text.encode() if isinstance(text, str) else text
    return [str(problem) for problem in load([Source(name, data)])[1]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_bad_files_get_exactly_these_messages(path: Path) -> None:
    expected = path.with_suffix(".expected").read_text()

    assert "".join(f"{line}\n" for line in loaded(path.read_bytes(), path.name)) == expected


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_input_gets_a_clear_answer_in_bounded_time_and_memory(case: str) -> None:
    code, build = HOSTILE[case]
    data = build()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()

    problems = load([Source("hostile.yaml", data)])[1]

    assert code in {problem.code for problem in problems}
    assert time.process_time() - started < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 500 * 1024
    assert all("Traceback" not in str(problem) and len(str(problem)) < 1000 for problem in problems)


def test_every_code_of_a_problem_has_a_case() -> None:
    told = {line.rpartition("[")[2].rstrip("]\n") for path in FILES for line in _lines(path)}
    elsewhere = {"unreadable", "no-files", "skipped-file"}  # tests/adapters/test_files.py

    assert told | {code for code, _ in HOSTILE.values()} | elsewhere | {"too-many-items"} == set(CODES)


def _lines(path: Path) -> list[str]:
    return path.with_suffix(".expected").read_text().splitlines()


def test_no_message_is_pydantics_own() -> None:
    told = "".join(path.with_suffix(".expected").read_text() for path in FILES)

    for trace in (
        "Input should",
        "pydantic",
        "Extra inputs",
        "Field required",
        "http://",
        "https://",
        "validation error",
    ):
        assert trace not in told


@given(st.binary(max_size=300))
def test_any_bytes_load_or_are_refused_and_raise_nothing(data: bytes) -> None:
    load([Source("any.yaml", data)])


WORDS = [
    "apiVersion: projectcalico.org/v3", "kind: ", "GlobalNetworkPolicy", "HostEndpoint", "FelixConfiguration",
    "metadata", "name", "spec", "ingress", "action", "Allow", ": ", "\n", "\n  ", "- ", "[", "]", "{", "}", ",", "&a",
    "*a", "<<", "!!int", "'", '"', "80", "1e99", "~", "yes", "|", ">", "---\n", "#", "%", "\t", "ports", "nets",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_any_shuffle_of_yaml_loads_or_is_refused_and_raises_nothing(text: str) -> None:
    loaded(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["Allow", "TCP", "all()"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["spec", "metadata", "name", "labels", "ingress", "egress", "action", "protocol", "source", "destination", "nets", "ports", "selector", "types", "icmp", "type", "code", "order", "services", "http", "node", "interfaceName", "expectedIPs", "profiles", "failsafeInboundHostPorts"]
    ), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip
KINDS = st.sampled_from(
    ["GlobalNetworkPolicy", "HostEndpoint", "GlobalNetworkSet", "Profile", "Tier", "FelixConfiguration"]
)


@given(KINDS, VALUES)
def test_any_json_as_a_spec_loads_or_is_refused_and_raises_nothing(kind: str, spec: object) -> None:
    document = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": "any"}, "spec": spec}

    loaded(json.dumps(document))


def test_a_cut_off_file_is_refused_without_exception_wherever_it_is_cut() -> None:
    data = (PROBLEMS / "rule-fields.yaml").read_bytes()

    for length in range(0, len(data), 7):
        load([Source("cut.yaml", data[:length])])


def test_forms_of_files_that_hold_several_resources() -> None:
    texts = {
        "documents": TIER % "a" + "---\n" + TIER % "b",
        "a list": "".join("- " + (TIER % name).rstrip("\n").replace("\n", "\n  ") + "\n" for name in "ab"),
        "a List": "apiVersion: v1\nkind: List\nitems:\n- " + (TIER % "a").replace("\n", "\n  ") + "\n- " + (TIER % "b").replace("\n", "\n  "),
        "a TierList whose items inherit": "apiVersion: projectcalico.org/v3\nkind: TierList\nitems: [{metadata: {name: a}}, {metadata: {name: b}}]",
        "JSON": json.dumps([{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": n}} for n in "ab"]),
        "empty documents between": "---\n---\n" + TIER % "a" + "---\n# nothing\n---\n" + TIER % "b" + "...\n",
        "Windows line ends and a byte order mark": "\ufeff" + (TIER % "a" + "---\n" + TIER % "b").replace("\n", "\r\n"),
    }  # fmt: skip
    for form, text in texts.items():
        inventory, problems = load([Source("tiers.yaml", text.encode())])
        assert ([tier.name for tier in inventory.tiers], problems) == (["a", "b"], []), form


def test_every_part_of_a_resource_knows_its_place() -> None:
    text = """\
# a comment
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: web
  labels: {example.org/team: a}
spec:
  ingress:
    - action: Allow
      protocol: TCP
      destination:
        ports: [80,
                443]
    - action: Deny
"""
    policy = load_or_raise([Source("web.yaml", text.encode())]).global_network_policies[0]

    assert policy.origin == Position("web.yaml", 2, 1)
    assert policy.position("metadata.name") == Position("web.yaml", 5, 9)
    assert policy.position('metadata.labels["example.org/team"]') == Position("web.yaml", 6, 30)
    assert policy.position("spec.ingress[0]") == Position("web.yaml", 9, 7)
    assert policy.position("spec.ingress[0].destination.ports[1]") == Position("web.yaml", 13, 17)
    assert policy.position("spec.ingress[1].action") == Position("web.yaml", 14, 15)
    assert policy.position("spec.egress[0]") == Position("web.yaml", 7, 1), "missing: where its parent is"


def test_a_resource_declared_in_two_files_is_refused_and_both_places_are_named() -> None:
    sources = [Source("a.yaml", (TIER % "web").encode()), Source("b/b.yaml", b"\n" + (TIER % "web").encode())]

    problems = load(sources)[1]

    assert [str(problem) for problem in problems] == [
        "b/b.yaml:4:18: error: Tier(web) metadata.name: Tier web is already declared at a.yaml:3:18 [duplicate-resource]"
    ]


def test_the_same_name_in_two_kinds_is_fine() -> None:
    text = TIER % "web" + "---\n" + (TIER % "web").replace("Tier", "Profile")

    assert loaded(text) == []


def test_good_files_are_loaded_beside_bad_ones_but_raise() -> None:
    sources = [Source("bad.yaml", b"kind: ["), Source("good.yaml", (TIER % "web").encode())]

    inventory, problems = load(sources)

    assert [tier.name for tier in inventory.tiers] == ["web"]
    assert [problem.position.file for problem in problems] == ["bad.yaml"]
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_or_raise(sources)


def test_resources_before_a_syntax_error_are_checked_too() -> None:
    told = loaded(TIER % "Bad" + "---\nkind: [")

    assert [line.rpartition("[")[2] for line in told] == ["bad-name]", "yaml-syntax]"]


def test_the_order_of_files_does_not_change_what_is_found() -> None:
    sources = [Source(path.name, path.read_bytes()) for path in FILES]
    expected = {problem for problem in load(sources)[1] if problem.code != "duplicate-resource"}
    shuffled = sources[:]
    random.Random(1).shuffle(shuffled)

    assert {problem for problem in load(shuffled)[1] if problem.code != "duplicate-resource"} == expected


def test_warnings_alone_let_the_inventory_through() -> None:
    text = TIER % "web" + "---\n" + (PROBLEMS / "crosscheck.yaml").read_text()

    inventory = load_or_raise([Source("rules.yaml", text.encode())])

    assert inventory.warnings
    assert {problem.severity for problem in inventory.warnings} == {Severity.WARNING}


def test_a_file_of_ten_thousand_rules_loads_in_seconds() -> None:
    rules = [
        {"action": "Allow", "protocol": "TCP", "source": {"nets": [f"10.{n >> 8}.{n & 255}.0/24"]}, "destination": {"ports": [n + 1]}}
        for n in range(1000)
    ]  # fmt: skip
    policies = [
        {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": {"name": f"p{n}"}, "spec": {"ingress": rules}}
        for n in range(10)
    ]  # fmt: skip
    started = time.process_time()

    inventory = load_or_raise([Source("large.json", json.dumps(policies).encode())])

    assert sum(len(policy.value.spec.ingress) for policy in inventory.global_network_policies) == 10_000
    assert time.process_time() - started < 20


def test_limits_of_lists_and_selectors() -> None:
    long = "has(a)" + " || has(a)" * 200
    policy = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "limits"},
        "spec": {
            "selector": long,
            "ingress": [
                {
                    "action": "Allow",
                    "protocol": "TCP",
                    "http": {"methods": [f"M{n}" for n in range(21)]},
                    "source": {
                        "nets": [f"10.0.{n >> 8}.{n & 255}/32" for n in range(257)],
                        "notSelector": long,
                    },
                    "destination": {"ports": list(range(1, 52))},
                }
            ],
            "egress": [{"action": "Allow"}] * 1025,
        },
    }

    problems = load([Source("limits.json", json.dumps(policy).encode())])[1]

    assert {(problem.field, problem.code) for problem in problems if problem.severity is Severity.ERROR} == {
        ("spec.selector", "too-long"),
        ("spec.egress", "too-many-items"),
        ("spec.ingress[0].http.methods", "too-many-items"),
        ("spec.ingress[0].source.nets", "too-many-items"),
        ("spec.ingress[0].source.notSelector", "too-long"),
        ("spec.ingress[0].destination.ports", "too-many-items"),
    }


def test_what_only_crds_check_is_not_asked_of_profiles() -> None:
    spec = {
        "ingress": [
            {"action": "Deny", "protocol": "UDP", "http": {"methods": ["GET"]}},
            {"action": "Allow", "icmp": {"code": 1}},
            {"action": "Allow", "protocol": "ICMP", "ipVersion": 6},
            {"action": "Allow", "source": {"selector": "global()", "nets": ["10.0.0.0/8", "10.0.0.0/8"]}},
        ]
    }
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "Profile",
        "metadata": {"name": "p"},
        "spec": spec,
    }

    inventory = load_or_raise([Source("profile.json", json.dumps(document).encode())])

    assert [rule.action for rule in inventory.profiles[0].value.spec.ingress] == [
        Action.DENY,
        Action.ALLOW,
        Action.ALLOW,
        Action.ALLOW,
    ]


def test_a_field_in_other_letter_case_is_that_field_as_in_calico() -> None:
    inventory, problems = load(
        [Source("t.yaml", (TIER % "a" + "spec: {Order: 7, DEFAULTACTION: Pass}").encode())]
    )

    assert problems == []
    assert (inventory.tiers[0].value.spec.order, inventory.tiers[0].value.spec.default_action) == (
        7.0,
        Action.PASS,
    )
    assert inventory.tiers[0].position("spec.order").column == 15


def test_a_null_is_a_field_that_is_not_there() -> None:
    text = TIER % "a" + "spec: {order: ~, defaultAction: null}"

    inventory, problems = load([Source("t.yaml", text.encode())])

    assert problems == []
    assert inventory.tiers[0].value.spec.order == 1_000_000


@pytest.mark.parametrize(
    "number", ["9" * 309, "-" + "9" * 309, "9" * 300, "9" * 5000, "1e999", "0x" + "f" * 300]
)
@pytest.mark.parametrize("spec", ["{order: %s}", "{ingress: [{action: Allow, ipVersion: %s}]}"])
def test_a_number_beyond_all_bounds_is_a_short_problem_with_its_place(spec: str, number: str) -> None:
    head = (TIER % "x").replace("Tier", "GlobalNetworkPolicy")
    _, problems = load([Source("huge.yaml", f"{head}spec: {spec % number}".encode())])
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]

    if number == "9" * 300 and "order" in spec:
        assert errors == []
    else:
        assert [(problem.code, problem.position.line) for problem in errors] == [("out-of-range", 4)]
        assert len(str(errors[0])) < 250
