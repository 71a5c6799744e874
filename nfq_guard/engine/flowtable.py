"""The flow table: outcomes of recent packets that may come again, where several chains are asked.

One chain finds the outcome of any packet by its classes (engine/memory.py) as fast as a table would.

Owns its bounds. A full young half becomes the old one, and the old one is forgotten at
once: constant work a packet and bounded memory under a flood of distinct packets, where
evicting entries one by one from a dict would scan its holes. An entry of the old half
is still good; it is gone at the next turn.

A packet whose connection is remembered by the kernel does not come again, and is not
entered: a flood that is allowed never touches the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nfq_guard.engine.chain import Match
    from nfq_guard.model.flow import Packet

FLOW_TABLE_SIZE = 65_536
"""Entries in both halves together: a few tens of megabytes at most."""
FLOW_SECONDS = 10.0
"""A half is the young one for so long at most."""


class Outcome:
    """What becomes of packets: worked out once, for all packets of their class.

    No two are equal: whoever counts packets by their outcomes looks at none of its parts.
    """

    __slots__ = ("again", "answer", "denies", "learn", "logs", "match", "notable", "note", "words")

    def __init__(
        self,
        match: Match,
        answer: int = 0,
        words: tuple[int, ...] = (),
        *,
        again: bool = False,
        learn: int = -1,
        denies: bool = False,
    ) -> None:
        """`answer`: to the kernel; the engine's caller knows what it means.

        `words`: what is counted, indexes of the caller's counters. `again`: whether the same packet is
        likely to come again. `learn`: what counts it if the kernel is taught it; -1: it is not to be.
        `denies`: whether that is the answer.
        """
        self.match = match
        self.answer = answer
        self.words = words
        self.again = again
        self.learn = learn
        self.logs = match.logs
        self.denies = denies
        self.notable = denies or bool(match.logs)
        """Whether each of these packets may be told of, and is not only counted."""
        self.note = b""
        """What the caller writes down of each of them; empty until it has to."""


class Part:
    """One place's share of the table."""

    __slots__ = ("held", "old", "young")

    def __init__(self) -> None:
        """Start empty."""
        self.young: dict[Packet, Outcome] = {}
        self.old: dict[Packet, Outcome] = {}
        self.held = False
        """Whether the table knows it: it has entries then."""


class FlowTable:
    """Two halves, over all parts together. A part that has no entries is not held on to."""

    def __init__(self, size: int = FLOW_TABLE_SIZE) -> None:
        """Hold at most `size` entries; less than 2: none."""
        self.hits = 0
        self._half = size // 2
        self._young = 0
        self._old = 0
        self._parts: list[Part] = []
        self._turned = 0.0

    @property
    def entries(self) -> int:
        """Number of entries."""
        return self._young + self._old

    @property
    def halves(self) -> list[dict[Packet, Outcome]]:
        """All halves of all parts."""
        return [half for part in self._parts for half in (part.young, part.old)]

    def enter(self, part: Part, packet: Packet, outcome: Outcome) -> None:
        """Remember the outcome of a packet that the part does not know."""
        if not self._half:
            return
        if self._young >= self._half:
            self._turn()
        if not part.held:
            part.held = True
            self._parts.append(part)
        self._young += 1
        part.young[packet] = outcome

    def age(self, now: float) -> None:
        """Forget what is old; `now` in seconds of any clock that does not go back."""
        if now - self._turned >= FLOW_SECONDS:
            self._turned = now
            self._turn()

    def _turn(self) -> None:
        for part in self._parts:
            part.old, part.young = part.young, {}
            part.held = bool(part.old)
        self._parts = [part for part in self._parts if part.held]
        self._old, self._young = self._young, 0
