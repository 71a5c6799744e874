"""Where the kernel asks the worker, and what becomes of each answer.

Owns the meaning of hook numbers and packet mark codes between table and worker: what
kernel/render.py writes before it queues, and what it expects to find afterwards. Must
never judge.

On LOCAL_OUT a packet must come back to its base chain with, and leave it by, the mark
with which it was queued: the kernel routes it again otherwise (nf_ip_reroute). So there
a code is only changed on packets that repeat, and the table changes it back.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.marks import REFUSED, Code
from nfq_guard.model.flow import Direction, Gate, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

DENY, ALLOW, PASS, REJECT = 0, 1, 2, 3
"""Answers of a judge. PASS: go on to the next stage, and remember nothing (no opinion, or
fail-open). REJECT: deny and tell the sender."""

PREROUTING, LOCAL_IN, FORWARD, LOCAL_OUT = 0, 1, 2, 3
"""NF_INET_*: linux/netfilter.h."""


class Verb(Enum):
    """What the kernel is told."""

    DROP = auto()
    ACCEPT = auto()
    """Go on with the next base chain."""
    REPEAT = auto()
    """Run this base chain once more: it reads the code."""


class Outcome(NamedTuple):
    """What the kernel is told about a packet, and the code to put on it; None: leave its mark."""

    verb: Verb
    code: Code | None = None


GATES: Mapping[tuple[int, Code], Gate] = {
    (PREROUTING, Code.NONE): Gate(Stage.UNTRACKED, Direction.IN),
    (PREROUTING, Code.EARLY): Gate(Stage.PRE_DNAT, Direction.IN),
    (LOCAL_IN, Code.NONE): Gate(Stage.NORMAL, Direction.IN),
    (FORWARD, Code.NONE): Gate(Stage.FORWARD, Direction.FORWARD),
    (FORWARD, Code.SPARED): Gate(Stage.FORWARD, Direction.FORWARD, before_nat=True),
    (LOCAL_OUT, Code.NONE): Gate(Stage.NORMAL, Direction.OUT),
    (LOCAL_OUT, Code.EARLY): Gate(Stage.UNTRACKED, Direction.OUT),
    (LOCAL_OUT, Code.ALLOWED): Gate(Stage.UNTRACKED, Direction.OUT),
}
"""By hook and by the code under which the packet was queued. The last is a packet that
somebody else exempted from conntrack: an allow cannot be told from no opinion, and is none."""

_DROP = Outcome(Verb.DROP)
_UNCHANGED = Outcome(Verb.ACCEPT)
_ALLOWED: Mapping[tuple[int, Code], Outcome] = {
    (PREROUTING, Code.NONE): Outcome(Verb.ACCEPT, Code.SPARED),
    (PREROUTING, Code.EARLY): Outcome(Verb.ACCEPT, Code.SPARED),
    (LOCAL_OUT, Code.EARLY): Outcome(Verb.REPEAT, Code.SPARED),
    (LOCAL_OUT, Code.ALLOWED): _UNCHANGED,
}


def outcome(hook: int, code: Code, answer: int) -> Outcome:
    """Return what the kernel is told; what is no answer denies."""
    gate = GATES[hook, code]
    if answer == ALLOW:
        return _ALLOWED.get((hook, code), Outcome(Verb.REPEAT, Code.ALLOWED))
    if answer == PASS:
        return _UNCHANGED if hook == LOCAL_OUT else Outcome(Verb.ACCEPT, Code.NONE)
    if answer == REJECT and gate.stage in {Stage.NORMAL, Stage.FORWARD}:
        return Outcome(Verb.REPEAT, REFUSED)
    return _DROP
