"""Which packets are sent to be asked about, at the stages that stand only while policy needs them.

Owns telling apart what is guarded from what is only watched, for the sake of staged policies:
without those, nothing would happen to it, so its invalid packets are left alone. Must never
say what happens to what is asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.text import one_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.kernel.plan import KernelPlan


class Way(NamedTuple):
    """Some packets' way to a chain."""

    where: str
    """Which packets, empty for all; ends in a space otherwise."""
    how: str


def forward(plan: KernelPlan, target: str) -> Iterator[str]:
    """Yield the rules that send forwarded packets to a chain that asks."""
    yield from crossing(plan, f"goto {target}", _watched(plan, target))


def crossing(plan: KernelPlan, guarded: str, watched: str) -> Iterator[str]:
    """Yield rules for the forwarded packets that somebody asks about, the guarded ones first."""
    ends = (
        ("iifname", "forwarded_in", plan.forward_in, plan.watched.forward_in),
        ("oifname", "forwarded_out", plan.forward_out, plan.watched.forward_out),
    )
    for word, name, live, _ in ends:
        if live.interfaces:
            yield f"{word} @{name} {guarded}"
        if live.others:
            yield f"{word} != @managed {guarded}"
    for word, _, _, alone in ends:
        if alone.interfaces:
            yield f"{word} {one_of(alone.interfaces)} {watched}"
        if alone.others:
            yield f"{word} != @managed {watched}"


def before_nat(plan: KernelPlan, target: str) -> Iterator[Way]:
    """Yield the ways of packets before DNAT to a chain that asks."""
    if plan.pre_dnat:
        yield Way(guarded_before_nat(plan), f"goto {target}")
    alone = plan.watched.pre_dnat
    if alone.others:
        yield Way("", _watched(plan, target))
    elif alone and not plan.pre_dnat.others:
        yield Way(f"iifname {one_of(alone.interfaces)} ", _watched(plan, target))


def guarded_before_nat(plan: KernelPlan) -> str:
    """Return which packets policy before DNAT may have allowed: those that staged policy asks about are not."""
    return "" if plan.pre_dnat.others else "iifname @before_nat "


def untracked_in(plan: KernelPlan, target: str) -> Iterator[str]:
    """Yield the rules that send packets to a chain that asks, ahead of conntrack on their way in."""
    yield f"iifname @exempt_in goto {target}"
    if plan.watched.untracked_in:
        yield f"iifname {one_of(plan.watched.untracked_in)} goto {target}"


def untracked_out(plan: KernelPlan, target: str, unmarked: str) -> Iterator[str]:
    """Yield the same on their way out; `unmarked` matches a packet without a code of ours."""
    yield f"oifname @exempt_out goto {target}"
    if plan.watched.untracked_out:
        # Nothing that is only watched can have been allowed before.
        yield f"oifname {one_of(plan.watched.untracked_out)} {unmarked} goto {target}"


def _watched(plan: KernelPlan, target: str) -> str:
    return f"ct state != invalid goto {target}" if plan.drop_invalid else f"goto {target}"
