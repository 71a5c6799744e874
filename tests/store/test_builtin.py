from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nfq_guard.model.problem import Severity
from nfq_guard.resources import load
from nfq_guard.resources.source import Source
from nfq_guard.store.builtin import BUILT_IN
from nfq_guard.store.emit import yaml_text

if TYPE_CHECKING:
    from nfq_guard.store.refs import Ref


@pytest.mark.parametrize("ref", [ref for ref in BUILT_IN if ref.kind != "Profile"], ids=str)
def test_what_always_exists_may_be_declared_as_it_is(ref: Ref) -> None:
    inventory, problems = load([Source("a.yaml", yaml_text(BUILT_IN[ref]).encode())])

    assert [problem for problem in problems if problem.severity is Severity.ERROR] == []
    assert inventory.warnings == ()


def test_a_line_can_be_added_below_every_spec() -> None:
    assert all(data["spec"] for data in BUILT_IN.values())
