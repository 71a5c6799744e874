"""From rule files to a ruleset for this host, and what is remembered between reloads.

Owns the inventory in force and the last host facts: a change of interfaces recompiles
the policy that is in force, never a file that was refused. Must never install anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.adapters.files import FileMemory, read_sources
from nfq_guard.compile import CompileMemory, compile_ruleset
from nfq_guard.model.problem import ConfigError, Severity
from nfq_guard.resources import LoadMemory, load
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nfq_guard.engine.chain import Chain, FlatRule
    from nfq_guard.engine.ruleset import GuardedEndpoint, Options, Ruleset
    from nfq_guard.model.decision import Decision, RuleRef
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
        self._files = FileMemory()
        self._decoded = LoadMemory(self.selectors)
        self._compiled = CompileMemory(self.selectors)

    def read(self, *, anew: bool = False) -> tuple[tuple[Source, ...], tuple[Problem, ...]]:
        """Return the rule files as they are now, and what could not be read.

        Files whose times and size say that they are as they were are not read again, unless
        everything is to be read `anew`.
        """
        if anew:
            self._files = FileMemory()
        sources, problems = read_sources(self._paths, memory=self._files)
        return tuple(sources), tuple(problems)

    def load(self) -> Loaded:
        """Return the rule files' content; ConfigError with every problem."""
        sources, problems = self.read()
        return self.decode(sources, problems)

    def decode(self, sources: Sequence[Source], problems: Sequence[Problem] = ()) -> Loaded:
        """Return what files say; ConfigError with every problem, those of reading included."""
        inventory, found = load(sources, self._decoded)
        everything = (*problems, *found)
        if any(problem.severity is Severity.ERROR for problem in everything):
            raise ConfigError(everything)
        return Loaded(tuple(sources), inventory, everything)

    def compile(self, loaded: Loaded, facts: HostFacts) -> Candidate:
        """Return the ruleset that enforces the files on this host; ConfigError if it cannot be."""
        compiled = compile_ruleset(loaded.inventory, facts, self._options, self._compiled)
        return Candidate(loaded, facts, compiled.ruleset, compiled.warnings)


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
            endpoint_states=(),
        )
        for ruleset in (one, other)
    ]
    return (
        plain[0] == plain[1]
        and _same_endpoints(one.by_interface, other.by_interface)
        and _same_endpoints(one.workloads, other.workloads)
        and _same_endpoint(one.wildcard, other.wildcard)
    )


def _same_endpoints(ones: Mapping[str, GuardedEndpoint], others: Mapping[str, GuardedEndpoint]) -> bool:
    return ones.keys() == others.keys() and all(_same_endpoint(one, others[at]) for at, one in ones.items())


def _same_endpoint(one: GuardedEndpoint | None, other: GuardedEndpoint | None) -> bool:
    if one is None or other is None or one is other:
        return one is other
    pending = [{place: tried.chain for place, tried in each.pending.items()} for each in (one, other)]
    return one.name == other.name and _same_chains(one.chains, other.chains) and _same_chains(*pending)


def _same_chains(
    ones: Mapping[tuple[Stage, Side], Chain], others: Mapping[tuple[Stage, Side], Chain]
) -> bool:
    return ones.keys() == others.keys() and all(_same_chain(one, others[at]) for at, one in ones.items())


def _same_chain(one: Chain, other: Chain) -> bool:
    if one is other:
        return True
    return len(one.rules) == len(other.rules) and all(map(_same_line, one.rules, other.rules))


def _same_line(one: FlatRule, other: FlatRule) -> bool:
    if one is other:
        return True
    return (
        (one.step, one.target, one.counter) == (other.step, other.target, other.counter)
        and _nowhere(one.ref) == _nowhere(other.ref)
        and _same_decision(one.decision, other.decision)
        and (one.criteria is other.criteria or one.criteria == other.criteria)
    )


def _same_decision(one: Decision | None, other: Decision | None) -> bool:
    if one is None or other is None or one is other:
        return one is other
    return one._replace(rule=None) == other._replace(rule=None) and _nowhere(one.rule) == _nowhere(other.rule)


def _nowhere(ref: RuleRef | None) -> RuleRef | None:
    return None if ref is None else ref._replace(file="", line=0)
