"""Which events are meant: the filter language of `nfq-guard watch`.

Owns what a comparison is true of. A field that an event has not got makes every
comparison of it false, `!=` too; `not` turns round whatever it stands before.
"""

from __future__ import annotations

import operator as compare
import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.model.addresses import AddressSet, Intervals, Net
from nfq_guard.model.decision import Reason
from nfq_guard.stream.fields import FIELDS, TRUE
from nfq_guard.stream.nodes import (
    NEGATED,
    ORDERING,
    PATTERNS,
    And,
    Compare,
    Everything,
    Node,
    Not,
    Operator,
    Or,
    all_of,
    render,
)
from nfq_guard.stream.parser import parse_node
from nfq_guard.stream.record import ALLOW, DENY, LOG, VERDICTS, WISHED
from nfq_guard.stream.values import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nfq_guard.stream.event import Event

    Predicate = Callable[[Event], bool]
    Hit = Callable[[Any], bool]

_ORDER: dict[Operator, Callable[[int, int], bool]] = {
    Operator.LESS: compare.lt,
    Operator.AT_MOST: compare.le,
    Operator.MORE: compare.gt,
    Operator.AT_LEAST: compare.ge,
}
_DENYING = frozenset({Reason.INVALID, Reason.TIER_DEFAULT, Reason.NO_MATCH})
"""Reasons that only denials have."""
_ALL, _DENIALS = frozenset(VERDICTS), frozenset({DENY})
_SETTLED = _ALL - {LOG}
_JUDGED = frozenset({"reason", "unparsable"})
"""Fields that only a verdict has: whatever they are compared with, a Log rule is not meant."""

_COUNTED = frozenset({"verdict", "reason", "stage", "direction", "side", "unparsable"})
"""Fields that are known of every packet that the kernel counts."""
_OF_RULES, _OF_PORTS = frozenset({"tier", "policy", "kind", "rule"}), frozenset({"sport", "dport", "port"})
_LACKING: dict[str, frozenset[str]] = {
    Reason.ESTABLISHED: _OF_RULES,
    Reason.INVALID: _OF_RULES,
    Reason.NEIGHBOR_DISCOVERY: _OF_RULES | _OF_PORTS,
    Reason.FAILSAFE: _OF_RULES,
}
"""Reason -> what no packet of it has."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. Made by `parse_filter` or `conjoin`, not by hand."""

    canonical: str
    """Text that reads back as an equal filter; empty: everything is meant."""
    node: Node = field(compare=False, repr=False)
    matches: Predicate = field(compare=False, repr=False)
    """Returns whether an event is meant."""

    @classmethod
    def of(cls, node: Node) -> Filter:
        """Return the filter of a syntax tree."""
        return cls(render(node), node, compile_node(node))


def parse_filter(text: str) -> Filter:
    """Return the filter that a text means; no text but blanks means everything.

    Raises FilterError, and nothing else, for text outside the language.
    """
    return Filter.of(parse_node(text))


def equals(name: str, value: str) -> Node:
    """Return the comparison of a field of names with one of them, a pattern where there is a `*` or `?`."""
    operator = Operator.LIKE if set("*?") & set(value) else Operator.EQUAL
    return Compare(name, operator, (value,))


def conjoin(nodes: Iterable[Node]) -> Filter:
    """Return the filter of what fulfils all of some conditions."""
    return Filter.of(all_of(nodes))


# -- what is true of an event --------------------------------------------------


def compile_node(node: Node) -> Predicate:
    """Return the function that says whether an event is meant."""
    match node:
        case Compare():
            return _comparison(node)
        case Not(operand):
            inner = compile_node(operand)
            return lambda event: not inner(event)
        case And(operands):
            every = tuple(map(compile_node, operands))
            return lambda event: all(each(event) for each in every)
        case Or(operands):
            some = tuple(map(compile_node, operands))
            return lambda event: any(each(event) for each in some)
        case Everything():
            return lambda _event: True


def _comparison(node: Compare) -> Predicate:
    of, hit = FIELDS[node.field].of, _hit(node)
    if node.operator in NEGATED:

        def none(event: Event) -> bool:
            values = of(event)
            return bool(values) and not any(map(hit, values))

        return none
    return lambda event: any(map(hit, of(event)))


