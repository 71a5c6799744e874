"""The whole explanation of a flow's verdict under one compiled inventory.

Owns its order: the engine's trace first, then the words about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.engine.decide import decide
from nfq_guard.engine.trace import Tracer
from nfq_guard.explain.bystanders import Bystanders, Place
from nfq_guard.explain.causes import causes
from nfq_guard.explain.layout import Layout, title_of
from nfq_guard.explain.remedies import remedies
from nfq_guard.explain.steps import Explanation
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import CtState, Direction, Side, Stage
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
    from nfq_guard.engine.trace import Asked, Trace
    from nfq_guard.explain.steps import Bystander, StageStep
    from nfq_guard.model.decision import Decision
    from nfq_guard.model.flow import Flow, Packet
    from nfq_guard.resources import Inventory

_NAMED = 5
_AHEAD = frozenset({Reason.FAILSAFE, Reason.NEIGHBOR_DISCOVERY, Reason.ESTABLISHED, Reason.INVALID})


class Explainer:
    """Explains flows on one host."""

    def __init__(self, inventory: Inventory, ruleset: Ruleset) -> None:
        """`ruleset`: of this very inventory, compiled here (one that has travelled knows too little)."""
        selectors = SelectorCache()
        self._inventory = inventory
        self._ruleset = ruleset
        self._tracer = Tracer(ruleset)
        self._layout = Layout(inventory, ruleset, selectors)
        self._bystanders = Bystanders(inventory, self._layout, selectors)

    def explain(self, flow: Flow) -> Explanation:
        """Return why a flow gets its verdict; ValueError as from `decide`."""
        trace = self._tracer.trace(flow)
        steps = tuple(map(self._layout.step, trace.asked))
        bystanders = tuple(self._absent(flow, trace, steps))
        said = (
            *self._about_connection(flow, trace.decision),
            *self._about_interface(flow, trace.decision),
            *causes(trace.decision, steps, bystanders, self._interface(flow)),
        )
        return Explanation(
            flow, trace.decision, said, tuple(self._remedies(flow, trace, steps)), steps, bystanders
        )

    def _remedies(self, flow: Flow, trace: Trace, steps: Sequence[StageStep]) -> Iterator[str]:
        if trace.decision.verdict is Verdict.DENY and trace.asked and steps[-1].decision == trace.decision:
            yield from remedies(self._ruleset, flow, steps[-1], trace.asked[-1].chain)

    @staticmethod
    def _interface(flow: Flow) -> str:
        return (flow.out_interface if flow.direction is Direction.OUT else flow.in_interface) or ""

    def _absent(self, flow: Flow, trace: Trace, steps: Sequence[StageStep]) -> Iterator[Bystander]:
        place = self._place(flow, trace.asked)
        # Where something is let by ahead of policy, no policy is asked, whoever it selects.
        if place is not None and trace.decision.reason not in _AHEAD:
            yield from self._bystanders.of(steps, place)

    def _place(self, flow: Flow, asked: Sequence[Asked]) -> Place | None:
        """Return where policy had its last say, or could have had one."""
        if asked:
            last = asked[-1]
            return self._at(last.endpoint, last.stage, last.side, last.packet)
        side = Side.EGRESS if flow.direction is Direction.OUT else Side.INGRESS
        if flow.direction is not Direction.FORWARD:
            endpoint = self._ruleset.endpoint_for(self._interface(flow))
            return None if endpoint is None else self._at(endpoint, Stage.NORMAL, side, flow.packet)
        for name, towards in ((flow.in_interface, Side.INGRESS), (flow.out_interface, Side.EGRESS)):
            endpoint = self._ruleset.own_endpoint(name or "") or self._ruleset.wildcard
            if endpoint is not None:
                return self._at(endpoint, Stage.FORWARD, towards, flow.packet)
        return None

    def _at(self, endpoint: GuardedEndpoint, stage: Stage, side: Side, packet: Packet) -> Place:
        located = self._layout.endpoint(endpoint)
        return Place(str(title_of(located)), self._layout.labels(located), stage, side, packet)

    def _about_connection(self, flow: Flow, decision: Decision) -> Iterator[str]:
        if decision.reason is Reason.ESTABLISHED:
            new = decide(self._ruleset, flow._replace(ct_state=CtState.NEW))
            yield (
                f"it belongs to a connection that was allowed, for which no policy is asked; as the first packet of "
                f"a connection it would get: {new.verdict} ({new.reason})"
            )
        if decision.reason is Reason.INVALID:
            yield (
                "connection tracking cannot place it: an answer without a question, or a connection begun elsewhere; "
                "disableConntrackInvalidCheck of the FelixConfiguration leaves such packets to policy"
            )

    def _about_interface(self, flow: Flow, decision: Decision) -> Iterator[str]:
        if decision.reason is not Reason.UNMANAGED:
            return
        names = " or ".join(name for name in (flow.in_interface, flow.out_interface) if name)
        yield f"no endpoint of node {self._ruleset.node} governs {names}: nothing is denied there"
        for item in self._inventory.host_endpoints[:_NAMED]:
            spec, where = item.value.spec, item.origin
            governs = spec.interface_name or f"the interface with {', '.join(spec.expected_ips)}"
            yield f"{item.kind}({item.name}) is for node {spec.node}, {governs} ({where.file}:{where.line})"
