"""Ways by which the packets of one place are judged.

Asked for every packet, so nothing is worked out here that could have been before. Must
never raise for any bytes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nfq_guard.engine.flowtable import Part
from nfq_guard.engine.memory import Outcomes
from nfq_guard.model.flow import Packet
from nfq_guard.packet import (
    FRAGMENTED,
    NEVER,
    PLAIN_IPV4,
    PORTED_IPV4,
    PORTED_IPV4_LENGTH,
    WHOLE_LENGTH,
    Unparsable,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nfq_guard.engine.chain import Match
    from nfq_guard.engine.flowtable import FlowTable, Outcome
    from nfq_guard.engine.memory import Memory

    Data = bytes | bytearray | memoryview
    Numbers = tuple[int, int, tuple[int, ...]]


class Way:
    """How packets are judged at a place. Asks a function of the whole packet: its every field may matter."""

    __slots__ = ("_ask", "_part", "_table")

    def __init__(self, table: FlowTable, ask: Callable[[Packet], Outcome]) -> None:
        """Ask this, and remember in that."""
        self._table = table
        self._part = Part()
        self._ask = ask

    def look(self, packet: Packet) -> Outcome:
        """Return what becomes of a packet, and remember nothing of it."""
        return self._ask(packet)

    def judge(self, data: Data, at: int, end: int) -> Outcome | Unparsable:
        """Return what becomes of the packet in `data[at:end]`."""
        packet = parse(data, at, end)
        if isinstance(packet, Unparsable):
            return packet
        part = self._part
        if part.young or part.old:
            known = part.young.get(packet) or part.old.get(packet)
            if known is not None:
                self._table.hits += 1
                return known
        outcome = self._ask(packet)
        if outcome.again:
            self._table.enter(part, packet, outcome)
        return outcome


class ChainWay(Way):
    """How packets are judged at a place that asks one chain, by its memory."""

    __slots__ = ("_ipv4",)

    def __init__(self, table: FlowTable, memory: Memory[Outcome]) -> None:
        """Ask by this."""
        super().__init__(table, partial(_classify, memory))
        self._ipv4 = memory[4]

    def judge(self, data: Data, at: int, end: int) -> Outcome | Unparsable:
        """Return what becomes of the packet in `data[at:end]`.

        As Way and Part.number do it, without a call and an object for nearly all packets there
        are: whole, with ports, over IPv4 without options, and not remembered.
        """
        if end - at < PORTED_IPV4_LENGTH or self._part.young or self._part.old:
            return super().judge(data, at, end)
        first, total, fragment, protocol, src, dst, sport, dport = PORTED_IPV4(data, at)
        if (
            first != PLAIN_IPV4
            or fragment & FRAGMENTED
            or not total >= WHOLE_LENGTH.get(protocol, NEVER) <= end - at
        ):
            return super().judge(data, at, end)
        _, source, destination, third, fourth, outcomes = self._ipv4[protocol]
        number = 0 if third is None else third[dport]
        if source is not None:
            number += source[src]
        if destination is not None:
            number += destination[dst]
        if fourth is not None:
            number += fourth[sport]
        outcome = outcomes[number]
        if outcome.again:
            self._table.enter(self._part, Packet(4, protocol, src, dst, sport, dport), outcome)
        return outcome


def _classify(memory: Memory[Outcome], packet: Packet) -> Outcome:
    # No method of a way: it would hold on to itself, and nobody in a worker looks for such.
    part = memory[packet.family][packet.protocol]
    return part.outcomes[part.number(packet)]


class Several:
    """Several chains that are asked together, by their memories."""

    __slots__ = ("_memories", "outcomes")

    def __init__(
        self, memories: Sequence[Memory[Match]], along: Callable[[Iterable[Match]], Outcome], limit: int
    ) -> None:
        """Start with nothing remembered; `along` makes one outcome of what they say in turn."""
        self._memories = memories

        def work_out(asked: Numbers) -> Outcome:
            family, protocol, numbers = asked
            parts = (memory[family][protocol] for memory in memories)
            return along(part.outcomes[number] for part, number in zip(parts, numbers, strict=True))

        self.outcomes: Outcomes[Numbers, Outcome] = Outcomes(work_out, limit)

    def ask(self, packet: Packet) -> Outcome:
        """Return what becomes of a packet."""
        family, protocol = packet.family, packet.protocol
        numbers = tuple([memory[family][protocol].number(packet) for memory in self._memories])
        return self.outcomes[family, protocol, numbers]
