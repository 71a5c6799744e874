"""A chain that was asked about a packet, as the tiers, policies and rules that it was made of.

Owns which lines of a chain are which rule. What the lines say is the chain's.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from nfq_guard.compile.addresses import AddressBook, AddressMemory
from nfq_guard.compile.policies import PolicyIndex, PolicyMemory, enforced
from nfq_guard.engine.chain import Step
from nfq_guard.explain.criteria import Criteria
from nfq_guard.explain.people import People
from nfq_guard.explain.steps import Outcome, PolicyStep, RuleStep, StageStep, TierStep, Title
from nfq_guard.model.decision import Action, Reason
from nfq_guard.model.flow import Stage
from nfq_guard.resources import BUILT_IN_TIERS
from nfq_guard.resources.labels import EndpointLabels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nfq_guard.compile.policies import AppliedPolicy, AppliedProfile, AppliedTier
    from nfq_guard.engine.chain import Chain
    from nfq_guard.engine.ruleset import GuardedEndpoint, Ruleset
    from nfq_guard.engine.trace import Asked
    from nfq_guard.model.decision import Decision
    from nfq_guard.model.flow import Packet
    from nfq_guard.resources import HostEndpoint, Inventory, Located, WorkloadEndpoint
    from nfq_guard.selector import SelectorCache

    Endpoint = Located[HostEndpoint] | Located[WorkloadEndpoint]
    RuleName = tuple[str, str | None, str, int]
    """Kind, namespace and name of a policy or profile, and the index of its rule."""

_MATCHED = {Step.DECIDE: Outcome.DECIDED, Step.JUMP: Outcome.PASSED, Step.LOG: Outcome.LOGGED}


class Layout:
    """Takes apart what the chains of one compiled inventory said."""

    def __init__(self, inventory: Inventory, ruleset: Ruleset, selectors: SelectorCache) -> None:
        """Sort what the chains were made of once more, as compile does."""
        self._ruleset = ruleset
        self._policies = PolicyIndex(inventory, selectors, PolicyMemory())
        self.book = AddressBook(inventory, selectors, AddressMemory())
        self.criteria = Criteria(self.book, People(inventory))
        self._labels = EndpointLabels(inventory)
        self._hosts = {item.name: item for item in inventory.host_endpoints}
        self._workloads = {(item.namespace, item.name): item for item in inventory.workload_endpoints}
        self._titles = {
            (item.kind, item.namespace, item.name): title_of(item)
            for item in (*inventory.policies(), *inventory.profiles)
        }
        self._orders = {
            (item.kind, item.namespace, item.name): item.value.spec.order for item in inventory.policies()
        }
        self._tier_orders: dict[str, float | None] = {
            name: order for name, (order, _) in BUILT_IN_TIERS.items()
        }
        self._tier_orders.update({item.name: item.value.spec.order for item in inventory.tiers})

    def endpoint(self, found: GuardedEndpoint) -> Endpoint:
        """Return the resource of a compiled endpoint."""
        if found.namespace:
            return self._workloads[found.namespace, found.name]
        return self._hosts[found.name]

    def labels(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Return an endpoint's labels, with those that its profiles apply."""
        return self._labels.of(endpoint)

    def step(self, asked: Asked) -> StageStep:
        """Return what a chain said, rule by rule."""
        reading = _Reading(asked.chain, asked.packet)
        endpoint = self.endpoint(asked.endpoint)
        title, decision = title_of(endpoint), asked.match.decision
        step = StageStep(title, asked.stage, asked.side, asked.packet, None, decision)
        first = asked.chain.rules[reading.path[0]]
        if first.step is Step.SPARE:
            reason = Reason.FAILSAFE if first.decision is None else first.decision.reason
            return step._replace(spared=reason, unspared=asked.chain.unspared(asked.packet).decision)
        labels = self.labels(endpoint)
        tiers = tuple(
            self._tier(reading, tier, asked)
            for tier in enforced(self._policies.tiers(labels, asked.stage))
            if any(asked.side in policy.sides for policy in tier.policies)
        )
        names = endpoint.value.spec.profiles if asked.stage is Stage.NORMAL else ()
        profiles = tuple(
            self._policy(reading, self._policies.profile(name), "Profile", asked) for name in names
        )
        return step._replace(tiers=tiers, profiles=profiles, beyond=reading.beyond())

    def _tier(self, reading: _Reading, tier: AppliedTier, asked: Asked) -> TierStep:
        policies = [policy for policy in tier.policies if asked.side in policy.sides]
        end = self._end(asked.chain, tier.name)
        return TierStep(
            tier.name,
            self._tier_orders.get(tier.name),
            tuple(self._policy(reading, policy, policy.kind, asked) for policy in policies),
            # As it is there: ahead of NAT a tier ends in Pass, whatever its own default.
            Action.PASS if asked.chain.rules[end].step is Step.JUMP else Action.DENY,
            reading.end_of(end),
        )

    def _end(self, chain: Chain, tier: str) -> int:
        """Return the line that is the end of a tier."""
        for line, rule in enumerate(chain.rules):
            if rule.ref is None and rule.counter >= 0:
                key = self._ruleset.counter_keys[rule.counter]
                if (key.kind, key.policy) == ("Tier", tier):
                    return line
        raise AssertionError(f"tier {tier} has no end")

    def _policy(
        self, reading: _Reading, applied: AppliedPolicy | AppliedProfile, kind: str, asked: Asked
    ) -> PolicyStep:
        name = (kind, applied.namespace, applied.name)
        rules = tuple(
            self._rule(reading, applied, kind, asked, index)
            for index in range(len(applied.rules[asked.side]))
        )
        title = self._titles.get(name) or Title(
            kind, applied.name, applied.namespace, applied.position(asked.side, 0)
        )
        return PolicyStep(title, rules, self._orders.get(name))

    def _rule(
        self,
        reading: _Reading,
        applied: AppliedPolicy | AppliedProfile,
        kind: str,
        asked: Asked,
        index: int,
    ) -> RuleStep:
        rule = applied.rules[asked.side][index]
        lines = reading.rules[kind, applied.namespace, applied.name, index]
        accepts = reading.accepts(lines)
        misses = () if accepts else self.criteria.misses(rule, asked.packet, applied.namespace)
        position = applied.position(asked.side, index)
        prefix = reading.prefix(lines)
        outcome = reading.outcome(lines)
        named = self.criteria.names_port(rule, asked.packet, applied.namespace)
        return RuleStep(index, rule.action, position, outcome, accepts, misses, prefix, named)


