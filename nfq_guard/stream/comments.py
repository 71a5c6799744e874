"""What became of a captured packet, as the comment in its file: written, and read back.

Owns the form of the comment. People and programs write comments too: what is not of this
form from end to end is nobody's verdict, never a guess.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.decision import Reason
from nfq_guard.model.flow import Direction, Stage
from nfq_guard.model.printable import printable
from nfq_guard.stream.lines import comment
from nfq_guard.stream.record import VERDICTS

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event

_RULE = (
    r"(?:tier (?P<tier>\S+), )?(?P<kind>[A-Za-z]+)\((?P<name>\S+)\) (?P<of>ingress|egress) rule (?P<rule>\d+)"
)
_STEP = "|".join(
    (
        rf"{_RULE}(?: at .+:\d+)?",
        r"end of tier (?P<end>[^\s,]+)",
        r"nothing matched: default of [A-Za-z]+\(\S+\)",
        "unparsable: [a-z-]+",
        "not judged for a fault: see the log of the guard",
        r"a rule of generation \d+",
    )
)
_PARTS = (
    r"forwarded (?P<inward>\S+) > (?P<outward>\S+)",
    "(?P<side>ingress|egress)",
    f"(?P<stage>{'|'.join(Stage)}) stage",
    _STEP,
    "rejected",
)
_HEAD = f"(?P<verdict>{'|'.join(VERDICTS)})(?: (?P<reason>{'|'.join(Reason)}))?"
_REST = "".join(f"(?:(?:{part})(?:, |$))?" for part in _PARTS)
_COMMENT = re.compile(rf"{_HEAD}(?:: (?=.)(?!.*, $){_REST})?", re.ASCII)
_NAMES_RULE = re.compile(_RULE, re.ASCII)


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
    head, _, rest = comment(event).partition(": ")
    # Ahead of what names files: those can be called anything, an interface has no blank in its name.
    parts = [f"forwarded {event.in_interface} > {event.out_interface}"] if _crosses(event) else []
    parts += [event.side] if event.side and not _NAMES_RULE.search(rest) else []
    parts += [rest] if rest else []
    return f"{head}: {', '.join(parts)}" if parts else head


def _crosses(event: Event) -> bool:
    """Return whether there are two interfaces to name, by names that can be read back."""
    names = event.in_interface, event.out_interface
    return event.direction == Direction.FORWARD and all(printable(name).split() == [name] for name in names)


def read(text: str) -> Comment | None:
    """Return what a comment says, None for one of another form."""
    found = _COMMENT.fullmatch(text)
    if found is None or not (found["reason"] or ": " in text):
        return None
    said = {name: value or "" for name, value in found.groupdict().items()}
    crossing = (said["inward"], said["outward"]) if said["inward"] else None
    return Comment(
        verdict=said["verdict"],
        reason=said["reason"],
        stage=said["stage"] or (Stage.FORWARD if crossing else Stage.NORMAL),
        tier=said["tier"] or said["end"],
        kind=said["kind"],
        name=said["name"],
        side=said["of"] or said["side"],
        rule=said["rule"],
        crossing=crossing,
    )
