"""Which tiers, policies and profiles apply to an endpoint, in evaluation order.

Owns the choice and the order; what a rule means is `rules`' business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.compile.ordering import policy_key, tier_key
from nfq_guard.model.decision import Action
from nfq_guard.model.flow import Side, Stage
from nfq_guard.model.memo import Memo
from nfq_guard.model.problem import Position
from nfq_guard.resources import BUILT_IN_TIERS, DEFAULT_ALLOW_PROFILE, Rule
from nfq_guard.resources.labels import NAMESPACE, applying
from nfq_guard.resources.policies import STAGED_DELETE, GlobalNetworkPolicySpec, staged_action
from nfq_guard.selector import SelectorIndex, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nfq_guard.resources import Inventory, Located, Profile
    from nfq_guard.resources.policies import AnyPolicy
    from nfq_guard.selector import Selector, SelectorCache
    from nfq_guard.selector.index import Key

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
    namespace: None = None
    staged: bool = False
    """Never: that is for policies."""


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


class Traits(NamedTuple):
    """What is asked of a policy again and again, wherever it stands."""

    tier: str
    order: tuple[float, bytes]
    """Its place in the tier."""
    stages: frozenset[Stage]
    selector: Selector
    keys: tuple[Key, ...]
    """Of the selector."""
    sides: frozenset[Side]
    rules: Mapping[Side, tuple[Rule, ...]]


class Candidate(NamedTuple):
    """A policy that may apply to endpoints."""

    traits: Traits
    applied: AppliedPolicy

    def is_in(self, labels: Mapping[str, str]) -> bool:
        """Return whether something with these labels is in the policy's namespace, if it has one."""
        namespace = self.applied.namespace
        return namespace is None or labels.get(NAMESPACE.member) == namespace


class PolicyMemory:
    """What a policy index leaves for the next."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._traits: Memo[AnyPolicy, _Of, Traits] = Memo(_traits)
        self._candidates: Memo[Policy, SelectorCache, Candidate] = Memo(self._candidate)
        self._profiles: Memo[Located[Profile], None, AppliedProfile] = Memo(_applied_profile)
        self.tiers: dict[tuple[frozenset[tuple[str, str]], Stage], tuple[AppliedTier, ...]] = {}
        """By an endpoint's labels and the stage."""

    def candidates(self, inventory: Inventory, selectors: SelectorCache) -> Iterator[Candidate]:
        """Yield an inventory's policies."""
        self._traits.begin_round()
        self._candidates.begin_round()
        self._profiles.begin_round()
        policies: list[Policy] = [
            *inventory.global_network_policies,
            *inventory.network_policies,
            *inventory.staged_global_network_policies,
            *inventory.staged_network_policies,
        ]
        for policy in policies:
            # What is to be deleted names what would go, and says nothing itself: Calico keeps it from its data plane.
            if staged_action(policy.value) != STAGED_DELETE:
                yield self._candidates.get(policy, selectors)

    def profile(self, located: Located[Profile]) -> AppliedProfile:
        """Return a profile as a chain needs it."""
        return self._profiles.get(located, None)

    def _candidate(self, policy: Policy, selectors: SelectorCache) -> Candidate:
        found = self._traits.get(policy.value, _Of(policy.kind, policy.namespace, selectors))
        return Candidate(found, _applied(policy, found))


