"""What is said about resources on the host that they are compiled for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy import facts_of, host_endpoint, inventory_of, policy
from strategies import FACTS

from nfq_guard.compile import compile_ruleset
from nfq_guard.compile.warnings import CODES
from nfq_guard.model.problem import Severity

if TYPE_CHECKING:
    from pathlib import Path

HOST = facts_of(FACTS)


def test_endpoints_for_other_nodes_only_are_worth_a_warning() -> None:
    elsewhere = inventory_of(host_endpoint("a", node="worker-1"), host_endpoint("b", node="worker-2"))

    (warning,) = compile_ruleset(elsewhere, HOST).warnings

    assert (warning.code, warning.severity, warning.name) == ("other-node", Severity.WARNING, "a")
    assert "for this node, host-a" in warning.message
    assert "worker-1, worker-2" in warning.message


def test_an_endpoint_for_this_node_or_nothing_at_all_is_nothing_to_warn_of() -> None:
    mixed = inventory_of(host_endpoint("a", node="worker-1"), host_endpoint("b"))

    assert compile_ruleset(mixed, HOST).warnings == ()
    assert compile_ruleset(inventory_of(), HOST).warnings == ()


def test_policies_without_any_endpoint_are_worth_a_warning() -> None:
    (warning,) = compile_ruleset(inventory_of(policy("a"), policy("b")), HOST).warnings

    assert (warning.code, warning.severity, warning.name) == ("no-endpoint", Severity.WARNING, "a")


def test_every_code_is_in_the_docs(root: Path) -> None:
    docs = (root / "docs" / "resources.md").read_text()

    assert [code for code, meaning in CODES.items() if f"| `{code}` | {meaning} |" not in docs] == []
