"""Random filters, and what they mean, written from docs/watch.md without regard to speed.

Must never share code with stream/filter.py: two independent answers are the point.
"""

from __future__ import annotations

import fnmatch
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from events import PACKETS, RULES
from hypothesis import strategies as st

from nfq_guard.model.addresses import Net, format_address
from nfq_guard.stream.fields import FIELDS, Kind
from nfq_guard.stream.nodes import And, Compare, Everything, Node, Not, Operator, Or, all_of, any_of, opposite
from nfq_guard.stream.values import Span

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.values import Value


def has(event: Event, name: str) -> list[Any]:
    """Return everything that an event has of a field."""
    pairs = {"iface": ("in_interface", "out_interface"), "host": ("src", "dst"), "port": ("sport", "dport")}
    if name in pairs:
        return [value for one in pairs[name] for value in has(event, one)]
    if name in {"src", "dst"}:
        packet = event.packet
        return [] if packet is None else [ip_address(format_address(packet.family, getattr(packet, name)))]
    if name == "rejected":
        return ["true" if event.rejected else "false"]
    if name in {"tier", "policy", "kind", "rule"}:
        return _of_rule(event, name)
    if name in {"proto", "sport", "dport", "icmp_type", "icmp_code", "family"}:
        value = getattr(event.packet, "protocol" if name == "proto" else name, -1)
        return [value] if value != -1 else []
    value = getattr(event, name)
    return [value] if value != "" else []


def _of_rule(event: Event, name: str) -> list[str]:
    rule = event.rule
    if rule is None:
        return []
    if name == "policy":
        if rule.kind in ("Tier", "HostEndpoint", "WorkloadEndpoint"):
            return []
        return [rule.name, rule.name.split("/")[-1]]
    found = rule.kind.lower() if name == "kind" else getattr(rule, name)
    return [found] if found else []


def means(node: Node, event: Event) -> bool:
    """Return whether an event is meant."""
    if isinstance(node, Not):
        return not means(node.operand, event)
    if isinstance(node, And):
        return all(means(each, event) for each in node.operands)
    if isinstance(node, Or):
        return any(means(each, event) for each in node.operands)
    if isinstance(node, Everything):
        return True
    found = has(event, node.field)
    hits = [_hits(node.operator, value, wanted) for value in found for wanted in node.values]
    if node.operator in (Operator.NOT_EQUAL, Operator.UNLIKE):
        return found != [] and not any(hits)
    return any(hits)


def _hits(operator: Operator, value: Any, wanted: Value) -> bool:
    if isinstance(wanted, Net):
        return value in ip_network(str(wanted))
    if isinstance(wanted, Span):
        ordered = {
            Operator.LESS: value < wanted.first,
            Operator.AT_MOST: value <= wanted.first,
            Operator.MORE: value > wanted.first,
            Operator.AT_LEAST: value >= wanted.first,
        }
        return bool(ordered.get(operator, wanted.first <= value <= wanted.last))
    if operator in (Operator.LIKE, Operator.UNLIKE):
        return fnmatch.fnmatchcase(value, wanted)
    return bool(value == wanted)


_KNOWN: dict[str, list[str]] = {
    "iface": ["eth0", "eth1", "cali1"],
    "tier": ["default", "shop"],
    "policy": [*(rule.name for rule in RULES), "allow-web"],
    "kind": [rule.kind.lower() for rule in RULES],
    "rule": ["0", "1", "2", "default"],
}
_TEXT = st.text(min_size=1, max_size=6)
_PATTERN = st.sampled_from(["*", "eth?", "allow-*", "*/*", "e*", "[ad]*", "?", "d*"])
_NUMBERS = sorted({0, 1, 4, 6, *(number for packet in PACKETS for number in packet[4:] if number >= 0)})


def nets() -> st.SearchStrategy[Net]:
    """Return networks around the addresses of packets."""

    def around(packet: Any, prefix: int) -> Net:
        prefix = min(prefix, 32) if packet.family == 4 else prefix
        span = (1 << ((32 if packet.family == 4 else 128) - prefix)) - 1
        first = packet.src & ~span
        return Net(packet.family, prefix, first, first | span)

    return st.builds(around, st.sampled_from(PACKETS), st.sampled_from([0, 8, 24, 31, 32, 64, 127, 128]))


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    """Return a comparison that the language can spell."""
    field = FIELDS[draw(st.sampled_from(sorted(FIELDS)))]
    equalities = [Operator.EQUAL, Operator.NOT_EQUAL]
    value: st.SearchStrategy[Any]
    if field.kind is Kind.NUMBER:
        number = st.sampled_from([n for n in _NUMBERS if n <= field.last]) | st.integers(0, field.last)
        operator = draw(
            st.sampled_from([op for op in Operator if op not in (Operator.LIKE, Operator.UNLIKE)])
        )
        if operator not in equalities:
            exact = draw(number)
            return Compare(field.name, operator, (Span(exact, exact),))
        value = st.builds(lambda one, other: Span(min(one, other), max(one, other)), number, number)
        value |= number.map(lambda one: Span(one, one))
    elif field.kind is Kind.ADDRESS:
        operator, value = draw(st.sampled_from(equalities)), nets()
    elif field.kind is Kind.FLAG:
        operator, value = draw(st.sampled_from(equalities)), st.sampled_from(["true", "false"])
    else:
        operator = draw(st.sampled_from([*equalities, Operator.LIKE, Operator.UNLIKE]))
        if operator in equalities and field.kind is Kind.WORD:
            value = st.sampled_from(sorted(set(field.words.values())))
        elif operator in equalities:
            known = _KNOWN.get(field.name, _KNOWN["iface"])
            # Letter case is of no account to some fields: the canonical text has the lower one.
            value = st.sampled_from(known) | (_TEXT if not field.short else st.just("other"))
        else:
            value = _PATTERN if field.kind is Kind.WORD or field.short else _PATTERN | _TEXT
    return Compare(field.name, operator, tuple(draw(st.lists(value, min_size=1, max_size=3))))


NODES: st.SearchStrategy[Node] = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(all_of),
        st.lists(inner, min_size=1, max_size=3).map(any_of),
        inner.map(opposite),
    ),
    max_leaves=12,
)
