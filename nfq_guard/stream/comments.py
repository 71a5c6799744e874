"""What became of a captured packet, as the comment in its file: written, and read back.

Owns the form of the comment. Other programs write comments too: what is not of this
form is nobody's verdict, never a guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Direction, Stage
from nfq_guard.stream.lines import comment
from nfq_guard.stream.record import VERDICTS

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event

_HEAD = re.compile(rf"({'|'.join(VERDICTS)})(?: ({'|'.join(Reason)}))?(?:: |$)")
_CROSSING = re.compile(r"forwarded (\S+) > (\S+)(?:, |$)")
_STAGE = re.compile(rf"({'|'.join(Stage)}) stage(?:, |$)")
_RULE = re.compile(r"(?:tier (\S+), )?(\w+)\((\S+)\) (ingress|egress) rule (\d+)(?: at |, |$)")
_END = re.compile(r"end of tier ([^\s,]+)(?:, |$)")


class Comment(NamedTuple):
    """What a comment says. Empty text: it does not say."""

    verdict: str
    reason: str = ""
    stage: str = Stage.NORMAL
    tier: str = ""
    kind: str = ""
    name: str = ""
    side: str = ""
    rule: str = ""
    crossing: tuple[str, str] | None = None
    """The interfaces by which a forwarded packet came and left: a capture names one alone."""


def text_of(event: Event) -> str:
    """Return the comment of an event's packet."""
    said = comment(event)
    if event.direction != Direction.FORWARD or not (event.in_interface and event.out_interface):
        return said
    head, _, rest = said.partition(": ")
    # Ahead of what names files: those can be called anything, an interface has no blank in its name.
    crossing = f"forwarded {event.in_interface} > {event.out_interface}"
    return f"{head}: {crossing}, {rest}" if rest else f"{head}: {crossing}"


def read(text: str) -> Comment | None:
    """Return what a comment says, None for one of another form."""
    head = _HEAD.match(text)
    if head is None:
        return None
    rest = text[head.end() :]
    crossed = _CROSSING.match(rest)
    if crossed is not None:
        rest = rest[crossed.end() :]
    stage = _STAGE.match(rest)
    if stage is not None:
        rest = rest[stage.end() :]
    found = Comment(
        head[1],
        head[2] or "",
        stage[1] if stage else Stage.FORWARD if crossed else Stage.NORMAL,
        crossing=(crossed[1], crossed[2]) if crossed else None,
    )
    rule, end = _RULE.match(rest), _END.match(rest)
    if rule is not None:
        tier, kind, name, side, index = rule.groups("")
        return found._replace(tier=tier, kind=kind, name=name, side=side, rule=index)
    return found if end is None else found._replace(tier=end[1])
