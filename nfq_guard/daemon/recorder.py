"""What a worker writes down of its verdicts, and how much of it.

Owns the worker's end of its ring. A denial is always worth writing down, but so many a
second at most while nobody watches, so that a flood of them costs next to nothing; what
is allowed, and which Log rules were met, only while somebody does. Must never raise, and
never change a verdict.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from nfq_guard.kernel.gates import DENY, REJECT
from nfq_guard.packet import Unparsable
from nfq_guard.stream import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from nfq_guard.daemon.ring import Writer
    from nfq_guard.engine.engine import Place
    from nfq_guard.engine.flowtable import Outcome
    from nfq_guard.packet import Data, UnparsableReason

    Ask = Callable[[Data, int, int], Outcome | Unparsable]

BURST, PER_SECOND = 100, 100
"""Denials that are written down while nobody watches. The deny log writes fewer lines than that."""


class Recorder:
    """Writes records under one ruleset at a time."""

    def __init__(self, writer: Writer, log_fault: Callable[[str], None]) -> None:
        """Nobody watches yet."""
        self._write = writer.write
        self._log_fault = log_fault
        self._every_denial = False
        self._logs = False
        self._at = 0.0
        """Monotonic time up to which `spare` was filled up."""
        self.generation = 0
        self.everything = False
        """Whether somebody watches what is allowed, or left to another stage, too."""
        self.spare: list[None] = [None] * BURST
        """One item for each denial that may still be written down. Always the same list: the packet path
        asks it, and nothing else, whether a denial is worth a call."""

    def watch(self, *, deny: bool, allow: bool, log: bool) -> None:
        """Write down from now on every denial, whatever does not deny, and Log rules that are met."""
        self._every_denial = deny
        self.everything = allow
        self._logs = log
        self.spare[:] = [None] * BURST

    def refill(self, now: float) -> None:
        """Let so many denials more be written down; `now` in seconds of a clock that does not go back."""
        due = int((now - self._at) * PER_SECOND)
        if due > 0:
            # What is not a whole one yet counts the next time: a busy worker asks every few milliseconds.
            self._at += due / PER_SECOND
            self.spare.extend([None] * min(due, BURST - len(self.spare)))

    def following(self, ask: Ask, where: bytes) -> Ask:
        """Return what asks the same, and writes down what is not `noted` by whoever asks."""
        write, note_of = self._write, self._note_of

        def follow(message: Data, at: int, end: int) -> Outcome | Unparsable:
            outcome = ask(message, at, end)
            if isinstance(outcome, Unparsable) or outcome.notable:
                return outcome
            # As `_judged` does it, without a call: it is done for every packet.
            try:
                write(time_ns(), outcome.note or note_of(outcome), where, message, at, end)
            except Exception as error:  # noqa: BLE001 - a record that cannot be written is worth no packet's verdict
                self._give_up(error)
            return outcome

        return follow

    def noted(self, outcome: Outcome, where: bytes, message: Data, at: int, end: int) -> None:
        """Write down what is notable: the Log rules that were met, then a denial, if there is one to spare."""
        if self._logs:
            for rule, counter in outcome.logs:
                self._put(counter, record.outcome(record.LOG, side=rule.side), where, message, at, end)
        if self._spares_one() if outcome.denies else self.everything:
            self._judged(outcome, where, message, at, end)

    def unreadable(
        self, reason: UnparsableReason | None, answer: int, where: bytes, message: Data, at: int, end: int
    ) -> None:
        """Write down what could not be judged, for a reason of its own (None: for a fault of ours)."""
        if answer == DENY:
            if self._spares_one():
                self._put(-1, record.outcome(record.DENY, unparsable=reason), where, message, at, end)
        elif self.everything:
            self._put(-1, record.outcome(record.UNJUDGED, unparsable=reason), where, message, at, end)

    def _spares_one(self) -> bool:
        if not self.spare:
            return False
        if not self._every_denial:
            self.spare.pop()
        return True

    def _judged(self, outcome: Outcome, where: bytes, message: Data, at: int, end: int) -> None:
        try:
            self._write(time_ns(), outcome.note or self._note_of(outcome), where, message, at, end)
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(error)

    def _note_of(self, outcome: Outcome) -> bytes:
        """Return what is written down of an outcome, and keep it there: it is judged under one ruleset only."""
        decision = outcome.match.decision
        if decision is None:
            said = record.outcome(record.PASS)
        else:
            rejected = outcome.answer == REJECT
            said = record.outcome(decision.verdict, decision.reason, decision.side, rejected=rejected)
        outcome.note = record.note(self.generation, outcome.match.decisive, said)
        return outcome.note

    def _put(self, counter: int, said: bytes, where: bytes, message: Data, at: int, end: int) -> None:
        try:
            self._write(
                time_ns(), record.note(self.generation, counter, said), where, message, at, end
            )
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._log_fault(f"no record: {type(error).__name__}: {error}")


def whereabouts(place: Place) -> bytes:
    """Return how records say where the packets of a place were judged."""
    gate = place.gate
    return record.place(gate.stage, gate.direction, place.in_interface, place.out_interface)