class PolicyIndex:
    """All policies by tier in evaluation order, to be asked per endpoint and stage."""

    def __init__(self, inventory: Inventory, selectors: SelectorCache, memory: PolicyMemory) -> None:
        """Sort tiers and policies once."""
        self._memory = memory
        self._before, memory.tiers = memory.tiers, {}
        self._found = memory.tiers
        self._profiles = {item.name: item for item in inventory.profiles}
        tiers: dict[str, tuple[float | None, Action]] = {
            **BUILT_IN_TIERS,
            **{
                item.name: (item.value.spec.order, item.value.spec.default_action) for item in inventory.tiers
            },
        }
        grouped: dict[str, list[Candidate]] = {}
        for candidate in memory.candidates(inventory, selectors):
            grouped.setdefault(candidate.traits.tier, []).append(candidate)
        # A tier that nobody declared still enforces, behind all others, and ends in deny.
        undeclared = (None, Action.DENY)
        names = sorted(
            grouped, key=lambda name: tier_key(name, tiers.get(name, undeclared)[0], declared=name in tiers)
        )
        self._tiers = [(name, tiers.get(name, undeclared)[1], _index(grouped[name])) for name in names]
        self._selecting: dict[frozenset[tuple[str, str]], list[list[Candidate]]] = {}
        """By an endpoint's labels: of each tier, the policies that select it."""

    def tiers(self, labels: Mapping[str, str], stage: Stage) -> tuple[AppliedTier, ...]:
        """Return the tiers with policies, staged ones too, for an endpoint with these labels in a stage.

        The same objects as in the compilation before if nothing in them has changed.
        """
        asked = (frozenset(labels.items()), stage)
        found = self._found.get(asked)
        if found is None:
            found = tuple(self._applied_tiers(asked[0], labels, stage))
            before = self._before.get(asked)
            found = self._found[asked] = before if before is not None and found == before else found
        return found

    def _applied_tiers(
        self, key: frozenset[tuple[str, str]], labels: Mapping[str, str], stage: Stage
    ) -> Iterator[AppliedTier]:
        if key not in self._selecting:
            self._selecting[key] = [
                [candidate for candidate in members.selecting(labels) if candidate.is_in(labels)]
                for _, _, members in self._tiers
            ]
        for (name, action, _), members in zip(self._tiers, self._selecting[key], strict=True):
            policies = tuple(candidate.applied for candidate in members if stage in candidate.traits.stages)
            if policies:
                yield AppliedTier(name, action, policies)

    def profile(self, name: str) -> AppliedProfile:
        """Return a profile, the built-in one and those that are missing included."""
        located = self._profiles.get(name)
        if located is not None:
            return self._memory.profile(located)
        # Calico stands in a rule that drops for a profile that is missing
        # (felix/calc/active_rules_calculator.go).
        return _built_in(name, Action.ALLOW if name == DEFAULT_ALLOW_PROFILE else Action.DENY)


def _applied_profile(located: Located[Profile], _: None) -> AppliedProfile:
    spec = located.value.spec
    return AppliedProfile(located.name, _by_side(spec.ingress, spec.egress), _positions(located))


@lru_cache(maxsize=256)
def _built_in(name: str, action: Action) -> AppliedProfile:
    rules = (Rule(action=action),)
    return AppliedProfile(name, _by_side(rules, rules), lambda _side, _index: _BUILT_IN)


def _index(candidates: list[Candidate]) -> SelectorIndex[Candidate]:
    candidates.sort(key=lambda candidate: candidate.traits.order)
    return SelectorIndex((each.traits.selector, each.traits.keys, each) for each in candidates)


class _Of(NamedTuple):
    """What a policy's traits depend on besides what it says."""

    kind: str
    namespace: str | None
    selectors: SelectorCache


def _traits(policy: AnyPolicy, of: _Of) -> Traits:
    spec = policy.spec
    selector = applying(spec, of.selectors)
    return Traits(
        tier=spec.tier,
        order=policy_key(policy.metadata.name, of.namespace, of.kind, spec.order),
        stages=stages_of(policy),
        selector=selector,
        keys=keys_of(selector),
        sides=frozenset(_SIDES[name.lower()] for name in spec.types),
        rules=_by_side(spec.ingress, spec.egress),
    )


def _applied(policy: Policy, found: Traits) -> AppliedPolicy:
    return AppliedPolicy(
        kind=policy.kind,
        name=policy.name,
        namespace=policy.namespace,
        sides=found.sides,
        rules=found.rules,
        position=_positions(policy),
        staged=staged_action(policy.value) is not None,
    )


def _by_side(ingress: Iterable[Rule], egress: Iterable[Rule]) -> Mapping[Side, tuple[Rule, ...]]:
    return {Side.INGRESS: tuple(ingress), Side.EGRESS: tuple(egress)}


def _positions(located: Policy | Located[Profile]) -> Callable[[Side, int], Position]:
    def position(side: Side, index: int) -> Position:
        return located.position(f"spec.{side}[{index}]")

    return position
