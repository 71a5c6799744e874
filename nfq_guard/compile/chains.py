"""An endpoint's tiers, policies and profiles to its chains.

Owns the layout of a chain: the rules of all policies of all tiers in evaluation
order, each tier's default action behind them, then the profiles, then the default
(calico-semantics 3.1 and 3.3). And what its lines count.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Generic, TypeVar

from nfq_guard.compile.blocks import Ends, Laid, Titles, write
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import CounterKey, OutcomeKey, Pending, StagedKey
from nfq_guard.model.decision import Action, Decision, Reason, Verdict
from nfq_guard.model.flow import Stage

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from nfq_guard.compile.ahead import Ahead
    from nfq_guard.compile.blocks import Block, ChainMemory, Place
    from nfq_guard.compile.flattened import Flattened, Flattener
    from nfq_guard.compile.policies import AppliedPolicy, AppliedProfile, AppliedTier
    from nfq_guard.engine.ruleset import TriedKey

DEFAULT_RULE = "default"
NO_OPINION = "pass"
"""How a counter calls the outcome that the next stage decides."""


Key = TypeVar("Key", bound="Hashable")


class CounterIndex(Generic[Key]):
    """Gives each counter key its index; the same key, wherever it is used, the same index."""

    def __init__(self, first: int = 0) -> None:
        """Start empty, to count from here."""
        self._first = first
        self._index: dict[Key, int] = {}

    def __getitem__(self, key: Key) -> int:
        """Return the index of a key, a new one for a new key."""
        return self._index.setdefault(key, self._first + len(self._index))

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys by index."""
        return tuple(self._index)


