from __future__ import annotations

import pytest

from nfq_guard.cli.reports import RefusedError
from nfq_guard.cli.shown import exported, printer
from nfq_guard.store.refs import kind_of

TIER = {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "a", "uid": "x"}}


def test_a_table_stands_for_each_kind() -> None:
    endpoint = {**TIER, "kind": "HostEndpoint"}

    assert printer("ps", namespace=False)(None, [TIER, TIER, endpoint]) == "NAME\na\na\n\nNAME   NODE\na\n"


def test_yml_is_yaml() -> None:
    assert printer("yml", namespace=False)(None, [TIER]) == printer("yaml", namespace=False)(None, [TIER])


def test_no_resource_of_no_kind_is_no_table() -> None:
    assert printer("ps", namespace=False)(None, []) == ""
    assert printer("ps", namespace=False)(kind_of("tier"), []) == "NAME\n"


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(RefusedError, match="Unknown column name 'SIZE'"):
        printer("custom-columns=SIZE", namespace=False)(None, [TIER])


def test_what_is_exported_has_its_name_only() -> None:
    assert exported(TIER)["metadata"] == {"name": "a"}
    assert TIER["metadata"] == {"name": "a", "uid": "x"}
