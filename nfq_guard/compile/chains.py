"""An endpoint's tiers, policies and profiles to its chains.

Owns the layout of a chain: the rules of all policies of all tiers in evaluation
order, each tier's default action behind them, then the profiles, then the default
(calico-semantics 3.1 and 3.3). And what its lines count.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Generic, TypeVar

from nfq_guard.compile.felix import log_prefix
from nfq_guard.compile.rules import flatten
from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import CounterKey, OutcomeKey, Pending, StagedKey
from nfq_guard.model.decision import Action, Decision, Reason, RuleRef, Verdict
from nfq_guard.model.flow import Stage

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from nfq_guard.compile.addresses import AddressBook
    from nfq_guard.compile.ahead import Ahead
    from nfq_guard.compile.policies import AppliedPolicy, AppliedProfile, AppliedTier
    from nfq_guard.engine.chain import Criteria
    from nfq_guard.engine.ruleset import TriedKey
    from nfq_guard.model.flow import Side
    from nfq_guard.resources import Rule

DEFAULT_RULE = "default"
NO_OPINION = "pass"
"""How a counter calls the outcome that the next stage decides."""
_VERDICTS = {Action.ALLOW: Verdict.ALLOW, Action.DENY: Verdict.DENY}


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
class _Label:
    """A place in the chain that lines ahead of it jump to."""

    at: int = -1


@dataclass(slots=True)
class _Line:
    step: Step
    criteria: Mapping[int, Criteria]
    decision: Decision | None = None
    target: _Label | None = None
    ref: RuleRef | None = None
    counter: int = -1


@dataclass(slots=True)
class ChainBuilder:
    """Puts one chain together, line by line."""

    stage: Stage
    side: Side
    kind: str
    """Of the endpoint: HostEndpoint or WorkloadEndpoint."""
    endpoint: str
    book: AddressBook
    counters: CounterIndex[CounterKey]
    log_prefix: str
    """Of Log rules' lines, with Calico's specifiers (FelixConfiguration logPrefix)."""
    ahead: Ahead | None = None
    """What is let by ahead of policy; None for workloads, which have nothing of the kind."""
    tried: CounterIndex[TriedKey] | None = None
    """Set where staged policies are among those given, as if they were live: only what they add is counted."""
    _lines: list[_Line] = field(default_factory=list)

    def normal(self, tiers: Sequence[AppliedTier], profiles: Sequence[AppliedProfile]) -> Chain:
        """Return the chain of the `normal` stage: tiers, profiles, deny."""
        self._spare(decides=True)
        for tier in tiers:
            self._tier(tier)
        for profile in profiles:
            self._profile(profile)
        key = self._key("", self.kind, self.endpoint, "deny")
        self._settle(Verdict.DENY, Reason.NO_MATCH, None, key)
        return self._chain()

    def passing(self, tiers: Sequence[AppliedTier]) -> Chain | None:
        """Return the chain of another stage, None if no policy takes part in it.

        What no rule decides goes on to the next stage. A tier's default action counts on
        forwarded traffic only (calico-semantics 3.1).
        """
        if not any(self.side in policy.sides for tier in tiers for policy in tier.policies):
            return None
        # Ahead of another stage they only end it: the packet is asked about again.
        self._spare(decides=False)
        for tier in tiers:
            ends = tier if self.stage is Stage.FORWARD else replace(tier, default_action=Action.PASS)
            self._tier(ends)
        self._lines.append(_Line(Step.DECIDE, ANYTHING))
        return self._chain()

    def _spare(self, *, decides: bool) -> None:
        if self.ahead is None:
            return
        for reason, criteria in self.ahead.lines(self.stage, self.side):
            decision = Decision(Verdict.ALLOW, reason, self.stage, self.side, self.endpoint)
            self._lines.append(_Line(Step.SPARE, criteria, decision if decides else None))

    def pending(self, tiers: Sequence[AppliedTier], profiles: Sequence[AppliedProfile]) -> Pending:
        """Return what would be with the staged policies among these live, and how that is counted."""
        assert self.tried is not None, "a builder of what is tried out"  # noqa: S101
        chain = self.normal(tiers, profiles) if self.stage is Stage.NORMAL else self.passing(tiers)
        assert chain is not None, "a staged policy takes part"  # noqa: S101
        verdicts: tuple[Verdict | None, ...] = tuple(Verdict)
        if self.stage is not Stage.NORMAL:
            verdicts += (None,)
        place = (self.endpoint, str(self.stage), str(self.side))
        outcomes = {
            (enforced, would): self.tried[OutcomeKey(*place, enforced or NO_OPINION, would or NO_OPINION)]
            for enforced, would in product(verdicts, repeat=2)
        }
        return Pending(chain, outcomes)

    def _tier(self, tier: AppliedTier) -> None:
        policies = [policy for policy in tier.policies if self.side in policy.sides]
        if not policies:
            # Calico skips a tier that has no policy for this direction: its default does not apply.
            return
        end = _Label()
        for policy in policies:
            self._policy(tier, policy, end)
        staged = any(policy.staged for policy in policies)
        if tier.default_action is Action.PASS:
            key = self._key(tier.name, "Tier", tier.name, "pass", staged=staged)
            self._lines.append(_Line(Step.JUMP, ANYTHING, target=end, counter=key))
        else:
            key = self._key(tier.name, "Tier", tier.name, "deny", staged=staged)
            self._settle(Verdict.DENY, Reason.TIER_DEFAULT, tier.name, key)
        end.at = len(self._lines)

    def _policy(self, tier: AppliedTier, policy: AppliedPolicy, end: _Label) -> None:
        for index, rule in enumerate(policy.rules[self.side]):
            position = policy.position(self.side, index)
            ref = RuleRef(
                tier.name,
                policy.kind,
                policy.name,
                policy.namespace,
                index,
                self.side,
                rule.action,
                position.file,
                position.line,
            )
            self._rule(rule, ref, Reason.POLICY, end, staged=policy.staged)

    def _profile(self, profile: AppliedProfile) -> None:
        end = _Label()
        for index, rule in enumerate(profile.rules[self.side]):
            position = profile.position(self.side, index)
            ref = RuleRef(
                None,
                "Profile",
                profile.name,
                None,
                index,
                self.side,
                rule.action,
                position.file,
                position.line,
            )
            self._rule(rule, ref, Reason.PROFILE, end)
        end.at = len(self._lines)

    def _rule(self, rule: Rule, ref: RuleRef, reason: Reason, end: _Label, *, staged: bool = False) -> None:
        counter = self._counter(
            CounterKey(
                ref.tier or "", ref.kind, ref.full_name, str(ref.rule), str(self.side), rule.action.lower()
            ),
            staged=staged,
        )
        if rule.action is Action.LOG:
            ref = ref._replace(prefix=log_prefix(self.log_prefix, ref))
        after = _Label()
        lines = flatten(rule, self.book, ref.namespace)
        self._lines.extend(_Line(Step.JUMP, criteria, target=after) for criteria in lines.skips)
        for criteria in lines.matches:
            self._lines.append(self._line_of(rule.action, criteria, ref, reason, counter, after, end))
        after.at = len(self._lines)

    def _line_of(  # noqa: PLR0917 - one line of a rule with both places it may lead to
        self,
        action: Action,
        criteria: Mapping[int, Criteria],
        ref: RuleRef,
        reason: Reason,
        counter: int,
        after: _Label,
        end: _Label,
    ) -> _Line:
        if action is Action.LOG:
            return _Line(Step.LOG, criteria, target=after, ref=ref, counter=counter)
        if action is Action.PASS:
            return _Line(Step.JUMP, criteria, target=end, ref=ref, counter=counter)
        decision = Decision(
            _VERDICTS[action], reason, self.stage, self.side, self.endpoint, ref.tier, ref, counter
        )
        return _Line(Step.DECIDE, criteria, decision, ref=ref, counter=counter)

    def _settle(self, verdict: Verdict, reason: Reason, tier: str | None, counter: int) -> None:
        decision = Decision(verdict, reason, self.stage, self.side, self.endpoint, tier, None, counter)
        self._lines.append(_Line(Step.DECIDE, ANYTHING, decision, counter=counter))

    def _key(self, tier: str, kind: str, name: str, action: str, *, staged: bool = False) -> int:
        key = CounterKey(tier, kind, name, DEFAULT_RULE, str(self.side), action)
        return self._counter(key, staged=staged)

    def _counter(self, key: CounterKey, *, staged: bool) -> int:
        if self.tried is None:
            return self.counters[key]
        return self.tried[StagedKey(key)] if staged else -1

    def _chain(self) -> Chain:
        return Chain(
            FlatRule(
                line.step,
                line.criteria,
                line.decision,
                line.target.at if line.target else 0,
                line.ref,
                line.counter,
            )
            for line in self._lines
        )
