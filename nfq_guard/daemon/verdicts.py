"""From queued bytes to accept or drop, and the counting of it.

Owns the worker's engine and its shared counters. Must always return: whatever goes
wrong while judging, the fail mode is the answer. What is told of a verdict beside its
counters is the recorder's; an allowed packet that nobody watches costs nothing there.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from nfq_guard.adapters.nfqueue import COPY_RANGE
from nfq_guard.daemon.counters import (
    LATENCY_BASE,
    LATENCY_BOUNDS_NS,
    POLICY_BASE,
    UNPARSABLE_WORD,
    VERDICT_WORD,
    Word,
)
from nfq_guard.daemon.recorder import whereabouts
from nfq_guard.engine.chain import PORTED
from nfq_guard.engine.engine import TRIM_PACKETS, WAYS, Engine, Place
from nfq_guard.engine.flowtable import Outcome
from nfq_guard.engine.ruleset import DenyAction
from nfq_guard.kernel.gates import ALLOW, DENY, PASS, REJECT, UNJUDGED
from nfq_guard.kernel.learned import Learned
from nfq_guard.kernel.plan import FailMode
from nfq_guard.model.decision import Reason, Verdict
from nfq_guard.model.flow import ABSENT, Stage
from nfq_guard.packet import Unparsable, UnparsableReason, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nfq_guard.daemon.recorder import Ask, Recorder
    from nfq_guard.engine.chain import Match
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.decision import Decision, RuleRef
    from nfq_guard.model.flow import Gate
    from nfq_guard.packet import Data

    Answerer = Callable[[Data, int, int], int]
    LogRule = Callable[[RuleRef, Place, bytes], None]
    LogFault = Callable[[str], None]


_UNKNOWN = Unparsable(UnparsableReason.UNKNOWN_INTERFACE)
_CUT = frozenset(
    {
        UnparsableReason.BAD_IP_HEADER,
        UnparsableReason.BAD_EXTENSION_HEADER,
        UnparsableReason.TRUNCATED_TRANSPORT,
    }
)
"""What a packet whose headers go on behind what was copied looks like."""
_OF_RULES = frozenset({Reason.POLICY, Reason.PROFILE, Reason.TIER_DEFAULT, Reason.NO_MATCH})
"""Why a decision may be taught: each has a counter of its own."""
_TELLING = frozenset({Stage.NORMAL, Stage.FORWARD})
"""Stages at which a denied packet may be rejected."""


class Verdicts:
    """Judges packets under the installed ruleset, counts, and reports Log rules and faults."""

    def __init__(
        self,
        words: memoryview,
        recorder: Recorder,
        *,
        fail_mode: FailMode,
        table_size: int,
        place: Callable[[Gate, int, int], Place],
        log_rule: LogRule,
        log_fault: LogFault,
    ) -> None:
        """Write to these words, and records by this. Nothing can be judged before the first `install`.

        `place` says which place a gate and interface numbers are, as a queue's judge is told them.
        """
        self._words = words
        self._recorder = recorder
        self._unjudged = UNJUDGED if fail_mode is FailMode.OPEN else DENY
        self._table_size = table_size
        self._log_rule = log_rule
        self._log_fault = log_fault
        self._place = place
        self._engine: Engine | None = None
        self._rejects = False
        self._slots: tuple[int, ...] = ()
        """Of each counter of the ruleset; -1: not counted."""
        self._asks: dict[tuple[int, int, int], Answerer] = {}
        """By identity of the gate (constants of kernel/gates.py) and interface numbers."""
        self._met: list[Outcome] = []
        """Of the packets judged since the shared words were last written."""
        self._times: list[int] = []
        """Nanoseconds that those of them took that were timed."""
        self._judged = 0
        """Packets that this engine judged."""
        self._untrimmed = 0
        """Packets since the engine's memory was looked at."""
        self._hits, self._misses = words[Word.FLOW_HITS], words[Word.FLOW_MISSES]
        """Of the engines before this one."""

    def install(self, ruleset: Ruleset, slots: tuple[int, ...]) -> None:
        """Judge by this from the next packet on; nothing is remembered of the packets before."""
        self.publish(0.0)
        self._hits, self._misses = self._words[Word.FLOW_HITS], self._words[Word.FLOW_MISSES]
        self._judged = 0
        self._slots = slots
        self._recorder.generation = ruleset.generation
        self._rejects = ruleset.options.deny_action is DenyAction.REJECT
        self.forget_interfaces()
        self._engine = Engine(ruleset, self._prepare, self._table_size)
        self._words[Word.GENERATION] = ruleset.generation
        self.publish(0.0)

    def publish(self, now: float) -> None:
        """Write what was counted; `now` in seconds of a clock that does not go back."""
        words, engine, met = self._words, self._engine, self._met
        if met:
            self._judged += len(met)
            self._untrimmed += len(met)
            words[Word.PACKETS] += len(met)
            # One that is alone is spared the counting: most are, but in a flood.
            for outcome, times in ((met[0], 1),) if len(met) == 1 else Counter(met).items():
                for word in outcome.words:
                    words[word] += times
            met.clear()
        for elapsed in self._times:
            words[LATENCY_BASE + bisect_left(LATENCY_BOUNDS_NS, elapsed)] += 1
            words[Word.LATENCY_SUM_NS] += elapsed
        self._times.clear()
        self._recorder.refill(now)
        if engine is not None:
            if self._untrimmed >= TRIM_PACKETS and not engine.trim():
                self._untrimmed = 0
            engine.table.age(now)
            words[Word.FLOW_HITS] = self._hits + engine.table.hits
            words[Word.FLOW_MISSES] = self._misses + self._judged - engine.table.hits
            words[Word.FLOW_ENTRIES] = engine.table.entries

    def remembered(self) -> list[dict[Any, Any]]:
        """Return what is remembered of packets, to be freed when another ruleset is installed."""
        return [] if self._engine is None else self._engine.remembered()

    def forget_interfaces(self) -> None:
        """Ask anew what interfaces are called: one came, went or has another name."""
        self._asks.clear()

    def watch(self, *, deny: bool, allow: bool, log: bool) -> None:
        """Write down from now on what somebody wishes; whatever that is, some denials."""
        self._recorder.watch(deny=deny, allow=allow, log=log)
        self._asks.clear()

    def judge(self, gate: Gate, inward: int, outward: int) -> Answerer:
        """Return what answers the kernel about packets of a place: good until the next `install` or renaming.

        It never raises. PASS where the place's stage has no opinion; UNJUDGED where the fail mode lets by
        what cannot be judged.
        """
        key = id(gate), inward, outward
        found = self._asks.get(key)
        if found is None:
            try:
                found = self._make(gate, inward, outward)
            except Exception as error:  # noqa: BLE001 - as below
                # Not kept: the next packets may be luckier.
                return self._answerer(Place(gate), _broken(f"{type(error).__name__}: {error}"))
            if len(self._asks) >= WAYS:
                self._asks.clear()
            self._asks[key] = found
        return found

    def _make(self, gate: Gate, inward: int, outward: int) -> Answerer:
        assert self._engine is not None, "a worker binds its queue after its first ruleset"  # noqa: S101
        place = self._place(gate, inward, outward)
        way = self._engine.way(place)
        # The kernel queues for guarded interfaces only: where nobody governs, one of us is behind the times.
        return self._answerer(place, _nobody if way is None else way.judge)

    def _answerer(self, place: Place, ask: Ask) -> Answerer:
        met, words, spare, here = self._met, self._words, self._recorder.spare, whereabouts(place)
        times, clock = self._times, time.perf_counter_ns
        if self._recorder.everything:
            ask = self._recorder.following(ask, here)

        def answer(message: Data, at: int, end: int) -> int:
            try:
                if met:
                    outcome = ask(message, at, end)
                else:
                    began = clock()
                    outcome = ask(message, at, end)
                    times.append(clock() - began)
                if isinstance(outcome, Unparsable):
                    words[UNPARSABLE_WORD[outcome.reason]] += 1
                    unreadable = self._unreadable(outcome.reason, end - at)
                    return self._unasked(outcome.reason, unreadable, here, message, at, end)
                met.append(outcome)
                if outcome.notable and (spare or outcome.logs):
                    for logged in outcome.logs:
                        self._log_rule(logged.rule, place, bytes(message[at:end]))
                    self._recorder.noted(outcome, here, message, at, end)
            except Exception as error:  # noqa: BLE001 - the packet loop's boundary: an exception is a packet without verdict
                words[Word.ENGINE_ERRORS] += 1
                self._log_fault(f"{type(error).__name__}: {error}")
                return self._unasked(None, self._unjudged, here, message, at, end)
            return outcome.answer

        return answer

    def _unreadable(self, reason: UnparsableReason, length: int) -> int:
        """Return the answer about a packet whose fields cannot be told.

        The fail mode is for faults of ours. Whoever piles up headers until a port is out of sight does
        it to get past a filter (RFC 7112): that is denied in either mode.
        """
        cut = reason in _CUT and length >= COPY_RANGE
        hidden = cut or reason is UnparsableReason.TOO_MANY_EXTENSION_HEADERS
        return DENY if hidden else self._unjudged

    def _unasked(
        self, reason: UnparsableReason | None, answer: int, here: bytes, message: Data, at: int, end: int
    ) -> int:
        """Count, and return, the answer about a packet that no rule was asked about."""
        self._words[Word.PACKETS] += 1
        if answer == DENY:
            self._words[Word.DENIED] += 1
        self._recorder.unreadable(reason, answer, here, message, at, end)
        return answer

    def _prepare(self, place: Place, match: Match, by_tuple: bool) -> Outcome:  # noqa: FBT001 - see engine/memory.py
        """Return what becomes of packets with this match there, and what is counted."""
        words = [POLICY_BASE + self._slots[index] for index in match.counters if self._slots[index] >= 0]
        decision = match.decision
        if decision is None:
            return Outcome(match, PASS, tuple(words), again=True)
        side, stage = decision.side or place.side, place.gate.stage
        words.append(VERDICT_WORD[decision.reason, decision.verdict, side, stage])
        if decision.verdict is Verdict.DENY:
            words.append(Word.DENIED)
            denial = self._denial(decision, stage)
            return Outcome(
                match,
                denial,
                tuple(words),
                again=True,
                learn=self._teachable(place, match, by_tuple),
                denies=True,
            )
        # The kernel remembers connections that are allowed for good: their packets do not come again.
        again = stage is Stage.UNTRACKED
        learn = self._teachable(place, match, by_tuple)
        return Outcome(match, ALLOW, tuple(words), again=again, learn=learn)

    def _teachable(self, place: Place, match: Match, by_tuple: bool) -> int:  # noqa: FBT001 - as above
        """Return the slot that counts a match if the kernel decides alike by itself; -1: it cannot.

        It can for the host's own traffic, where one rule decided, counted and logged nothing else.
        """
        own = place.gate.stage is Stage.NORMAL and match.decision is not None
        if not (own and by_tuple and len(match.counters) == 1) or match.logs:
            return -1
        # A workload's packet to its host has met its endpoint's policy and the host's action.
        assert match.decision is not None, "own"  # noqa: S101
        return self._slots[match.counters[0]] if match.decision.reason in _OF_RULES else -1

    def teach(
        self, gate: Gate, inward: int, outward: int, message: Data, at: int, end: int
    ) -> Learned | None:
        """Return what the kernel may be taught of a packet that was judged, None for nothing."""
        packet = parse(message, at, end)
        if isinstance(packet, Unparsable) or packet.protocol not in PORTED or packet.dport == ABSENT:
            return None
        assert self._engine is not None, "it was judged"  # noqa: S101
        place = self._place(gate, inward, outward)
        way = self._engine.way(place)
        if way is None:
            return None
        outcome = way.look(packet)
        decision = outcome.match.decision
        if outcome.learn < 0 or decision is None:
            return None
        family, protocol, src, dst, _, dport, _, _ = packet
        return Learned(
            place.side, place.interface, family, protocol, src, dst, dport, decision.verdict, outcome.learn
        )

    def _denial(self, decision: Decision, stage: Stage) -> int:
        # Ahead of NAT, and where a workload's action says Drop, nobody is told.
        tells = stage in _TELLING and decision.reason is not Reason.ENDPOINT_TO_HOST
        return REJECT if self._rejects and tells else DENY


def _broken(why: str) -> Ask:
    def ask(_message: Data, _at: int, _end: int) -> Outcome:
        # A new one each time: an exception that is raised again holds on to every place it was raised at.
        raise RuntimeError(why)

    return ask


def _nobody(_message: Data, _at: int, _end: int) -> Unparsable:
    return _UNKNOWN
