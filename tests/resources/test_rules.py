"""Rules: which fields may stand beside each other, in a profile and in a policy."""

from __future__ import annotations

from typing import Any

import pytest
from parts import errors_of, faults

from nfq_guard.resources.rules import (
    ICMP,
    EntityRule,
    HTTPMatch,
    HTTPPath,
    PolicyRule,
    Rule,
    RuleMetadata,
    ServiceAccountMatch,
    ServiceMatch,
    has_global,
    too_long,
    too_many,
)

LONGEST = "has(a) || " * 101 + "has(long.name)"
assert len(LONGEST) == 1024

NETS = [f"10.0.{number >> 8}.{number & 255}/32" for number in range(257)]
PORTS = list(range(1, 52))
SERVICE = {"name": "web", "namespace": "shop"}

GOOD: dict[str, dict[str, Any]] = {
    "an action alone": {},
    "ports with a protocol that has them": {"protocol": "SCTP", "source": {"ports": [1], "notPorts": [2]}},
    "ports with a protocol by number": {"protocol": 17, "destination": {"ports": ["1:9"]}},
    "named ports without protocol": {"source": {"ports": ["http"], "notPorts": ["ssh"]}},
    "empty lists of ports with a protocol without": {"protocol": "ICMP", "source": {"ports": []}},
    "nets of one family on both sides": {
        "ipVersion": 6,
        "source": {"nets": ["fd00::/8"], "notNets": ["fd00::/16"]},
        "destination": {"nets": ["::/0"]},
    },
    "the widest net that may be excluded": {"source": {"notNets": ["0.0.0.0/1", "128.0.0.0/1"]}},
    "global() alone, with room": {"source": {"namespaceSelector": " global( ) "}},
    "a label that is called global": {"source": {"selector": "global == 'x'"}},
    "global() where it has no effect": {"source": {"notSelector": "global()"}},
    "ICMP by number": {"protocol": 58, "icmp": {"type": 128}},
    "the version that ICMP has": {"protocol": "ICMP", "ipVersion": 4, "notProtocol": 1},
    "notICMP without protocol": {"notICMP": {"type": 254, "code": 255}},
    "HTTP without protocol": {"http": {"methods": ["GET", "HEAD"], "paths": [{"exact": "/"}]}},
    "HTTP over TCP": {"protocol": 6, "http": {"paths": [{"prefix": "/a/b"}]}},
    "a service alone": {"source": {"services": SERVICE}},
    "a service beside ports of the source": {
        "protocol": "TCP",
        "source": {"services": SERVICE, "ports": [80]},
    },
    "as many nets, ports and characters as there may be": {
        "protocol": "TCP",
        "source": {"nets": NETS[:256], "ports": PORTS[:50], "selector": LONGEST},
        "http": {"methods": [f"M{number}" for number in range(20)]},
    },
    "one net among nets and among notNets": {"source": {"nets": NETS[:1], "notNets": NETS[:1]}},
}


@pytest.mark.parametrize("case", GOOD)
def test_a_rule_of_a_policy_may_have(case: str) -> None:
    assert faults(PolicyRule, {"action": "Allow", **GOOD[case]}) == []


ANYWHERE: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "numbered ports without protocol, a list at a time": (
        {"source": {"ports": ["http", 80, 81], "notPorts": ["ssh"]}, "destination": {"notPorts": ["1:2"]}},
        [("source.ports", "conflict"), ("destination.notPorts", "conflict")],
    ),
    "named ports with a protocol that has none": (
        {"protocol": "UDPLite", "destination": {"ports": ["http"]}},
        [("destination.ports", "conflict")],
    ),
    "nets of two families, on two sides": (
        {"source": {"nets": ["10.0.0.0/8"]}, "destination": {"notNets": ["10.0.0.0/8", "fd00::/8"]}},
        [("destination.notNets[1]", "conflict")],
    ),
    "each net of a family that ipVersion is not": (
        {"ipVersion": 6, "source": {"nets": ["10.0.0.0/8", "fd00::/8", "11.0.0.0/8"]}},
        [("source.nets[0]", "conflict"), ("source.nets[2]", "conflict")],
    ),
    "everything excluded": (
        {"destination": {"notNets": ["10.0.0.0/8", "0.0.0.0/0"]}},
        [("destination.notNets[1]", "conflict")],
    ),
    "global() beside something else": (
        {"source": {"namespaceSelector": "!global()"}},
        [("source.namespaceSelector", "conflict")],
    ),
}

