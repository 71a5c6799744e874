from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import endpoint, tier

from nfq_guard.cli.modify import modify
from nfq_guard.cli.storage import InvalidRulesError
from nfq_guard.store.draft import StoreError
from nfq_guard.store.refs import ref_of

if TYPE_CHECKING:
    from commands import Rules

REF = ref_of("HostEndpoint", "eth0")


def test_only_what_changes_is_written(rules: Rules) -> None:
    rules.put("a.yaml", endpoint("eth0"))
    modify(["rules"], REF, lambda old: {**old, "spec": {**old["spec"], "node": "n2", "profiles": None}})

    assert rules.files() == {"a.yaml": endpoint("eth0", node="n2")}


@pytest.mark.parametrize("field", ["apiVersion", "kind", "metadata"])
def test_a_resource_stays_the_one_it_is(rules: Rules, field: str) -> None:
    rules.put("a.yaml", endpoint("eth0"))

    with pytest.raises(StoreError, match="cannot change its"):
        modify(["rules"], REF, lambda old: {**old, field: "Tier"})


def test_other_problems_refuse_the_change(rules: Rules) -> None:
    rules.put("a.yaml", endpoint("eth0"))
    rules.put("b.yaml", tier("default"))

    with pytest.raises(InvalidRulesError) as refused:
        modify(["rules"], REF, lambda old: {**old, "spec": {"node": "n2", "interfaceName": "x"}})
    assert [problem.code for problem in refused.value.problems] == ["built-in"]


def test_what_does_not_exist_cannot_be_changed(rules: Rules) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        modify(["rules"], REF, lambda old: old)
