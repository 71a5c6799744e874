"""Packets that the kernel decided about by itself, as far as they are known: by their number.

Owns the difference between two readings of its counters. Nothing is known of the single
packets: no address, no rule, no time but that of the reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.model.flow import Direction, Side, Stage
from nfq_guard.stream.event import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNKNOWN = -1
"""Stands for a number that nobody knows: no filter finds it."""
_DIRECTION_OF_SIDE = {Side.INGRESS: Direction.IN, Side.EGRESS: Direction.OUT}


class Labels(NamedTuple):
    """What the kernel tells its verdicts from each other by."""

    reason: str
    verdict: str
    side: str
    stage: str


class Counted(NamedTuple):
    """So many packets since the reading before."""

    labels: Labels
    packets: int

    def event(self, time_ns: int) -> Event:
        """Return what all of them have in common, to be asked whether it is meant."""
        reason, verdict, side, stage = self.labels
        return Event(
            time_ns,
            queue=_UNKNOWN,
            generation=_UNKNOWN,
            verdict=verdict,
            reason=reason,
            stage=stage,
            direction=_direction(side, stage),
            side=side,
            in_interface="",
            out_interface="",
            rule=None,
            packet=None,
            unparsable="",
            data=b"",
            length=_UNKNOWN,
            rejected=False,
        )


def _direction(side: str, stage: str) -> str:
    """Return how such packets cross the host; of a workload's own to the host, nothing tells them from others."""
    if stage == Stage.FORWARD:
        return str(Direction.FORWARD)
    return next((str(direction) for known, direction in _DIRECTION_OF_SIDE.items() if known == side), "")


class Counts:
    """The last reading. The first one is where counting begins."""

    def __init__(self) -> None:
        """Begin with the next reading."""
        self._last: dict[Labels, int] | None = None

    def update(self, rows: Iterable[Any]) -> list[Counted]:
        """Take a reading, `{reason, verdict, direction, stage, packets}` each; return what is new.

        ValueError for rows of another form.
        """
        now: dict[Labels, int] = {}
        for row in rows:
            labels, packets = _read(row)
            now[labels] = now.get(labels, 0) + packets
        last, self._last = self._last, now
        if last is None:
            return []
        # A counter that went back is another guard's: it counts from here on.
        more = ((labels, packets - last.get(labels, 0)) for labels, packets in now.items())
        return [Counted(labels, packets) for labels, packets in more if packets > 0]


def _read(row: Any) -> tuple[Labels, int]:  # noqa: ANN401 - what json.loads returns
    try:
        texts = [row[key] for key in ("reason", "verdict", "direction", "stage")]
        packets = row["packets"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no count of the kernel's: {error}") from error
    if not all(isinstance(text, str) for text in texts) or not isinstance(packets, int):
        raise ValueError("no count of the kernel's: a field is of another type")
    return Labels(*texts), packets