POLICIES_ONLY: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "global() in a selector, on either side": (
        {"source": {"selector": "has(a) && global()"}, "destination": {"selector": "a == 'global('"}},
        [("source.selector", "conflict"), ("destination.selector", "conflict")],
    ),
    "ICMP fields without protocol": ({"icmp": {}}, [("icmp", "conflict")]),
    "an ICMP code without type": ({"protocol": "ICMP", "icmp": {"code": 0}}, [("icmp.code", "conflict")]),
    "ICMP of the other version": (
        {"protocol": "ICMPv6", "ipVersion": 4},
        [("protocol", "conflict")],
    ),
    "HTTP over SCTP": ({"protocol": "SCTP", "http": {}}, [("protocol", "conflict")]),
    "HTTP in a rule that passes": ({"action": "Pass", "http": {}}, [("http", "conflict")]),
    "services beside what says otherwise who it is": (
        {"source": {"services": SERVICE, "selector": "has(a)", "notNets": NETS[:1]}},
        [("source.selector", "conflict"), ("source.notNets", "conflict")],
    ),
    "services beside ports of the destination": (
        {"protocol": "TCP", "destination": {"services": SERVICE, "notPorts": [80]}},
        [("destination.notPorts", "conflict")],
    ),
    "services without a service": (
        {"destination": {"services": {}}, "source": {"services": {"name": "", "namespace": "shop"}}},
        [("source.services", "missing-field"), ("destination.services", "missing-field")],
    ),
    "a net too many": ({"source": {"nets": NETS}}, [("source.nets", "too-many-items")]),
    "a port too many": (
        {"protocol": "TCP", "destination": {"notPorts": PORTS}},
        [("destination.notPorts", "too-many-items")],
    ),
    "an HTTP path too many": (
        {"http": {"paths": [{"exact": f"/{number}"} for number in range(21)]}},
        [("http.paths", "too-many-items")],
    ),
    "an HTTP path that is too long": (
        {"http": {"paths": [{"exact": "/" + "x" * 1023}, {"prefix": "/" + "x" * 1024}]}},
        [("http.paths[1].prefix", "too-long")],
    ),
    "a service account twice": (
        {"source": {"serviceAccounts": {"names": ["a", "b", "a"]}}},
        [("source.serviceAccounts.names[2]", "duplicate-item")],
    ),
    "a net twice": ({"source": {"notNets": NETS[:2] + NETS[:1]}}, [("source.notNets[2]", "duplicate-item")]),
    "a character too many": (
        {"destination": {"namespaceSelector": LONGEST + " "}},
        [("destination.namespaceSelector", "too-long")],
    ),
}


@pytest.mark.parametrize("case", ANYWHERE)
@pytest.mark.parametrize("model", [Rule, PolicyRule])
def test_no_rule_may_have(model: type[Rule], case: str) -> None:
    fields, expected = ANYWHERE[case]

    assert faults(model, {"action": "Deny", **fields}) == expected


@pytest.mark.parametrize("case", POLICIES_ONLY)
def test_a_rule_of_a_profile_may_but_one_of_a_policy_may_not_have(case: str) -> None:
    fields, expected = POLICIES_ONLY[case]
    rule = {"action": "Allow", **fields}

    assert faults(Rule, rule) == []
    assert faults(PolicyRule, rule) == expected


