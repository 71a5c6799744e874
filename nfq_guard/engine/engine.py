"""The packet path: bytes of a queued packet to the outcome that decides it.

Owns the ways by which packets are judged, and all that is remembered of packets under
one ruleset: bounded, and gone with it. One writer, the worker that owns the queue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nfq_guard.engine.decide import (
    NO_OPINION,
    along,
    forward_chains,
    forward_policy,
    stage_policy,
    workload_to_host,
)
from nfq_guard.engine.flowtable import FLOW_TABLE_SIZE, FlowTable, Outcome
from nfq_guard.engine.memory import grown, remember
from nfq_guard.engine.ways import ChainWay, Several, Way
from nfq_guard.model.flow import Direction, Side, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nfq_guard.engine.chain import Chain, Match
    from nfq_guard.engine.memory import Memory, Outcomes
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.flow import Gate

MEMORY = 524_288
"""Values of fields and classes of packets that are remembered, over all chains and ways: some 150 bytes each."""
_LEAST, _MOST = 512, 65_536
"""What each slice of a chain may remember of that. To forget so many takes 5 ms."""
TRIM_PACKETS = 16_384
"""After so many packets somebody has to see to it that it is no more: each adds five entries at most."""
WAYS = 4096
"""Places; where interfaces come and go by the thousand, the ways are made again."""


class Place:
    """Where a packet waits for its verdict."""

    __slots__ = ("gate", "in_interface", "interface", "named", "out_interface", "side")

    def __init__(self, gate: Gate, in_interface: str = "", out_interface: str = "") -> None:
        """Interfaces that a packet has not got there are empty."""
        self.gate = gate
        self.in_interface = in_interface
        self.out_interface = out_interface
        self.side = Side.EGRESS if gate.direction is Direction.OUT else Side.INGRESS
        """Whose rules it meets first: those of the interface that it came in by, if it did."""
        self.interface = in_interface if self.side is Side.INGRESS else out_interface
        """That interface."""
        crossing = gate.direction is Direction.FORWARD
        self.named = bool(in_interface and out_interface) if crossing else bool(self.interface)
        """Whether the interfaces that decide are known."""


class Engine:
    """Judges queued packets under one ruleset."""

    def __init__(
        self,
        ruleset: Ruleset,
        prepare: Callable[[Place, Match, bool], Outcome],
        table_size: int = FLOW_TABLE_SIZE,
    ) -> None:
        """Start with nothing remembered.

        `prepare` says what becomes of packets with a match at a place; it is asked once for
        each class of packets. `table_size`: entries in the flow table, 0: no table.
        """
        self.ruleset = ruleset
        self.table = FlowTable(table_size)
        self._prepare = prepare
        chains = sum(len(endpoint.chains) for endpoint in ruleset.endpoints)
        self._limit = min(_MOST, max(_LEAST, MEMORY // max(1, chains)))
        self._ways: dict[tuple[Gate, str, str], Way | ChainWay] = {}
        self._memories: dict[int, Memory[Match]] = {}
        self._outcomes: dict[tuple[int, Gate], Memory[Outcome]] = {}
        self._joint: list[Outcomes[Any, Outcome]] = []
        """Of the ways that ask several chains."""

    def way(self, place: Place) -> Way | ChainWay | None:
        """Return how packets are judged at a place, None where nobody can be asked there.

        What nobody governs is not queued: to allow it would be to remember it as allowed.
        """
        key = place.gate, place.in_interface, place.out_interface
        way = self._ways.get(key)
        if way is None and place.named:
            if len(self._ways) >= WAYS:
                self._ways.clear()
                self._joint.clear()
            way = self._make(place)
            if way is not None:
                self._ways[key] = way
        return way

    def _make(self, place: Place) -> Way | ChainWay | None:
        ruleset, (stage, direction, before_nat) = self.ruleset, place.gate
        prepare = partial(self._prepare, place)
        interface = place.interface
        if stage is Stage.FORWARD:
            return self._crossing(place, prepare, before_nat=before_nat)
        if stage is Stage.NORMAL and direction is Direction.IN and ruleset.is_workload(interface):
            return Way(
                self.table, lambda packet: prepare(workload_to_host(ruleset, interface, packet), False)
            )
        if ruleset.pending_for(stage, place.side, interface) is not None:
            # Each packet is put to what is tried out as well: rarely, and not for long.
            return Way(
                self.table,
                lambda packet: prepare(
                    stage_policy(ruleset, stage, place.side, interface, packet) or NO_OPINION, False
                ),
            )
        found = ruleset.chain_for(stage, place.side, interface)
        if found is not None:
            return ChainWay(self._outcomes_of(found[1], place))
        if stage is Stage.NORMAL:
            return None
        # Nothing to work out, hence nothing to remember.
        silence = prepare(NO_OPINION, False)
        silence.again = False
        return Way(self.table, lambda _packet: silence)

    def _crossing(self, place: Place, prepare: Callable[[Match, bool], Outcome], *, before_nat: bool) -> Way:
        ruleset, ends = self.ruleset, (place.in_interface, place.out_interface)
        if ruleset.staged_policies:
            return Way(
                self.table,
                lambda packet: prepare(forward_policy(ruleset, *ends, packet, before_nat=before_nat), False),
            )
        memories = [self._memory_of(chain) for chain in forward_chains(ruleset, *ends, before_nat=before_nat)]
        several = Several(memories, lambda said: prepare(along(said), False), self._limit)
        self._joint.append(several.outcomes)
        return Way(self.table, several.ask)

    def remembered(self) -> list[dict[Any, Any]]:
        """Return the dicts that grow with the packets met."""
        return [*self._grown(), *self.table.halves]

    def _grown(self) -> list[dict[Any, Any]]:
        memories: list[Memory[Any]] = [*self._outcomes.values(), *self._memories.values()]
        return [*(entries for memory in memories for entries in grown(memory)), *self._joint]

    def trim(self) -> bool:
        """Forget what is too much, the largest memories first; return whether there is more of it to be done.

        Each memory has a bound of its own, which all of them together need not keep: chains have slices,
        and every two interfaces that packets cross have a memory.
        """
        memories = sorted(self._grown(), key=len, reverse=True)
        kept, forgotten = sum(map(len, memories)), 0
        for memory in memories:
            if kept <= MEMORY or forgotten >= _MOST:
                break
            kept -= len(memory)
            forgotten += len(memory)
            memory.clear()
        return kept > MEMORY

    def _memory_of(self, chain: Chain) -> Memory[Match]:
        if id(chain) not in self._memories:
            self._memories[id(chain)] = remember(chain, lambda match, _: match, self._limit)
        return self._memories[id(chain)]

    def _outcomes_of(self, chain: Chain, place: Place) -> Memory[Outcome]:
        """Return the memory of a chain that is asked alone, the same for interfaces with one endpoint."""
        key = id(chain), place.gate
        if key not in self._outcomes:
            self._outcomes[key] = remember(chain, partial(self._prepare, place), self._limit)
        return self._outcomes[key]