@dataclass(slots=True)
class ChainBuilder:
    """Puts one chain together, line by line."""

    place: Place
    rules: Flattener
    counters: CounterIndex[CounterKey]
    memory: ChainMemory
    log_prefix: str
    """Of Log rules' lines, with Calico's specifiers (FelixConfiguration logPrefix)."""
    ahead: Ahead | None = None
    """What is let by ahead of policy; None for workloads, which have nothing of the kind."""
    tried: CounterIndex[TriedKey] | None = None
    """Set where staged policies are among those given, as if they were live: only what they add is counted."""
    _lines: list[FlatRule] = field(default_factory=list)
    _blocks: dict[tuple[str | None, str, str | None, str], Block] = field(default_factory=dict)

    def normal(self, tiers: Sequence[AppliedTier], profiles: Sequence[AppliedProfile]) -> Chain:
        """Return the chain of the `normal` stage: tiers, profiles, deny."""
        self._spare(decides=True)
        for tier in tiers:
            self._tier(tier)
        for profile in profiles:
            self._profile(profile)
        key = self._key("", self.place.kind, self.place.endpoint, "deny")
        self._settle(Verdict.DENY, Reason.NO_MATCH, None, key)
        return self._chain()

    def passing(self, tiers: Sequence[AppliedTier]) -> Chain | None:
        """Return the chain of another stage, None if no policy takes part in it.

        What no rule decides goes on to the next stage. A tier's default action counts on
        forwarded traffic only (calico-semantics 3.1).
        """
        if not any(self.place.side in policy.sides for tier in tiers for policy in tier.policies):
            return None
        # Ahead of another stage they only end it: the packet is asked about again.
        self._spare(decides=False)
        for tier in tiers:
            ends = tier if self.place.stage is Stage.FORWARD else replace(tier, default_action=Action.PASS)
            self._tier(ends)
        self._lines.append(FlatRule(Step.DECIDE, ANYTHING))
        return self._chain()

    def _spare(self, *, decides: bool) -> None:
        if self.ahead is None:
            return
        _, endpoint, stage, side, _ = self.place
        for reason, criteria in self.ahead.lines(stage, side):
            decision = Decision(Verdict.ALLOW, reason, stage, side, endpoint)
            self._lines.append(FlatRule(Step.SPARE, criteria, decision if decides else None))

    def pending(self, tiers: Sequence[AppliedTier], profiles: Sequence[AppliedProfile]) -> Pending:
        """Return what would be with the staged policies among these live, and how that is counted."""
        assert self.tried is not None, "a builder of what is tried out"  # noqa: S101
        chain = self.normal(tiers, profiles) if self.place.stage is Stage.NORMAL else self.passing(tiers)
        assert chain is not None, "a staged policy takes part"  # noqa: S101
        verdicts: tuple[Verdict | None, ...] = tuple(Verdict)
        if self.place.stage is not Stage.NORMAL:
            verdicts += (None,)
        place = (self.place.endpoint, str(self.place.stage), str(self.place.side))
        outcomes = {
            (enforced, would): self.tried[OutcomeKey(*place, enforced or NO_OPINION, would or NO_OPINION)]
            for enforced, would in product(verdicts, repeat=2)
        }
        return Pending(chain, outcomes)

    def _tier(self, tier: AppliedTier) -> None:
        policies = [policy for policy in tier.policies if self.place.side in policy.sides]
        if not policies:
            # Calico skips a tier that has no policy for this direction: its default does not apply.
            return
        laid = [
            (policy, self.rules.lines(policy.rules[self.place.side], policy.namespace)) for policy in policies
        ]
        # One line more: the tier's own end.
        behind = len(self._lines) + sum(flat.length for _, flat in laid) + 1
        for policy, flat in laid:
            self._block(policy, policy.kind, tier.name, flat, behind)
        staged = any(policy.staged for policy in policies)
        if tier.default_action is Action.PASS:
            key = self._key(tier.name, "Tier", tier.name, "pass", staged=staged)
            self._lines.append(FlatRule(Step.JUMP, ANYTHING, target=behind, counter=key))
        else:
            key = self._key(tier.name, "Tier", tier.name, "deny", staged=staged)
            self._settle(Verdict.DENY, Reason.TIER_DEFAULT, tier.name, key)

    def _profile(self, profile: AppliedProfile) -> None:
        flat = self.rules.lines(profile.rules[self.place.side], None)
        self._block(profile, "Profile", None, flat, len(self._lines) + flat.length)

    def _block(
        self,
        applied: AppliedPolicy | AppliedProfile,
        kind: str,
        tier: str | None,
        flat: Flattened,
        behind: int,
    ) -> None:
        before = self.memory.before.get(self.place)
        name = (tier, kind, applied.namespace, applied.name)
        kept = None if before is None else before.blocks.get(name)
        titles = None if kept is None else kept.titles
        if titles is None or not titles.serve(applied, tier, self.log_prefix):
            titles = Titles.of(applied, kind, tier, self.place.side, self.log_prefix)
        counters = tuple(self._counter(key, staged=applied.staged) for key in titles.keys)
        ends = Ends(len(self._lines), behind)
        if kept is None or not kept.serves(titles, flat, counters, ends):
            reason = Reason.PROFILE if tier is None else Reason.POLICY
            kept = write(self.place, reason, titles, flat, counters, ends)
        self._blocks[name] = kept
        self._lines.extend(kept.lines)

    def _settle(self, verdict: Verdict, reason: Reason, tier: str | None, counter: int) -> None:
        _, endpoint, stage, side, _ = self.place
        decision = Decision(verdict, reason, stage, side, endpoint, tier, None, counter)
        self._lines.append(FlatRule(Step.DECIDE, ANYTHING, decision, counter=counter))

    def _key(self, tier: str, kind: str, name: str, action: str, *, staged: bool = False) -> int:
        key = CounterKey(tier, kind, name, DEFAULT_RULE, str(self.place.side), action)
        return self._counter(key, staged=staged)

    def _counter(self, key: CounterKey, *, staged: bool) -> int:
        if self.tried is None:
            return self.counters[key]
        return self.tried[StagedKey(key)] if staged else -1

    def _chain(self) -> Chain:
        before = self.memory.before.get(self.place)
        like = None if before is None else before.chain
        lines = tuple(self._lines)
        chain = like if like is not None and like.rules == lines else Chain(lines, like)
        self.memory.now[self.place] = Laid(chain, self._blocks)
        return chain
