"""Teaching the kernel what workers found, and what came of it.

Owns what the kernel was taught: how long it keeps it, and when it is left alone. A worker
reads what strangers send, so nothing is believed that it could not have decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.adapters.command import KernelError
from nfq_guard.kernel.learned import Learned, counter_name
from nfq_guard.kernel.plan import valid_interface
from nfq_guard.model.addresses import LAST_ADDRESS
from nfq_guard.model.decision import Verdict
from nfq_guard.model.flow import Side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nfq_guard.adapters.nft import Table
    from nfq_guard.daemon.protocol import Learn
    from nfq_guard.engine.ruleset import Ruleset

RULES = 4096
"""Rules that have a counter in the kernel at once; what others of a policy decide is not taught."""
_PAUSE_SECONDS = 10.0
"""After the kernel took none: its maps are full until something in them gets old."""
_LAST_PORT, _LAST_PROTOCOL = 65_535, 255


class Seconds(NamedTuple):
    """How long the kernel keeps what it was taught."""

    allow: int = 60
    deny: int = 10

    def by_verdict(self) -> dict[Verdict, int]:
        """Return the same by verdict."""
        return {Verdict.ALLOW: self.allow, Verdict.DENY: self.deny}


class Teacher:
    """Called from the controller's loop."""

    def __init__(self, table: Table, seconds: Seconds, slots: int) -> None:
        """Teach this table; rules' counters are in slots 0..`slots`-1."""
        self._table = table
        self._seconds = seconds.by_verdict()
        self._slots = slots
        self._generation = 0
        """Of the policy that was taught for last."""
        self._counted: set[int] = set()
        """Rules' slots with a counter in the kernel that what it was taught of this policy names."""
        self._idle: set[int] = set()
        """Slots with a counter that only policies before named: a reload empties the maps."""
        self._pause_until = 0.0
        self.taught = 0
        """Decisions that the kernel took."""
        self.refused = 0
        """Those that it did not, or that were left out while it is left alone."""

    def adopt(self, slots: Iterable[int]) -> None:
        """Take over a predecessor's counters, which no map names any more."""
        self._idle.update(slots)

    def teach(self, message: Learn, ruleset: Ruleset, now: float) -> str:
        """Teach what a worker found under a ruleset that is in force; return why the kernel does not take it."""
        if message.generation != ruleset.generation:
            return ""
        decisions = [one for item in message.decisions if (one := _checked(item)) is not None]
        decisions = [one for one in decisions if self._fits(one, ruleset)]
        if message.generation != self._generation:
            self._generation = message.generation
            self._idle |= self._counted
            self._counted.clear()
        if not decisions:
            return ""
        if now < self._pause_until:
            self.refused += len(decisions)
            return ""
        try:
            decisions = self._with_counters(decisions)
            if decisions:
                self._table.learn(decisions, self._seconds)
        except KernelError as error:
            self.refused += len(decisions)
            self._pause_until = now + _PAUSE_SECONDS
            return str(error)
        self.taught += len(decisions)
        return ""

    def _fits(self, one: Learned, ruleset: Ruleset) -> bool:
        if not 0 <= one.counter < self._slots:
            return False
        return valid_interface(one.interface) and ruleset.endpoint_for(one.interface) is not None

    def _with_counters(self, decisions: Iterable[Learned]) -> list[Learned]:
        """Return those whose rule has a counter, or can get one: idle ones give way. KernelError if they do not."""
        fitting = []
        for one in decisions:
            slot = one.counter
            if slot not in self._counted and slot not in self._idle:
                if self._idle and len(self._counted) + len(self._idle) >= RULES:
                    self._table.delete_counters(map(counter_name, self._idle))
                    self._idle.clear()
                if len(self._counted) >= RULES:
                    continue
            self._idle.discard(slot)
            self._counted.add(slot)
            fitting.append(one)
        return fitting


def _checked(item: Any) -> Learned | None:  # noqa: ANN401 - whatever a worker sent
    """Return a decision if it is one."""
    match item:
        case [str(side), str(interface), int(family), int(), int(), int(), int(), str(verdict), int()]:
            pass
        case _:
            return None
    if side not in set(Side) or verdict not in set(Verdict) or family not in LAST_ADDRESS:
        return None
    _, _, _, protocol, src, dst, dport, _, counter = item
    one = Learned(Side(side), interface, family, protocol, src, dst, dport, Verdict(verdict), counter)
    last = LAST_ADDRESS[family]
    numbers = ((one.protocol, _LAST_PROTOCOL), (one.src, last), (one.dst, last), (one.dport, _LAST_PORT))
    return one if all(0 <= number <= most for number, most in numbers) else None
