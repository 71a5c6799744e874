"""The policy in force: from rule files and host to the guard, and what stays when that fails.

Owns which files are in force and which were tried last. Whatever is wrong with files,
kernel or workers, the policy before stays. Must never wait for events: it is called.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nfq_guard.compile.warnings import GOVERNS_NOTHING
from nfq_guard.daemon.enforcer import NotEnforcedError
from nfq_guard.daemon.logs import Level
from nfq_guard.daemon.openings import Openings
from nfq_guard.daemon.policy import same_policy
from nfq_guard.daemon.whole import UnfinishedError, emptied
from nfq_guard.model.problem import ConfigError, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nfq_guard.daemon.guard import Guard
    from nfq_guard.daemon.logs import Log
    from nfq_guard.daemon.policy import Candidate, Loaded
    from nfq_guard.daemon.whole import WholeFiles
    from nfq_guard.model.host import HostFacts
    from nfq_guard.model.problem import Problem
    from nfq_guard.resources.source import Source

_NOTHING_GUARDED = frozenset({"other-node", "no-endpoint"})
"""Warnings with which policies are loaded and no interface is guarded."""


class Keeper:
    """Brings policy into force, and remembers what is."""

    def __init__(self, guard: Guard, files: WholeFiles, retry_later: Callable[[], None]) -> None:
        """`retry_later` is called where the same may work soon: the kernel or a worker refused."""
        self._guard = guard
        self._files = files
        self._log = guard.log
        self._retry_later = retry_later
        self._openings = Openings(guard.log)
        self._loaded: Loaded | None = None
        """Files in force."""
        self._seen: tuple[tuple[Source, ...], tuple[Problem, ...]] | None = None
        """The files last tried, good or bad, and what could not be read of them."""

    def begin(self, facts: HostFacts) -> bool:
        """Bring the first policy into force: of the operator's files, else the last good ones.

        False where there are neither; the problems are in the log.
        """
        candidate = self._load(facts) or self._load_last_good(facts)
        if candidate is None:
            return False
        self._guard.begin(candidate.ruleset)
        self._in_force(candidate)
        self._note_node(candidate)
        return True

    def _load(self, facts: HostFacts) -> Candidate | None:
        compiler = self._guard.compiler
        try:
            sources, problems = self._seen = self._files.read(anew=True)
            problems += emptied(lambda: self._guard.load_snapshot() or (), sources)
            return compiler.compile(compiler.decode(sources, problems), facts)
        except Exception as error:  # noqa: BLE001 - rules that break us are as good as invalid
            self._guard.telemetry.load_errors = self._reasons(error)
            return None

    def _load_last_good(self, facts: HostFacts) -> Candidate | None:
        saved = self._guard.load_snapshot()
        if saved is None:
            self._log.error("refusing to start", reason="the rules are invalid, no last good policy is kept")
            return None
        try:
            candidate = self._guard.compiler.compile(self._guard.compiler.decode(saved), facts)
        except Exception as error:  # noqa: BLE001 - as above
            self._reasons(error)
            self._log.error("refusing to start", reason="the rules and the last good policy are invalid")
            return None
        self._log.error("the rules are invalid: starting with the last good policy")
        return candidate

    def _reasons(self, error: Exception) -> tuple[str, ...]:
        """Log why files cannot be brought to bear, and return it; a warning is no reason."""
        if isinstance(error, ConfigError):
            report(self._log, error.problems)
            return tuple(str(each) for each in error.problems if each.severity is Severity.ERROR)
        why = f"{type(error).__name__}: {error}"
        self._log.error("the rules hit a bug of nfq-guard", error=why)
        return (f"internal error: {why}",)

    def reload(self, facts: HostFacts, *, forced: bool = False) -> None:
        """Read the files; bring them into force if they differ from those tried last."""
        compiler = self._guard.compiler
        try:
            seen = self._files.read(anew=forced)
        except UnfinishedError as unfinished:
            if forced or unfinished.problems:
                self._postpone(unfinished)
            return
        if seen == self._seen and not forced:
            return
        sources, problems = self._seen = seen
        problems += emptied(lambda: self._present().sources, sources)
        self._guard.telemetry.load_errors = self._attempt(lambda: compiler.decode(sources, problems), facts)

    def _postpone(self, unfinished: UnfinishedError) -> None:
        """Say that files are not read, and why; whoever finishes them will be heard."""
        reasons = tuple(map(str, unfinished.problems)) or ("the rule files change while they are read",)
        # Whatever is read next is tried, be it what is in force: it is whole again.
        self._seen = None
        if reasons != self._guard.telemetry.load_errors:
            self._guard.telemetry.load_errors = reasons
            self._log.warning(
                "change not read yet, the policy before stays in force", first=reasons[0], all=len(reasons)
            )

    def recompile(self, facts: HostFacts) -> None:
        """Bring the files in force to bear on the host as it is now."""
        errors = self._attempt(self._present, facts)
        if errors:
            self._guard.telemetry.load_errors = errors

    def _present(self) -> Loaded:
        assert self._loaded is not None, "begin comes first"  # noqa: S101
        return self._loaded

    def _attempt(self, load: Callable[[], Loaded], facts: HostFacts) -> tuple[str, ...]:
        """Compile files for a host and bring them into force; return why not.

        The boundary that no fault of rules, kernel, workers or ours gets past.
        """
        try:
            self._change(self._guard.compiler.compile(load(), facts))
        except NotEnforcedError as error:
            reasons: tuple[str, ...] = (str(error),)
            self._retry_later()
        except Exception as error:  # noqa: BLE001 - see the docstring
            reasons = self._reasons(error)
        else:
            return ()
        self._log.error(
            "change refused, the policy before stays in force", first=reasons[0], all=len(reasons)
        )
        return reasons

    def _change(self, candidate: Candidate) -> None:
        self._bring(candidate)
        self._note_node(candidate)

    def _note_node(self, candidate: Candidate) -> None:
        elsewhere = any(problem.code in _NOTHING_GUARDED for problem in candidate.warnings)
        self._guard.telemetry.other_node = candidate.facts.node if elsewhere else ""

    def _bring(self, candidate: Candidate) -> None:
        enforcer = self._guard.enforcer
        now = enforcer.ruleset
        if now is None or not same_policy(now, candidate.ruleset):
            enforcer.change(candidate.ruleset)
        elif candidate.loaded is self._loaded and now.endpoint_states == candidate.ruleset.endpoint_states:
            return
        else:
            enforcer.describe(candidate.ruleset)
        self._in_force(candidate)

    def _in_force(self, candidate: Candidate) -> None:
        guard = self._guard
        guard.telemetry.ruleset = guard.enforcer.ruleset
        guard.telemetry.sources = candidate.loaded.sources
        before, self._loaded = self._loaded, candidate.loaded
        if candidate.loaded is not before:
            report(self._log, (each for each in candidate.warnings if each.code != GOVERNS_NOTHING))
            guard.telemetry.loaded_at = time.time()
        report(self._log, self._openings.fresh(candidate))
        self._openings.lost(candidate)
        self._log.info(
            "policy in force",
            generation=guard.telemetry.generation,
            endpoints=len(candidate.ruleset.endpoint_status),
            interfaces=",".join(candidate.ruleset.governed) or "-",
            rules=len(candidate.ruleset.counter_keys),
            staged=candidate.ruleset.staged_policies,
        )
        if guard.slots.uncounted:
            self._log.warning("more rules than counters", uncounted=guard.slots.uncounted)
        if before is None or candidate.loaded.sources != before.sources:
            # Last: a disk may take its time.
            guard.save_snapshot(candidate.loaded.sources)


def report(log: Log, problems: Iterable[Problem]) -> None:
    """Write a line for each problem of the rules."""
    for problem in problems:
        level = Level.ERROR if problem.severity is Severity.ERROR else Level.WARNING
        about = {"kind": problem.kind, "name": problem.name, "field": problem.field}
        fields: dict[str, object] = {
            "at": problem.position,
            "code": problem.code,
            "problem": problem.message,
        }
        log.write(level, "rules", fields | {name: value for name, value in about.items() if value})
