"""Decisions as lines for people.

Owns the columns of `nfq-guard decide --format text`, and the words for why a packet is
nobody's. Must never decide anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.engine.ruleset import HostAction
from nfq_guard.model.decision import Reason, Verdict

if TYPE_CHECKING:
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.decision import Decision
    from nfq_guard.model.flow import Flow
    from nfq_guard.resources import Inventory

_VERDICT, _REASON = 5, max(map(len, Reason))
_NAMED = 5
"""Nodes or interfaces named: enough to see a slip of the pen."""


class Sentences:
    """Writes decisions about one host, in columns that are known ahead of the first."""

    def __init__(self, inventory: Inventory, ruleset: Ruleset) -> None:
        """Speak of these endpoints."""
        endpoints = [item.value for item in inventory.host_endpoints]
        mine = [endpoint for endpoint in endpoints if endpoint.spec.node == ruleset.node]
        self._node = ruleset.node
        self._to_host = ruleset.endpoint_to_host
        self._width = max((len(endpoint.metadata.name) for endpoint in mine), default=0)
        self._governed = sorted({*ruleset.governed, *ruleset.expected}) if mine else []
        self._nodes = [] if mine else sorted({endpoint.spec.node for endpoint in endpoints})

    def sentence(self, flow: Flow, decision: Decision, would: Decision | None = None) -> str:
        """Return a decision as one line, disposition first; `would`: that of staged policies."""
        head = f"{decision.verdict:<{_VERDICT}}  {decision.reason:<{_REASON}}"
        if decision.reason is Reason.UNMANAGED:
            said = f"{head}  {self._nobodys(flow)}"
        else:
            said = f"{head}  {decision.endpoint or '':<{self._width}}  {self._step(decision)}".rstrip()
        return said if would is None else f"{said}; {self._rehearsed(would)}"

    def error(self, line: int, message: str) -> str:
        """Return what is wrong with a line, in the columns of decisions."""
        return f"error  line {line}: {message}"

    def _nobodys(self, flow: Flow) -> str:
        names = [name for name in (flow.in_interface, flow.out_interface) if name]
        interfaces = f"interface{'s' if len(names) > 1 else ''} {' or '.join(names)}"
        said = f"no endpoint for {interfaces} of node {self._node}"
        if self._governed:
            return f"{said}; its endpoints govern {_list(self._governed)}"
        if self._nodes:
            return f"{said}; endpoints are for node{'s' if len(self._nodes) > 1 else ''} {_list(self._nodes)}"
        return said

    def _step(self, decision: Decision) -> str:
        """Return the step that decided, where there is more to say than its reason."""
        if decision.reason is Reason.ENDPOINT_TO_HOST:
            return self._action(decision)
        rule = decision.rule
        if rule is None:
            return "" if decision.tier is None else f"end of tier {decision.tier}"
        tier = f"tier {rule.tier}, " if rule.tier else ""
        return f"{tier}{rule.kind}({rule.name}) {rule.side} rule {rule.rule} at {rule.file}:{rule.line}"

    def _action(self, decision: Decision) -> str:
        setting = f"defaultEndpointToHostAction {self._to_host}"
        if decision.verdict is Verdict.ALLOW and self._to_host is HostAction.DROP:
            return f"ICMPv6 that the link needs, whatever {setting} says"
        return setting

    def _rehearsed(self, would: Decision) -> str:
        return f"staged: would {would.verdict}, {self._step(would) or would.reason}"


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
