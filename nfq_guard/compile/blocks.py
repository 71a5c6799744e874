"""The lines of one policy or profile in one chain, remembered while they would come out the same.

Owns the lines that rules become in a place, and what they depend on. Must never know what
stands around them but where they begin and end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.compile.felix import log_prefix
from nfq_guard.engine.chain import FlatRule, Step
from nfq_guard.engine.ruleset import CounterKey
from nfq_guard.model.decision import Action, Decision, Reason, RuleRef, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nfq_guard.compile.flattened import Flattened
    from nfq_guard.compile.policies import AppliedPolicy, AppliedProfile
    from nfq_guard.compile.rules import RuleLines
    from nfq_guard.engine.chain import Chain
    from nfq_guard.model.flow import Side, Stage

VERDICTS = {Action.ALLOW: Verdict.ALLOW, Action.DENY: Verdict.DENY}


class Place(NamedTuple):
    """Which chain it is."""

    kind: str
    """Of the endpoint: HostEndpoint or WorkloadEndpoint."""
    endpoint: str
    stage: Stage
    side: Side
    tried: bool = False
    """Staged policies are among those given, as if they were live."""


class Ends(NamedTuple):
    """Where lines stand."""

    first: int
    behind: int
    """Where a Pass leads: behind the tier, or the profile."""


class Titles(NamedTuple):
    """What a policy's or profile's rules are called: apart from where they stand, and from what they select."""

    applied: AppliedPolicy | AppliedProfile
    tier: str | None
    prefix: str
    refs: tuple[RuleRef, ...]
    keys: tuple[CounterKey, ...]
    """Of the counters, rule by rule."""

    @classmethod
    def of(
        cls, applied: AppliedPolicy | AppliedProfile, kind: str, tier: str | None, side: Side, prefix: str
    ) -> Titles:
        """Work out the titles of the rules of one side. `prefix`: FelixConfiguration logPrefix."""
        refs = tuple(_refs(applied, kind, tier, side, prefix))
        keys = tuple(
            CounterKey(ref.tier or "", ref.kind, ref.full_name, str(ref.rule), str(side), ref.action.lower())
            for ref in refs
        )
        return cls(applied, tier, prefix, refs, keys)

    def serve(self, applied: AppliedPolicy | AppliedProfile, tier: str | None, prefix: str) -> bool:
        """Return whether they are those of this very policy, and would come out the same."""
        return self.applied is applied and self.tier == tier and self.prefix == prefix


def _refs(
    applied: AppliedPolicy | AppliedProfile, kind: str, tier: str | None, side: Side, prefix: str
) -> Iterator[RuleRef]:
    for index, rule in enumerate(applied.rules[side]):
        position = applied.position(side, index)
        ref = RuleRef(
            tier,
            kind,
            applied.name,
            applied.namespace,
            index,
            side,
            rule.action,
            position.file,
            position.line,
        )
        yield ref._replace(prefix=log_prefix(prefix, ref)) if rule.action is Action.LOG else ref


class Block(NamedTuple):
    """A policy's or profile's lines in a chain, and all that they were made of."""

    titles: Titles
    flat: Flattened
    counters: tuple[int, ...]
    """By rule."""
    ends: Ends
    lines: tuple[FlatRule, ...]
    moves: bool
    """Some line leads elsewhere: all depends on where they stand."""

    def serves(self, titles: Titles, flat: Flattened, counters: tuple[int, ...], ends: Ends) -> bool:
        """Return whether the lines would come out the same."""
        return (
            self.titles is titles
            and self.flat is flat
            and self.counters == counters
            and (self.ends == ends or not self.moves)
        )


def write(
    place: Place, reason: Reason, titles: Titles, flat: Flattened, counters: tuple[int, ...], ends: Ends
) -> Block:
    """Return the lines of a policy's or profile's rules in a chain."""
    lines: list[FlatRule] = []
    for ref, rule, counter in zip(titles.refs, flat.rules, counters, strict=True):
        lines.extend(_lines(place, reason, ref, rule, counter, ends._replace(first=ends.first + len(lines))))
    moves = any(line.step is not Step.DECIDE for line in lines)
    return Block(titles, flat, counters, ends, tuple(lines), moves)


def _lines(
    place: Place, reason: Reason, ref: RuleRef, rule: RuleLines, counter: int, ends: Ends
) -> Iterator[FlatRule]:
    after = ends.first + len(rule.skips) + len(rule.matches)
    for criteria in rule.skips:
        yield FlatRule(Step.JUMP, criteria, target=after)
    step, decision, target = Step.DECIDE, None, 0
    if ref.action is Action.LOG:
        step, target = Step.LOG, after
    elif ref.action is Action.PASS:
        step, target = Step.JUMP, ends.behind
    else:
        verdict = VERDICTS[ref.action]
        decision = Decision(verdict, reason, place.stage, place.side, place.endpoint, ref.tier, ref, counter)
    for criteria in rule.matches:
        yield FlatRule(step, criteria, decision, target, ref, counter)


class Laid(NamedTuple):
    """A chain, and the blocks that it was laid of."""

    chain: Chain
    blocks: Mapping[tuple[str | None, str, str | None, str], Block]
    """By tier, kind, namespace and name."""


class ChainMemory:
    """What one compilation leaves for the next: what it was about, and no more."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.before: dict[Place, Laid] = {}
        self.now: dict[Place, Laid] = {}

    def begin_round(self) -> None:
        """Forget the chains of the round before the one that ends here."""
        self.before, self.now = self.now, {}
