from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nfq_guard.store.spelling import spelled, spelled_like

if TYPE_CHECKING:
    from nfq_guard.store.values import Data


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (
            "NetworkPolicy",
            {"KIND": "NetworkPolicy", "METADATA": {"Name": "a"}, "Spec": {"INGRESS": [{"Action": "Deny"}]}},
            {"kind": "NetworkPolicy", "metadata": {"name": "a"}, "spec": {"ingress": [{"action": "Deny"}]}},
        ),
        ("Tier", {"Spec": {"Unheard": 1}}, {"spec": {"Unheard": 1}}),
        ("Tier", {"Spec": 1, "spec": 2}, {"Spec": 1, "spec": 2}),
        ("Tier", {"SPEC": 1, "Spec": 2}, {"spec": 1, "Spec": 2}),
        ("Tier", {"spec": [{"Order": 1}]}, {"spec": [{"order": 1}]}),
        ("Tier", {"metadata": {"Labels": {"Name": "a"}}}, {"metadata": {"labels": {"Name": "a"}}}),
    ],
    ids=["deep", "unknown", "both", "twice", "wrong type", "mapping of texts"],
)
def test_keys_are_spelled_as_calico_does(kind: str, data: Data, expected: Data) -> None:
    assert spelled(kind, data) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"Spec": {"ORDER": 1}}, {"spec": {"order": 2}}, {"Spec": {"ORDER": 2}}),
        ({"Spec": {"Order": 1}}, {"metadata": {"name": "a"}}, {"metadata": {"name": "a"}}),
        ({"metadata": {"labels": {"A": "1"}}}, {"metadata": {"labels": {"a": "1"}}}, None),
        ({"Spec": 1}, {"spec": {"order": 2}}, {"Spec": {"order": 2}}),
        (
            {"spec": {"Ingress": [{"Action": "Deny"}, {"Action": "Deny"}]}},
            {"spec": {"ingress": [{"action": "Pass"}]}},
            {"spec": {"Ingress": [{"Action": "Pass"}]}},
        ),
        (
            {"spec": {"ingress": [{"Action": "Deny"}]}},
            {"spec": {"ingress": [{"action": "Pass"}, {"action": "Log"}]}},
            {"spec": {"ingress": [{"Action": "Pass"}, {"action": "Log"}]}},
        ),
    ],
    ids=["deep", "gone", "mapping of texts", "wrong type", "shorter list", "longer list"],
)
def test_an_edit_keeps_the_spelling_of_keys(old: Data, new: Data, expected: Data) -> None:
    assert spelled_like("GlobalNetworkPolicy", new, old) == (new if expected is None else expected)
