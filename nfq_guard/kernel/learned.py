"""Verdicts that the kernel has learned: exact tuples to the counter of the rule that decides about them.

Owns the maps' names and declarations, the rules' look-ups in them, and the text that adds
to them. A reload empties them in the transaction that changes policy. Must never say what
is worth learning.

The interface stands there by its name: a rename keeps its number, and policy goes by names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.text import Set
from nfq_guard.model.addresses import FAMILIES, format_address
from nfq_guard.model.decision import Verdict
from nfq_guard.model.flow import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST = 16_384
"""Elements of each map."""
PREFIX = "learned_"
COUNTER_PREFIX = "rule_"
_WAYS = {Side.INGRESS: ("in", "iifname"), Side.EGRESS: ("out", "oifname")}
_ADDRESS = {4: "ip", 6: "ip6"}


class Learned(NamedTuple):
    """A decision about the host's own traffic, whatever the source port."""

    side: Side
    interface: str
    family: int
    protocol: int
    src: int
    dst: int
    dport: int
    verdict: Verdict
    counter: int
    """Slot of the rule's counter."""

    @property
    def map(self) -> str:
        """Name of the map that holds it."""
        return _map(self.verdict, self.side, self.family)


def counter_name(slot: int) -> str:
    """Return the name of the kernel's counter of a rule."""
    return f"{COUNTER_PREFIX}{slot}"


def slot_of(counter: str) -> int | None:
    """Return whose counter it is, None for a counter of other things."""
    digits = counter.removeprefix(COUNTER_PREFIX)
    return int(digits) if digits != counter and digits.isdecimal() else None


def learned_maps() -> Iterator[Set]:
    """Yield the maps, empty."""
    for verdict in Verdict:
        for side in Side:
            for family in FAMILIES:
                key = f"ifname . ipv{family}_addr . ipv{family}_addr . inet_proto . inet_service"
                declaration = (f"type {key} : counter", f"size {MOST}", "flags timeout")
                yield Set(_map(verdict, side, family), declaration, word="map")


def lookups(side: Side, outcomes: dict[Verdict, str]) -> Iterator[str]:
    """Yield the rules of one direction; `outcomes`: what follows for each verdict."""
    _, interface = _WAYS[side]
    for verdict, outcome in outcomes.items():
        for family in FAMILIES:
            ip = _ADDRESS[family]
            key = f"{interface} . {ip} saddr . {ip} daddr . meta l4proto . th dport"
            yield f"counter name {key} map @{_map(verdict, side, family)} {outcome}"


def additions(table: str, learned: Iterable[Learned], seconds: dict[Verdict, int]) -> str:
    """Return the commands that add verdicts, for so many seconds each; one transaction."""
    lines = []
    for one in learned:
        addresses = f"{format_address(one.family, one.src)} . {format_address(one.family, one.dst)}"
        key = f'"{one.interface}" . {addresses} . {one.protocol} . {one.dport}'
        element = f'{key} timeout {seconds[one.verdict]}s : "{counter_name(one.counter)}"'
        lines += [
            f"add counter inet {table} {counter_name(one.counter)}\n",
            f"add element inet {table} {one.map} {{ {element} }}\n",
        ]
    return "".join(lines)


def _map(verdict: Verdict, side: Side, family: int) -> str:
    return f"{PREFIX}{verdict}_{_WAYS[side][0]}{family}"
