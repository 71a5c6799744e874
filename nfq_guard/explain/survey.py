"""What a verdict depends on of the fields that a question leaves open.

Owns which values are worth asking about: one of each class of values that the chains tell
apart, so that what is said holds for all of them. The engine answers for each.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.engine.decide import decide
from nfq_guard.model.addresses import LAST_ADDRESS, Intervals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nfq_guard.engine.axis import Axis
    from nfq_guard.engine.ruleset import Ruleset
    from nfq_guard.model.decision import Decision
    from nfq_guard.model.flow import Flow

MOST = 20_000
"""Packets asked about at most: a second's work."""
_LAST_PORT, _LAST_ICMP = 65_535, 0xFFFF
_APART = tuple(icmp_type << 8 for icmp_type in range(130, 139))
"""Where ICMPv6 types begin of which a workload may tell its host some whatever policy says (engine/decide.py)."""


class OpenField(NamedTuple):
    """A field that a question leaves open."""

    name: str
    """`src`, `dst`, `sport`, `dport` or `icmp`."""
    axis: int
    """Which of a slice's four it stands on."""
    shift: int
    """How much higher than the value."""


FIELDS = {
    field.name: field
    for field in (
        OpenField("src", 0, 0),
        OpenField("dst", 1, 0),
        OpenField("dport", 2, 1),
        OpenField("icmp", 2, 1),
        OpenField("sport", 3, 1),
    )
}


class Group(NamedTuple):
    """All packets that one step decides."""

    decision: Decision
    values: Mapping[str, Intervals]
    """By field: its values in some packet of the group; ICMP type and code as one number."""
    example: Flow


class Survey(NamedTuple):
    """The answers to all packets that a question may mean."""

    groups: tuple[Group, ...]
    matters: tuple[str, ...]
    """The open fields on which the verdict depends."""


class TooOpenError(ValueError):
    """More packets than can be asked about."""


class _Span(NamedTuple):
    """Values between two neighboring boundaries."""

    low: int
    high: int
    number: tuple[int, ...]
    """Their class in each chain, and what else tells them apart."""


def survey(ruleset: Ruleset, flow: Flow, fields: Sequence[str]) -> Survey:
    """Return what is said of a flow with any values of some fields; TooOpenError if they are too many.

    ValueError as from `decide`.
    """
    spans = [list(_spans(ruleset, flow, FIELDS[name])) for name in fields]
    classes = [{span.number: span.low for span in reversed(each)} for each in spans]
    if prod(map(len, classes)) > MOST:
        raise TooOpenError(
            f"more than {MOST} different packets may be meant: say more about {' or '.join(fields)}"
        )
    answers: dict[tuple[tuple[int, ...], ...], Decision] = {}
    examples: dict[Decision, Flow] = {}
    for numbers in product(*classes):
        values = [each[number] for each, number in zip(classes, numbers, strict=True)]
        asked = with_values(flow, dict(zip(fields, values, strict=True)))
        answers[numbers] = decision = decide(ruleset, asked)
        examples.setdefault(decision, asked)
    met = _met(answers, len(fields))
    ranges = dict(zip(fields, map(_by_class, spans), strict=True))
    groups = tuple(
        Group(
            decision,
            {
                name: Intervals.of(span for number in numbers for span in ranges[name][number])
                for name, numbers in zip(fields, met[decision], strict=True)
            },
            example,
        )
        for decision, example in examples.items()
    )
    matters = tuple(name for place, name in enumerate(fields) if _depends(place, answers))
    return Survey(groups, matters)


def with_values(flow: Flow, values: Mapping[str, int]) -> Flow:
    """Return a flow with other values of fields."""
    changed = {name: value for name, value in values.items() if name != "icmp"}
    if "icmp" in values:
        changed["icmp_type"], changed["icmp_code"] = divmod(values["icmp"], 256)
    return flow._replace(packet=flow.packet._replace(**changed))


def _spans(ruleset: Ruleset, flow: Flow, field: OpenField) -> Iterator[_Span]:
    axes = list(_axes(ruleset, flow, field))
    apart = _APART if field.name == "icmp" else ()
    last = {
        "src": LAST_ADDRESS[flow.packet.family],
        "dst": LAST_ADDRESS[flow.packet.family],
        "icmp": _LAST_ICMP,
    }.get(field.name, _LAST_PORT)
    starts = sorted({0, *apart, *(start - field.shift for axis in axes for start in axis.starts)})
    lows = [low for low in starts if 0 <= low <= last]
    for low, following in zip(lows, (*lows[1:], last + 1), strict=True):
        place = low + field.shift
        numbers = tuple(axis.classes[bisect_right(axis.starts, place)] for axis in axes)
        yield _Span(low, following - 1, (*numbers, bisect_right(apart, low)))


def _axes(ruleset: Ruleset, flow: Flow, field: OpenField) -> Iterator[Axis]:
    family, protocol = flow.packet.family, flow.packet.protocol
    for name in filter(None, (flow.in_interface, flow.out_interface)):
        for endpoint in (ruleset.own_endpoint(name), ruleset.wildcard, ruleset.workloads.get(name)):
            for chain in () if endpoint is None else endpoint.chains.values():
                yield chain.slices[family][protocol].axes[field.axis]


def _met(
    answers: Mapping[tuple[tuple[int, ...], ...], Decision], fields: int
) -> Mapping[Decision, Sequence[set[tuple[int, ...]]]]:
    """Return, by decision, the classes of each field with which it was met."""
    found: dict[Decision, list[set[tuple[int, ...]]]] = {}
    for numbers, decision in answers.items():
        for classes, number in zip(
            found.setdefault(decision, [set() for _ in range(fields)]), numbers, strict=True
        ):
            classes.add(number)
    return found


def _by_class(spans: Sequence[_Span]) -> Mapping[tuple[int, ...], Sequence[tuple[int, int]]]:
    found: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for span in spans:
        found.setdefault(span.number, []).append((span.low, span.high))
    return found


def _depends(place: int, answers: Mapping[tuple[tuple[int, ...], ...], Decision]) -> bool:
    verdicts: dict[tuple[tuple[int, ...], ...], set[str]] = {}
    for numbers, decision in answers.items():
        verdicts.setdefault(numbers[:place] + numbers[place + 1 :], set()).add(decision.verdict)
    return any(len(each) > 1 for each in verdicts.values())