NEEDS: dict[str, tuple[dict[str, Any], str]] = {
    "ports without protocol": ({"source": {"ports": [80]}}, "protocol"),
    "ICMP without protocol": ({"icmp": {"type": 8}}, "protocol"),
    "an ICMP code without type": ({"protocol": 1, "icmp": {"code": 8}}, "icmp"),
}


@pytest.mark.parametrize("case", NEEDS)
def test_a_fault_says_which_missing_field_may_be_the_reason(case: str) -> None:
    fields, needed = NEEDS[case]

    (error,) = errors_of(PolicyRule, {"action": "Allow", **fields})

    assert error["ctx"]["finding"].needs == ((needed,),)


PATHS: dict[str, tuple[dict[str, str], list[tuple[str, str]]]] = {
    "the root": ({"prefix": "/"}, []),
    "a query": ({"exact": "/a?b"}, [("exact", "bad-value")]),
    "a fragment": ({"prefix": "/a#b"}, [("prefix", "bad-value")]),
    "a space": ({"prefix": "/a b"}, [("prefix", "bad-value")]),
    "no slash": ({"prefix": "a"}, [("prefix", "bad-value")]),
    "an empty text is none": ({"exact": "", "prefix": "/a"}, []),
    "nothing": ({"exact": ""}, [("", "missing-field")]),
    "both": ({"exact": "/a", "prefix": "/a"}, [("", "conflict")]),
}


@pytest.mark.parametrize("case", PATHS)
def test_an_http_path(case: str) -> None:
    fields, expected = PATHS[case]

    assert faults(HTTPPath, fields) == expected


PARTS: dict[str, tuple[type[Any], dict[str, Any], list[tuple[str, str]]]] = {
    "ICMP type 255 is not for rules": (ICMP, {"type": 255, "code": 255}, [("type", "out-of-range")]),
    "ICMP type 0 and code 0": (ICMP, {"type": 0, "code": 0}, []),
    "an HTTP method twice": (
        HTTPMatch,
        {"methods": ["GET", "PUT", "GET"]},
        [("methods[2]", "duplicate-item")],
    ),
    "HTTP methods in other letter case": (HTTPMatch, {"methods": ["GET", "get"]}, []),
    "an empty name of a service, which is none": (ServiceMatch, {"name": "", "namespace": ""}, []),
    "a name that no service can have": (ServiceMatch, {"name": "Web"}, [("name", "bad-name")]),
    "a service's namespace alone": (ServiceMatch, {"namespace": "a"}, []),
    "a bad selector of service accounts": (
        ServiceAccountMatch,
        {"selector": "a"},
        [("selector", "bad-selector")],
    ),
    "an annotation on a rule": (
        RuleMetadata,
        {"annotations": {"a b": "x"}},
        [('annotations["a b"]', "bad-annotation")],
    ),
    "an entity rule alone is checked as in a profile": (
        EntityRule,
        {"selector": "global()", "notNets": ["::/0"]},
        [("notNets[0]", "conflict")],
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts_of_a_rule(case: str) -> None:
    model, fields, expected = PARTS[case]

    assert faults(model, fields) == expected


def test_the_sides_of_a_rule_come_with_the_names_of_their_fields() -> None:
    rule = Rule.model_validate({"action": "Allow", "source": {"nets": NETS[:1]}})

    assert [(name, entity.nets) for name, entity in rule.sides()] == [
        ("source", ("10.0.0.0/32",)),
        ("destination", ()),
    ]


def test_limits_include_what_they_name() -> None:
    assert [list(too_many("x", "ab", most)) == [] for most in (1, 2, 3)] == [False, True, True]
    assert [list(too_long("x", "a" * length)) == [] for length in (1023, 1024, 1025)] == [True, True, False]


def test_calico_looks_for_global_as_plain_text() -> None:
    texts = {"global()": True, "a == 'global('": True, "global ()": False, "global": False, "": False}

    assert {text: has_global(text) for text in texts} == texts
