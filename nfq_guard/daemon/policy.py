"""From rule files to a ruleset for this host, and what is remembered between reloads.

Owns the inventory in force and the last host facts: a change of interfaces recompiles
the policy that is in force, never a file that was refused. Must never install anything.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard import resources
from nfq_guard.adapters.files import read_sources
from nfq_guard.compile import compile_ruleset
from nfq_guard.model.problem import ConfigError, Severity
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nfq_guard.engine.chain import Chain, FlatRule
    from nfq_guard.engine.ruleset import GuardedEndpoint, Options, Ruleset
    from nfq_guard.model.decision import RuleRef
    from nfq_guard.model.flow import Side, Stage
    from nfq_guard.model.host import HostFacts
    from nfq_guard.model.problem import Problem
    from nfq_guard.resources import Inventory
    from nfq_guard.resources.source import Source


class Loaded(NamedTuple):
    """Files that are valid, and what they say."""

    sources: tuple[Source, ...]
    inventory: Inventory
    warnings: tuple[Problem, ...]


class Candidate(NamedTuple):
    """A policy compiled for the host as it is."""

    loaded: Loaded
    facts: HostFacts
    ruleset: Ruleset
    warnings: tuple[Problem, ...]


class Compiler:
    """Reads and compiles; keeps only what makes the next time cheaper."""

    def __init__(self, paths: Sequence[str], options: Options) -> None:
        """Read these paths; `options` are the program's share in verdicts."""
        self._paths = tuple(paths)
        self._options = options
        self.selectors = SelectorCache()

    def read(self) -> tuple[tuple[Source, ...], tuple[Problem, ...]]:
        """Return the rule files as they are now, and what could not be read."""
        sources, problems = read_sources(self._paths)
        return tuple(sources), tuple(problems)

    def load(self) -> Loaded:
        """Return the rule files' content; ConfigError with every problem."""
        sources, problems = self.read()
        return self.decode(sources, problems)

    def decode(self, sources: Sequence[Source], problems: Sequence[Problem] = ()) -> Loaded:
        """Return what files say; ConfigError with every problem, those of reading included."""
        inventory, found = resources.load(sources)
        everything = (*problems, *found)
        if any(problem.severity is Severity.ERROR for problem in everything):
            raise ConfigError(everything)
        return Loaded(tuple(sources), inventory, everything)

    def compile(self, loaded: Loaded, facts: HostFacts) -> Candidate:
        """Return the ruleset that enforces the files on this host; ConfigError if it cannot be."""
        compiled = compile_ruleset(loaded.inventory, facts, self._options, self.selectors)
        return Candidate(loaded, facts, compiled.ruleset, compiled.warnings)


def digest(sources: Sequence[Source], problems: Sequence[Problem] = ()) -> bytes:
    """Return a hash that changes with any name, content or reading problem."""
    state = hashlib.sha256()
    for source in sources:
        for part in (source.name.encode(errors="surrogateescape"), source.data):
            state.update(len(part).to_bytes(8))
            state.update(part)
    state.update(repr(problems).encode(errors="replace"))
    return state.digest()


def same_policy(one: Ruleset, other: Ruleset) -> bool:
    """Return whether two rulesets decide and count alike, staged policies included.

    Generations, the state of endpoints and the lines where rules stand make no difference.
    """
    plain = [
        replace(
            ruleset,
            generation=0,
            governed={},
            expected={},
            wildcard=None,
            workloads={},
            endpoint_status={},
        )
        for ruleset in (one, other)
    ]
    return plain[0] == plain[1] and _content(one) == _content(other)


def _content(ruleset: Ruleset) -> object:
    wildcard = None if ruleset.wildcard is None else _rules(ruleset.wildcard)
    guarded = {name: _rules(endpoint) for name, endpoint in ruleset.by_interface.items()}
    workloads = {name: _rules(endpoint) for name, endpoint in ruleset.workloads.items()}
    return guarded, wildcard, workloads


def _rules(endpoint: GuardedEndpoint) -> object:
    pending = {place: one.chain for place, one in endpoint.pending.items()}
    return endpoint.name, _plain(endpoint.chains), _plain(pending)


def _plain(chains: Mapping[tuple[Stage, Side], Chain]) -> object:
    return {place: tuple(map(_without_lines, chain.rules)) for place, chain in chains.items()}


def _without_lines(rule: FlatRule) -> FlatRule:
    decision = rule.decision
    if decision is not None:
        decision = decision._replace(rule=_nowhere(decision.rule))
    return replace(rule, ref=_nowhere(rule.ref), decision=decision)


def _nowhere(ref: RuleRef | None) -> RuleRef | None:
    return None if ref is None else ref._replace(file="", line=0)
