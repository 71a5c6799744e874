"""What will surprise about resources on this host.

Owns the warnings that need the host's name: those that need the resources alone are told
at load (`resources.crosscheck`), so that `check` has them too. Must never refuse anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.model.problem import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.compile.states import Told
    from nfq_guard.engine.ruleset import EndpointState
    from nfq_guard.resources import Inventory

GOVERNS_NOTHING = "governs-nothing"
CODES = {
    GOVERNS_NOTHING: "warning: an endpoint of this node governs nothing, and why",
    "other-node": "warning: there are host endpoints, but none for this node: nothing is guarded",
}
"""Code to what it stands for, as in the docs."""

_NODES_NAMED = 5
"""Other nodes named in a warning: enough to see a slip of the pen."""


def host_warnings(inventory: Inventory, node: str) -> Iterator[Problem]:
    """Yield a warning if there are host endpoints, but none for this node: a misspelt node guards nothing."""
    nodes = {endpoint.value.spec.node for endpoint in inventory.host_endpoints}
    if nodes and node not in nodes:
        first = inventory.host_endpoints[0]
        others = ", ".join(sorted(nodes)[:_NODES_NAMED])
        yield Problem(
            first.position("spec.node"),
            "other-node",
            f"no host endpoint is for this node, {node}: nothing is guarded here; they are for {others} "
            "(--node says which node this is)",
            "spec.node",
            first.kind,
            first.name,
            Severity.WARNING,
        )


def idle_warnings(states: Iterable[tuple[Told, EndpointState]]) -> Iterator[Problem]:
    """Yield a warning for each endpoint that governs nothing: what it is meant to guard may stand open."""
    for endpoint, state in states:
        if state.reason:
            field = "spec.interfaceName" if endpoint.value.spec.interface_name else "spec.expectedIPs"
            message = f"this endpoint governs nothing: {state.reason}"
            yield Problem(
                endpoint.position(field),
                GOVERNS_NOTHING,
                message,
                field,
                endpoint.kind,
                endpoint.name,
                Severity.WARNING,
            )
