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


def test_an_endpoint_of_this_node_that_governs_nothing_is_worth_a_warning_with_the_reason() -> None:
    named = host_endpoint("a", interfaceName="eth9")
    expecting = host_endpoint("b", expectedIPs=["10.0.0.77"])

    by_name, by_address = compile_ruleset(inventory_of(named, host_endpoint("c"), expecting), HOST).warnings

    assert (by_name.code, by_name.severity, by_name.name) == ("governs-nothing", Severity.WARNING, "a")
    assert (by_name.field, by_address.field) == ("spec.interfaceName", "spec.expectedIPs")
    assert by_name.message == "this endpoint governs nothing: no interface eth9 yet"
    assert by_address.message == "this endpoint governs nothing: no interface has 10.0.0.77"


def test_policies_without_any_endpoint_are_worth_a_warning() -> None:
    (warning,) = compile_ruleset(inventory_of(policy("a"), policy("b")), HOST).warnings

    assert (warning.code, warning.severity, warning.name) == ("no-endpoint", Severity.WARNING, "a")


def test_every_code_is_in_the_docs(root: Path) -> None:
    docs = (root / "docs" / "resources.md").read_text()

    assert [code for code, meaning in CODES.items() if f"| `{code}` | {meaning} |" not in docs] == []