class _Reading:
    """What became of each line of a chain, for one packet."""

    def __init__(self, chain: Chain, packet: Packet) -> None:
        self.chain = chain
        self._packet = packet
        self.path = chain.path(packet)
        self.rules = lines_by_rule(chain)
        self._skips: dict[int, list[int]] = {}
        """By line of a rule, the lines just ahead that jump over it: its first line has all of them."""
        self._accepting = frozenset(chain.accepting(packet))
        self._passed = [
            (line + 1, chain.rules[line].target)
            for line in self.path
            if chain.rules[line].step is Step.JUMP and chain.rules[line].ref is not None
        ]
        """What a Pass led past, from and up to."""
        waiting: list[int] = []
        for line, rule in enumerate(chain.rules):
            if rule.ref is not None:
                self._skips[line], waiting = waiting, []
            else:
                waiting = [*waiting, line] if rule.step is Step.JUMP and rule.counter < 0 else []

    def accepts(self, lines: Sequence[int]) -> bool:
        """Return whether the packet fulfils the rule of some lines."""
        skipped = any(line in self._accepting for line in self._skips[lines[0]])
        return not skipped and any(line in self._accepting for line in lines)

    def outcome(self, lines: Sequence[int]) -> Outcome:
        """Return what became of the rule of some lines."""
        met = next((line for line in lines if line in self.path), None)
        if met is not None:
            return _MATCHED[self.chain.rules[met].step]
        if lines[0] > self.path[-1]:
            return Outcome.NOT_REACHED
        return Outcome.SKIPPED if self._is_passed(lines[0]) else Outcome.RULED_OUT

    def prefix(self, lines: Sequence[int]) -> str:
        """Return what a Log rule of some lines writes first; nothing for other rules."""
        ref = self.chain.rules[lines[0]].ref
        return "" if ref is None else ref.prefix

    def beyond(self) -> tuple[Decision, ...]:
        """Return what the chain would say of a packet that a tier's end denied, if tiers' ends passed it on."""
        found: list[Decision] = []
        line = self.path[-1]
        decision = self.chain.rules[line].decision
        while decision is not None and decision.reason is Reason.TIER_DEFAULT:
            line = self.chain.path(self._packet, line + 1)[-1]
            decision = self.chain.rules[line].decision
            if decision is not None:
                found.append(decision)
        return tuple(found) if decision is not None else ()

    def end_of(self, line: int) -> Outcome:
        """Return what became of a tier's end."""
        if line in self.path:
            return _MATCHED[self.chain.rules[line].step]
        return Outcome.NOT_REACHED if line > self.path[-1] else Outcome.SKIPPED

    def _is_passed(self, line: int) -> bool:
        at = bisect_right(self._passed, (line, len(self.chain.rules))) - 1
        return at >= 0 and self._passed[at][0] <= line < self._passed[at][1]


def lines_by_rule(chain: Chain) -> Mapping[RuleName, Sequence[int]]:
    """Return the lines of each rule of a chain, in order, without those that jump over it."""
    found: dict[RuleName, list[int]] = {}
    for line, rule in enumerate(chain.rules):
        if rule.ref is not None:
            ref = rule.ref
            found.setdefault((ref.kind, ref.namespace, ref.name, ref.rule), []).append(line)
    return found


def title_of(item: Located[object]) -> Title:  # type: ignore[type-var]
    """Return a resource's title."""
    return Title(item.kind, item.name, item.namespace, item.origin)
