"""Ways by which the packets of one place are judged.

Asked for every packet, so nothing is worked out here that could have been before. Must
never raise for any bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.engine.flowtable import Part
from nfq_guard.engine.memory import Outcomes
from nfq_guard.packet import (
    FRAGMENTED,
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
    from nfq_guard.model.flow import Packet

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


class ChainWay:
    """How packets are judged at a place that asks one chain, by its memory."""

    __slots__ = ("_ipv4", "_memory")

    def __init__(self, memory: Memory[Outcome]) -> None:
        """Ask by this."""
        self._memory = memory
        self._ipv4 = memory[4]

    def look(self, packet: Packet) -> Outcome:
        """Return what becomes of a packet."""
        part = self._memory[packet.family][packet.protocol]
        return part.outcomes[part.number(packet)]

    def judge(self, data: Data, at: int, end: int) -> Outcome | Unparsable:
        """Return what becomes of the packet in `data[at:end]`.

        As `parse` and Part.number do it, without a call and an object for nearly all packets there
        are: whole, with ports, over IPv4 without options.
        """
        if end - at >= PORTED_IPV4_LENGTH:
            first, total, fragment, protocol, src, dst, sport, dport = PORTED_IPV4(data, at)
            if (
                first == PLAIN_IPV4
                and not fragment & FRAGMENTED
                and total >= WHOLE_LENGTH[protocol] <= end - at
            ):
                _, source, destination, third, fourth, outcomes = self._ipv4[protocol]
                number = 0 if third is None else third[dport]
                if source is not None:
                    number += source[src]
                if destination is not None:
                    number += destination[dst]
                if fourth is not None:
                    number += fourth[sport]
                return outcomes[number]
        packet = parse(data, at, end)
        return packet if isinstance(packet, Unparsable) else self.look(packet)


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