def _hit(node: Compare) -> Hit:
    """Return what says whether one value of a field is as the comparison asks, its negation left out."""
    if node.operator in PATTERNS:
        patterns = tuple(re.compile(translate(str(value))).match for value in node.values)
        return lambda text: any(pattern(text) for pattern in patterns)
    spans = [value for value in node.values if isinstance(value, Span)]
    if node.operator in ORDERING:
        order, bound = _ORDER[node.operator], spans[0].first
        return lambda number: order(number, bound)
    if spans:
        return Intervals.of((span.first, span.last) for span in spans).__contains__
    nets = [value for value in node.values if isinstance(value, Net)]
    if nets:
        addresses = AddressSet.of(nets)
        return lambda address: address[1] in addresses.family(address[0])
    return frozenset(map(str, node.values)).__contains__


# -- what is known in part --------------------------------------------------------


class _May(NamedTuple):
    """What a condition may be."""

    true: bool
    false: bool


def may_mean(node: Node, counted: Event) -> bool:
    """Return whether one of the packets that the kernel only counts (stream/counted.py) may be meant."""
    return _may(node, counted).true


def _may(node: Node, counted: Event) -> _May:
    match node:
        case Compare():
            if node.field not in _of_counted(counted):
                return _May(true=True, false=True)
            hit = _comparison(node)(counted)
            return _May(hit, not hit)
        case Not(operand):
            true, false = _may(operand, counted)
            return _May(false, true)
        case And(operands):
            parts = [_may(each, counted) for each in operands]
            return _May(all(part.true for part in parts), any(part.false for part in parts))
        case Or(operands):
            parts = [_may(each, counted) for each in operands]
            return _May(any(part.true for part in parts), all(part.false for part in parts))
        case Everything():
            return _May(true=True, false=False)


def _of_counted(counted: Event) -> frozenset[str]:
    """Return the fields that are known of such packets, those included that they cannot have."""
    return _COUNTED | _LACKING.get(counted.reason, frozenset())


# -- which verdicts can be meant -----------------------------------------------


class _Verdicts(NamedTuple):
    """Verdicts of the events of which a condition may be true, and may be false."""

    true: frozenset[str]
    false: frozenset[str]


def wanted_verdicts(node: Node) -> frozenset[str]:
    """Return every verdict that an event which is meant may have; others need not be told at all."""
    return _possible(node).true


def wishes(node: Node) -> tuple[str, ...]:
    """Return what a guard is to be asked for (stream/record.py WISHED), so that all that is meant is told."""
    wanted = wanted_verdicts(node)
    asked = {verdict if verdict in WISHED else ALLOW for verdict in wanted}
    return tuple(wish for wish in WISHED if wish in asked)


def _possible(node: Node) -> _Verdicts:
    match node:
        case Compare():
            return _of_comparison(node)
        case Not(operand):
            true, false = _possible(operand)
            return _Verdicts(false, true)
        case And(operands):
            parts = [_possible(each) for each in operands]
            return _Verdicts(
                _ALL.intersection(*(part.true for part in parts)), _union(p.false for p in parts)
            )
        case Or(operands):
            parts = [_possible(each) for each in operands]
            return _Verdicts(
                _union(p.true for p in parts), _ALL.intersection(*(part.false for part in parts))
            )
        case Everything():
            return _Verdicts(_ALL, frozenset())


def _of_comparison(node: Compare) -> _Verdicts:
    if node.field == "verdict":
        hit = frozenset(filter(_hit(node), VERDICTS))
        true = _ALL - hit if node.operator in NEGATED else hit
        return _Verdicts(true, _ALL - true)
    if node.operator is Operator.EQUAL:
        about_denials = (node.field == "reason" and _DENYING.issuperset(node.values)) or (
            node.field == "rejected" and node.values == (TRUE,)
        )
        if about_denials:
            return _Verdicts(_DENIALS, _ALL)
    return _Verdicts(_SETTLED if node.field in _JUDGED else _ALL, _ALL)


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)
