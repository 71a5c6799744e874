"""Where the kernel asks the worker, and what becomes of each answer.

Owns the meaning of hook numbers and packet mark codes between table and worker: what
kernel/render.py writes before it queues, and what it expects to find afterwards. Must
never judge.

On LOCAL_OUT a packet must come back to its base chain with, and leave it by, the mark
with which it was queued: the kernel routes it again otherwise (nf_ip_reroute). So there
a code is only changed on packets that repeat, and the table changes it back.

Ahead of NAT a judged packet repeats too, so that the table can write into its connection
what was said: what another table has saved and restores is then no evidence. A packet
that nobody could judge never repeats, and leaves none.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.marks import REFUSED, Code
from nfq_guard.model.flow import Direction, Gate, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

DENY, ALLOW, PASS, REJECT, UNJUDGED = 0, 1, 2, 3, 4
"""Answers of a judge. PASS: no opinion, go on to the next stage. REJECT: deny and tell the
sender. UNJUDGED: go on unjudged (fail-open), and remember nothing."""

ANSWERS = (DENY, ALLOW, PASS, REJECT, UNJUDGED)

PREROUTING, LOCAL_IN, FORWARD, LOCAL_OUT, POSTROUTING = 0, 1, 2, 3, 4
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
    (PREROUTING, Code.NONE): Gate(Stage.PRE_DNAT, Direction.IN),
    (PREROUTING, Code.EARLY): Gate(Stage.UNTRACKED, Direction.IN),
    (LOCAL_IN, Code.NONE): Gate(Stage.NORMAL, Direction.IN),
    (FORWARD, Code.NONE): Gate(Stage.FORWARD, Direction.FORWARD),
    (FORWARD, Code.SPARED): Gate(Stage.FORWARD, Direction.FORWARD, before_nat=True),
    (LOCAL_OUT, Code.NONE): Gate(Stage.NORMAL, Direction.OUT),
    (LOCAL_OUT, Code.EARLY): Gate(Stage.UNTRACKED, Direction.OUT),
    (LOCAL_OUT, Code.ALLOWED): Gate(Stage.UNTRACKED, Direction.OUT),
    (POSTROUTING, Code.NONE): Gate(Stage.NORMAL, Direction.OUT),
}
"""By hook and by the code under which the packet was queued. LOCAL_OUT under ALLOWED is a
packet that somebody else exempted from conntrack: an allow cannot be told from no opinion,
and is none. POSTROUTING is for the host's own packets that DNAT has sent elsewhere."""

_DROP = Outcome(Verb.DROP)
_UNCHANGED = Outcome(Verb.ACCEPT)
_GOES_ON = Outcome(Verb.ACCEPT, Code.NONE)
_JUDGED: Mapping[tuple[int, Code, int], Outcome] = {
    (PREROUTING, Code.NONE, ALLOW): Outcome(Verb.REPEAT, Code.SPARED),
    (PREROUTING, Code.NONE, PASS): Outcome(Verb.REPEAT, Code.ALLOWED),
    (PREROUTING, Code.EARLY, ALLOW): Outcome(Verb.ACCEPT, Code.SPARED),
    (LOCAL_OUT, Code.EARLY, ALLOW): Outcome(Verb.REPEAT, Code.SPARED),
    (LOCAL_OUT, Code.ALLOWED, ALLOW): _UNCHANGED,
}
"""Where an answer comes to something else than at the last stage of a packet's way."""


def outcome(hook: int, code: Code, answer: int) -> Outcome:
    """Return what the kernel is told; what is no answer denies."""
    special = _JUDGED.get((hook, code, answer))
    if special is not None:
        return special
    if answer == ALLOW:
        return Outcome(Verb.REPEAT, Code.ALLOWED)
    if answer in {PASS, UNJUDGED}:
        return _UNCHANGED if hook == LOCAL_OUT else _GOES_ON
    if answer == REJECT and rejects(hook, code):
        return Outcome(Verb.REPEAT, REFUSED)
    return _DROP


def rejects(hook: int, code: Code) -> bool:
    """Return whether a packet can be rejected there: at its last stage, and not behind routing.

    nft refuses `reject` at postrouting.
    """
    return hook != POSTROUTING and GATES[hook, code].stage in {Stage.NORMAL, Stage.FORWARD}
