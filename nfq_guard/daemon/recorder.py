"""What a worker writes down of its verdicts, and how much of it.

Owns the worker's end of its rings. A denial is always worth writing down, in that of the deny
log and in that of watchers, but so many a second at most, so that a flood of them costs next
to nothing; all of them, what is allowed, and which Log rules were met, only while somebody
watches, and for watchers alone. Must never raise, and never change a verdict.
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
"""Denials that are written down, whoever watches. The deny log writes fewer lines than that."""


class Recorder:
    """Writes records under one ruleset at a time."""

    def __init__(self, watched: Writer, denials: Writer, log_fault: Callable[[str], None]) -> None:
        """Write for watchers, and for the deny log. Nobody watches yet."""
        self._write = watched.write
        self._write_denial = denials.write
        self._log_fault = log_fault
        self._every_denial = False
        self._logs = False
        self._at = 0.0
        """Monotonic time up to which `_left` was filled up."""
        self._left = BURST
        """Denials that may still be written down though nobody watches."""
        self.generation = 0
        self.everything = False
        """Whether somebody watches what is allowed, or left to another stage, too."""
        self.spare: list[None] = [None]
        """Empty while no denial is written down. Always the same list: the packet path asks it, and nothing
        else, whether a denial is worth a call."""

    def watch(self, *, deny: bool, allow: bool, log: bool) -> None:
        """Write down from now on every denial, whatever does not deny, and Log rules that are met."""
        self._every_denial = deny
        self.everything = allow
        self._logs = log
        self._weigh()

    def refill(self, now: float) -> None:
        """Let so many denials more be written down; `now` in seconds of a clock that does not go back."""
        due = int((now - self._at) * PER_SECOND)
        if due > 0:
            # What is not a whole one yet counts the next time: a busy worker asks every few milliseconds.
            self._at += due / PER_SECOND
            self._left = min(BURST, self._left + due)
            self._weigh()

    def _weigh(self) -> None:
        self.spare[:] = [None] if self._every_denial or self._left else []

    def following(self, ask: Ask, where: bytes) -> Ask:
        """Return what asks the same, and writes down what is not `noted` by whoever asks."""
        write, note_of, give_up = self._write, self._note_of, self._give_up

        def follow(message: Data, at: int, end: int) -> Outcome | Unparsable:
            outcome = ask(message, at, end)
            if isinstance(outcome, Unparsable) or outcome.notable:
                return outcome
            try:
                write(time_ns(), outcome.note or note_of(outcome), where, message, at, end)
            except Exception as error:  # noqa: BLE001 - a record that cannot be written is worth no packet's verdict
                give_up(error)
            return outcome

        return follow

    def noted(self, outcome: Outcome, where: bytes, message: Data, at: int, end: int) -> None:
        """Write down what is notable: the Log rules that were met, then the verdict, a denial if it may be."""
        try:
            if self._logs:
                for rule, counter in outcome.logs:
                    said = self._said(counter, record.outcome(record.LOG, side=rule.side))
                    self._write(time_ns(), said, where, message, at, end)
            if outcome.denies:
                self._deny(outcome.note or self._note_of(outcome), where, message, at, end)
            elif self.everything:
                self._write(time_ns(), outcome.note or self._note_of(outcome), where, message, at, end)
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(error)

    def unreadable(
        self, reason: UnparsableReason | None, answer: int, where: bytes, message: Data, at: int, end: int
    ) -> None:
        """Write down what could not be judged, for a reason of its own (None: for a fault of ours)."""
        try:
            if answer == DENY:
                said = self._said(-1, record.outcome(record.DENY, unparsable=reason))
                self._deny(said, where, message, at, end)
            elif self.everything:
                said = self._said(-1, record.outcome(record.UNJUDGED, unparsable=reason))
                self._write(time_ns(), said, where, message, at, end)
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(error)

    def _deny(self, said: bytes, where: bytes, message: Data, at: int, end: int) -> None:
        """Write down a denial: for the log while one is left, and for watchers then or if they wish for each."""
        now = time_ns()
        if self._left:
            self._left -= 1
            self._weigh()
            self._write_denial(now, said, where, message, at, end)
        elif not self._every_denial:
            return
        self._write(now, said, where, message, at, end)

    def _note_of(self, outcome: Outcome) -> bytes:
        """Return what is written down of an outcome, and keep it there: it is judged under one ruleset only."""
        decision = outcome.match.decision
        if decision is None:
            said = record.outcome(record.PASS)
        else:
            rejected = outcome.answer == REJECT
            said = record.outcome(decision.verdict, decision.reason, decision.side, rejected=rejected)
        outcome.note = self._said(outcome.match.decisive, said)
        return outcome.note

    def _said(self, counter: int, outcome: bytes) -> bytes:
        return record.note(self.generation, counter, outcome)

    def _give_up(self, error: Exception) -> None:
        self._log_fault(f"no record: {type(error).__name__}: {error}")


def whereabouts(place: Place) -> bytes:
    """Return how records say where the packets of a place were judged."""
    gate = place.gate
    return record.place(gate.stage, gate.direction, place.in_interface, place.out_interface)
