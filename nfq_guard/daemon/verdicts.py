"""From queued bytes to accept or drop, and the counting of it.

Owns the worker's engine and its shared counters. Must always return: whatever goes
wrong while judging, the fail mode is the answer.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import TYPE_CHECKING

from nfq_guard.daemon.counters import (
    LATENCY_BASE,
    LATENCY_BOUNDS_NS,
    POLICY_BASE,
    SAMPLED,
    UNPARSABLE_WORD,
    VERDICT_WORD,
    Word,
)
from nfq_guard.engine.engine import Engine
from nfq_guard.engine.ruleset import DenyAction
from nfq_guard.kernel.gates import ALLOW, DENY, PASS, REJECT, UNJUDGED
from nfq_guard.kernel.plan import FailMode
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import Stage
from nfq_guard.packet import Unparsable

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.engine.engine import Place
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.decision import Decision, RuleRef

    LogRule = Callable[[RuleRef, Place, bytes], None]
    LogFault = Callable[[str], None]


_TELLING = frozenset({Stage.NORMAL, Stage.FORWARD})
"""Stages at which a denied packet may be rejected."""


class Verdicts:
    """Judges packets under the installed ruleset, counts, and reports Log rules and faults."""

    def __init__(
        self,
        words: memoryview,
        *,
        fail_mode: FailMode,
        table_size: int,
        log_rule: LogRule,
        log_fault: LogFault,
    ) -> None:
        """Write to these words. Nothing can be judged before the first `install`."""
        self._words = words
        self._unjudged = UNJUDGED if fail_mode is FailMode.OPEN else DENY
        self._table_size = table_size
        self._log_rule = log_rule
        self._log_fault = log_fault
        self._engine: Engine | None = None
        self._rejects = False
        self._places: tuple[int, ...] = ()
        """Word of each counter of the ruleset; -1: not counted."""
        self._hits, self._misses = words[Word.FLOW_HITS], words[Word.FLOW_MISSES]
        """Of the engines before this one."""
        self._turn = -1

    def install(self, ruleset: Ruleset, slots: tuple[int, ...]) -> None:
        """Judge by this from the next packet on; the flow table starts empty."""
        self.publish()
        if self._engine is not None:
            self._hits += self._engine.hits
            self._misses += self._engine.misses
        self._places = tuple(POLICY_BASE + slot if slot >= 0 else -1 for slot in slots)
        self._engine = Engine(ruleset, self._table_size)
        self._rejects = ruleset.options.deny_action is DenyAction.REJECT
        self._words[Word.GENERATION] = ruleset.generation
        self.publish()

    def publish(self) -> None:
        """Write the engine's own figures to the shared words; cheap, but not for every packet."""
        if self._engine is not None:
            self._words[Word.FLOW_HITS] = self._hits + self._engine.hits
            self._words[Word.FLOW_MISSES] = self._misses + self._engine.misses
            self._words[Word.FLOW_ENTRIES] = self._engine.entries

    def governs(self, place: Place) -> bool:
        """Return whether anything governs an interface of this name there."""
        return self._engine is not None and self._engine.knows(place)

    def judge(self, place: Place, data: bytes) -> int:
        """Return the answer to the kernel. Never raises.

        PASS where the place's stage has no opinion; UNJUDGED where the fail mode lets by what
        cannot be judged.
        """
        try:
            self._turn += 1
            if self._turn % SAMPLED:
                return self._judge(place, data)
            began = time.perf_counter_ns()
            answer = self._judge(place, data)
            self._time(time.perf_counter_ns() - began)
        except Exception as error:  # noqa: BLE001 - the packet loop's boundary: an exception is a packet without verdict
            self._words[Word.ENGINE_ERRORS] += 1
            self._log_fault(f"{type(error).__name__}: {error}")
            return self._unjudged
        return answer

    def _judge(self, place: Place, data: bytes) -> int:
        assert self._engine is not None, "a worker binds its queue after its first ruleset"  # noqa: S101
        words = self._words
        words[Word.PACKETS] += 1
        match = self._engine.judge(place, data)
        if isinstance(match, Unparsable):
            words[UNPARSABLE_WORD[match.reason]] += 1
            return self._unjudged
        for index in match.counters:
            word = self._places[index]
            if word >= 0:
                words[word] += 1
        for rule in match.logs:
            self._log_rule(rule, place, data)
        decision = match.decision
        if decision is None:
            return PASS
        side, stage = decision.side or place.side, place.gate.stage
        words[VERDICT_WORD[decision.reason, decision.verdict, side, stage]] += 1
        return ALLOW if decision.verdict is Verdict.ALLOW else self._denial(decision, stage)

    def _denial(self, decision: Decision, stage: Stage) -> int:
        # Ahead of NAT, and where a workload's action says Drop, nobody is told.
        tells = stage in _TELLING and decision.reason is not Reason.ENDPOINT_TO_HOST
        return REJECT if self._rejects and tells else DENY

    def _time(self, elapsed: int) -> None:
        self._words[LATENCY_BASE + bisect_left(LATENCY_BOUNDS_NS, elapsed)] += 1
        self._words[Word.LATENCY_SUM_NS] += elapsed
