"""Names, labels and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nfq_guard.resources import names

if TYPE_CHECKING:
    from collections.abc import Callable

RULES: dict[str, tuple[Callable[[str], str | None], list[str], list[str]]] = {
    "most names": (
        names.subdomain,
        ["a", "a-b.c9", "9", "a" * 253],
        ["", "A", "a_b", "-a", "a-", ".a", "a..b", "a" * 254, "a\n", "ä"],
    ),
    "tiers": (names.tier, ["a", "fo-o", "x" * 63], ["", "a.b", "x" * 64, "-a"]),
    "global policies": (
        names.global_policy,
        ["a", "tier.a", "a-b.c-d"],
        ["a.b.c", ".a", "a.", "A", "knp.default.x"],
    ),
    "policies": (
        names.policy,
        ["a", "tier.a", "knp.default.a.b", "ossg.default.x"],
        ["a.b.c", "knp.other.x.y", "knp.default.", "x" * 254],
    ),
    "interfaces": (names.interface, ["eth0", "a.1_b-C", "x" * 15], ["", "x" * 16, "a b", "eth0@if3", "*"]),
    "ports": (
        names.port_name,
        ["http", "a", "a-1", "1a", "x" * 15],
        ["", "80", "1-2", "a--b", "-a", "a-", "A", "a_b", "x" * 16],
    ),
    "label keys": (
        names.label_key,
        ["a", "A.b_c-9", "example.org/x", "a" * 63, "p" * 253 + "/a"],
        ["", "a b", "-a", "a/", "/a", "A/b", "a/b/c", "a" * 64, "p" * 254 + "/a", "a!"],
    ),
    "label values": (names.label_value, ["", "a", "A.b_c-9", "a" * 63], ["a b", "-a", "a" * 64, "a/b"]),
}


@pytest.mark.parametrize("case", RULES)
def test_what_may_be_a_name(case: str) -> None:
    rule, good, bad = RULES[case]

    assert [text for text in good if rule(text) is not None] == []
    assert [text for text in bad if rule(text) is None] == []


def test_annotations_are_checked_in_lower_case_and_for_size() -> None:
    assert list(names.bad_annotations({"Example.ORG/Key": "any value, äöü"})) == []
    assert [key for key, _ in names.bad_annotations({"...": ""})] == ["..."]
    assert [key for key, _ in names.bad_annotations({"k": "x" * 262_144})] == [""]
    assert list(names.bad_annotations({"k": "x" * 262_143})) == []


def test_each_bad_label_is_told_once_for_key_and_once_for_value() -> None:
    assert [key for key, _ in names.bad_labels({"good": "ok", "b d": "ok", "good2": "b d", "-": "-"})] == [
        "b d",
        "good2",
        "-",
        "-",
    ]
