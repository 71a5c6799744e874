from __future__ import annotations

from typing import Any

import pytest

from nfq_guard.resources.kinds import KINDS
from nfq_guard.store.tables import COLUMNS, UnknownColumnError, headings, table

HEP: dict[str, Any] = {
    "metadata": {"name": "eth0"},
    "spec": {
        "node": "n1",
        "interfaceName": "eth0",
        "expectedIPs": ["10.0.0.1", "fd00::1"],
        "profiles": ["a", "b"],
    },
}


def test_every_kind_has_its_columns() -> None:
    assert COLUMNS.keys() == KINDS.keys()
    assert all({*columns.short, *columns.wide} <= columns.cells.keys() for columns in COLUMNS.values())


@pytest.mark.parametrize(
    ("kind", "resource", "expected"),
    [
        (
            "HostEndpoint",
            HEP,
            "NAME   NODE   INTERFACE   IPS                PROFILES\neth0   n1     eth0        10.0.0.1,fd00::1   a,b\n",
        ),
        (
            "GlobalNetworkPolicy",
            {"metadata": {"name": "p"}, "spec": {"order": 10.5, "selector": "all()"}},
            "NAME   TIER      ORDER   SELECTOR\np      default   10.5    all()\n",
        ),
        (
            "GlobalNetworkPolicy",
            {"metadata": {"name": "p"}},
            "NAME   TIER      ORDER   SELECTOR\np      default   <nil>\n",
        ),
        ("Tier", {"metadata": {"name": "t"}, "spec": {"order": 5.0}}, "NAME   ORDER\nt      5\n"),
        ("Tier", {"metadata": {"name": "t"}}, "NAME   ORDER\nt      1000000\n"),
        (
            "Profile",
            {"metadata": {"name": "p"}, "spec": {"labelsToApply": {"b": True, "a": "1"}}},
            "NAME   LABELS\np      a=1,b=true\n",
        ),
    ],
)
def test_wide_tables(kind: str, resource: dict[str, Any], expected: str) -> None:
    assert table(kind, [resource], headings(kind, wide=True)) == expected


def test_a_long_set_is_cut_to_eighty_characters() -> None:
    resource = {"metadata": {"name": "s"}, "spec": {"nets": [f"10.0.0.{number}" for number in range(50)]}}
    row = table("GlobalNetworkSet", [resource], ["NETS"]).splitlines()[1]

    assert len(row) == 80
    assert row.endswith("...")


def test_columns_are_chosen_in_any_letter_case_and_order() -> None:
    assert table("HostEndpoint", [HEP], headings("HostEndpoint", ["interface", "Name"])) == (
        "INTERFACE   NAME\neth0        eth0\n"
    )


def test_an_unknown_column_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownColumnError, match="'SIZE'; columns of Tier: NAME, NAMESPACE, ORDER"):
        headings("Tier", ["size"])


def test_a_namespace_stands_in_front() -> None:
    names = headings("NetworkPolicy", namespace=True)

    assert table("NetworkPolicy", [{"metadata": {"name": "a"}}], names) == (
        "NAMESPACE   NAME   TIER\ndefault     a      default\n"
    )


def test_no_resource_still_has_headings() -> None:
    assert table("HostEndpoint", [], headings("HostEndpoint")) == "NAME   NODE\n"


def test_nonsense_and_control_characters_do_no_harm() -> None:
    resource: dict[str, Any] = {"metadata": {"name": "a\x1b[31m\nb"}, "spec": ["x"]}

    assert table("Tier", [resource], ["NAME", "ORDER"]) == "NAME       ORDER\na?[31m?b   1000000\n"


def test_a_workload_is_named_by_workload_or_pod() -> None:
    resource = {
        "metadata": {"name": "w"},
        "spec": {"pod": "p", "ipNATs": [{"internalIP": "a", "externalIP": "b"}]},
    }

    assert table("WorkloadEndpoint", [resource], ["WORKLOAD", "NATS"]) == (
        "WORKLOAD   NATS\np          externalIP=b,internalIP=a\n"
    )
