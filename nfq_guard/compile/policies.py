"""Which tiers, policies and profiles apply to an endpoint, in evaluation order.

Owns the choice and the order; what a rule means is `rules`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfq_guard.compile.ordering import policy_key, tier_key
from nfq_guard.model.decision import Action
from nfq_guard.model.flow import Side, Stage
from nfq_guard.model.problem import Position
from nfq_guard.resources import BUILT_IN_TIERS, DEFAULT_ALLOW_PROFILE, Rule
from nfq_guard.resources.labels import applies_to
from nfq_guard.resources.policies import STAGED_DELETE, GlobalNetworkPolicySpec, staged_action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nfq_guard.resources import Inventory, Located, Profile
    from nfq_guard.resources.policies import AnyPolicy
    from nfq_guard.selector import SelectorCache

    Policy = Located[AnyPolicy]

_BUILT_IN = Position("built-in")
_SIDES = {"ingress": Side.INGRESS, "egress": Side.EGRESS}


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """A policy as a chain needs it."""

    kind: str
    name: str
    namespace: str | None
    sides: frozenset[Side]
    rules: Mapping[Side, tuple[Rule, ...]]
    position: Callable[[Side, int], Position]
    staged: bool = False
    """It is only tried out."""


@dataclass(frozen=True, slots=True)
class AppliedTier:
    """A tier with its policies in evaluation order."""

    name: str
    default_action: Action
    policies: tuple[AppliedPolicy, ...]


@dataclass(frozen=True, slots=True)
class AppliedProfile:
    """A profile as a chain needs it."""

    name: str
    rules: Mapping[Side, tuple[Rule, ...]]
    position: Callable[[Side, int], Position]


def stages_of(policy: AnyPolicy) -> frozenset[Stage]:
    """Return the stages a policy is enforced in (Calico felix/calc/event_sequencer.go)."""
    spec = policy.spec
    if not isinstance(spec, GlobalNetworkPolicySpec):
        return frozenset({Stage.NORMAL})
    if spec.do_not_track:
        return frozenset({Stage.UNTRACKED})
    if spec.pre_dnat:
        return frozenset({Stage.PRE_DNAT})
    if spec.apply_on_forward:
        return frozenset({Stage.FORWARD, Stage.NORMAL})
    return frozenset({Stage.NORMAL})


def enforced(tiers: Iterable[AppliedTier]) -> tuple[AppliedTier, ...]:
    """Return the tiers without what is only tried out; one with nothing else is not there."""
    live = (
        replace(tier, policies=tuple(policy for policy in tier.policies if not policy.staged))
        for tier in tiers
    )
    return tuple(tier for tier in live if tier.policies)


def staged_in(tiers: Iterable[AppliedTier], side: Side) -> tuple[AppliedPolicy, ...]:
    """Return the staged policies that take part in a direction."""
    return tuple(
        policy for tier in tiers for policy in tier.policies if policy.staged and side in policy.sides
    )


class PolicyIndex:
    """All policies by tier in evaluation order, to be asked per endpoint and stage."""

    def __init__(self, inventory: Inventory, selectors: SelectorCache) -> None:
        """Sort tiers and policies once."""
        self._selectors = selectors
        self._profiles = {item.name: item for item in inventory.profiles}
        tiers: dict[str, tuple[float | None, Action]] = {
            **BUILT_IN_TIERS,
            **{
                item.name: (item.value.spec.order, item.value.spec.default_action) for item in inventory.tiers
            },
        }
        grouped: dict[str, list[Policy]] = {}
        policies: list[Policy] = [
            *inventory.global_network_policies,
            *inventory.network_policies,
            *inventory.staged_global_network_policies,
            *inventory.staged_network_policies,
        ]
        for policy in policies:
            if staged_action(policy.value) == STAGED_DELETE:
                # Names what would go, and says nothing itself: Calico keeps it from its data plane.
                continue
            grouped.setdefault(policy.value.spec.tier, []).append(policy)
        # A tier that nobody declared still enforces, behind all others, and ends in deny.
        undeclared = (None, Action.DENY)
        names = sorted(
            grouped, key=lambda name: tier_key(name, tiers.get(name, undeclared)[0], declared=name in tiers)
        )
        self._tiers = [
            (name, tiers.get(name, undeclared)[1], sorted(grouped[name], key=_sort_key)) for name in names
        ]

    def tiers(self, labels: Mapping[str, str], stage: Stage) -> tuple[AppliedTier, ...]:
        """Return the tiers with policies, staged ones too, for an endpoint with these labels in a stage."""
        applied = []
        for name, action, members in self._tiers:
            policies = tuple(
                _applied(policy)
                for policy in members
                if stage in stages_of(policy.value) and applies_to(policy, labels, self._selectors)
            )
            if policies:
                applied.append(AppliedTier(name, action, policies))
        return tuple(applied)

    def profile(self, name: str) -> AppliedProfile:
        """Return a profile, the built-in one and those that are missing included."""
        located = self._profiles.get(name)
        if located is not None:
            spec = located.value.spec
            return AppliedProfile(name, _by_side(spec.ingress, spec.egress), _positions(located))
        # Calico stands in a rule that drops for a profile that is missing
        # (felix/calc/active_rules_calculator.go).
        action = Action.ALLOW if name == DEFAULT_ALLOW_PROFILE else Action.DENY
        rules = (Rule(action=action),)
        return AppliedProfile(name, _by_side(rules, rules), lambda _side, _index: _BUILT_IN)


def _sort_key(policy: Policy) -> tuple[float, bytes]:
    return policy_key(policy.name, policy.namespace, policy.kind, policy.value.spec.order)


def _applied(policy: Policy) -> AppliedPolicy:
    spec = policy.value.spec
    return AppliedPolicy(
        kind=policy.kind,
        name=policy.name,
        namespace=policy.namespace,
        sides=frozenset(_SIDES[name.lower()] for name in spec.types),
        rules=_by_side(spec.ingress, spec.egress),
        position=_positions(policy),
        staged=staged_action(policy.value) is not None,
    )


def _by_side(ingress: Iterable[Rule], egress: Iterable[Rule]) -> Mapping[Side, tuple[Rule, ...]]:
    return {Side.INGRESS: tuple(ingress), Side.EGRESS: tuple(egress)}


def _positions(located: Policy | Located[Profile]) -> Callable[[Side, int], Position]:
    def position(side: Side, index: int) -> Position:
        return located.position(f"spec.{side}[{index}]")

    return position
