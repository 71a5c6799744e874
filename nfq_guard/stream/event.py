"""A verdict as people and programs are told it: a record, its rule by name, its packet's fields.

Owns what a counter's index stands for under one generation (the legend), and putting
the two together. Must never need the files that rules came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nfq_guard.engine.ruleset import CounterKey
from nfq_guard.model.addresses import format_address
from nfq_guard.model.flow import ABSENT, PROTOCOL_NAMES
from nfq_guard.packet import Unparsable, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nfq_guard.engine.chain import FlatRule
    from nfq_guard.engine.ruleset import CountedKey
    from nfq_guard.model.flow import Packet
    from nfq_guard.stream.record import Record


class Rule(NamedTuple):
    """What decided or logged: a rule, the end of a tier, or the default."""

    tier: str
    """Empty for a profile's rule, and for the default."""
    kind: str
    """Of a policy, or `Profile`; `Tier` for its end; `HostEndpoint` or `WorkloadEndpoint` for the default."""
    name: str
    """With its namespace where it has one: `shop/allow-web`."""
    rule: str
    """0-based index in its direction, or `default`."""
    direction: str
    """`ingress` or `egress`."""
    action: str
    """`allow`, `deny`, `pass` or `log`."""
    file: str = ""
    """Where it stands; empty for what no file says."""
    line: int = 0
    """Valid iff there is a file."""


class Legend(NamedTuple):
    """The rules of one generation by the index of their counter; None: nothing that decides or logs."""

    generation: int
    rules: tuple[Rule | None, ...]

    @classmethod
    def of(cls, generation: int, counted: Sequence[CountedKey], lines: Iterable[FlatRule]) -> Legend:
        """Return the legend of a ruleset: everything that it counts, and the lines of its chains."""
        places = {line.counter: (line.ref.file, line.ref.line) for line in lines if line.ref is not None}
        return cls(
            generation,
            tuple(
                Rule(*key, *places.get(index, ("", 0))) if isinstance(key, CounterKey) else None
                for index, key in enumerate(counted)
            ),
        )

    @classmethod
    def from_json(cls, document: Any) -> Legend:  # noqa: ANN401 - what json.loads returns
        """Return what `to_json` told; ValueError for anything else."""
        try:
            rules = tuple(None if rule is None else Rule(**rule) for rule in document["rules"])
            generation = document["generation"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"no legend: {error}") from error
        kinds = {name: int if name == "line" else str for name in Rule._fields}
        good = all(
            isinstance(value, kinds[name])
            for rule in rules
            if rule is not None
            for name, value in rule._asdict().items()
        )
        if not good or not isinstance(generation, int):
            raise ValueError("no legend: a field is of another type")
        return cls(generation, rules)

    def to_json(self) -> dict[str, Any]:
        """Return the legend in JSON's types."""
        rules = [None if rule is None else rule._asdict() for rule in self.rules]
        return {"generation": self.generation, "rules": rules}

    def rule(self, generation: int, counter: int) -> Rule | None:
        """Return what has a counter under a generation, None for nothing, or nothing that is known."""
        known = generation == self.generation and 0 <= counter < len(self.rules)
        return self.rules[counter] if known else None


class Event(NamedTuple):
    """A verdict about one packet at one stage, or a Log rule met there, in words. Empty text: there is nothing to say."""

    time_ns: int
    """Nanoseconds since the epoch."""
    queue: int
    generation: int
    verdict: str
    """`allow`, `deny`, `pass` (left to the next stage), `unjudged` (let by under fail-open) or `log`."""
    reason: str
    """Of model.decision.Reason."""
    stage: str
    direction: str
    """`in`, `out` or `forward`."""
    side: str
    """`ingress` or `egress`: whose rules decided."""
    in_interface: str
    out_interface: str
    rule: Rule | None
    """None where no rule decided, or the legend does not know it."""
    packet: Packet | None
    """None for what cannot be parsed."""
    unparsable: str
    """Of packet.UnparsableReason: why it could not be judged."""
    data: bytes
    """The packet's beginning, from its IP header on."""
    length: int
    """Of the whole packet."""
    rejected: bool
    """Its sender was told."""


def event_of(record: Record, queue: int, legend: Legend | None) -> Event:
    """Return what a record of a queue's ring says; `legend` may be of another generation, or unknown."""
    packet = parse(record.data)
    return Event(
        record.time_ns,
        queue,
        record.generation,
        record.verdict,
        record.reason or "",
        str(record.stage),
        str(record.direction),
        record.side or "",
        record.in_interface,
        record.out_interface,
        None if legend is None else legend.rule(record.generation, record.counter),
        None if isinstance(packet, Unparsable) else packet,
        record.unparsable or "",
        record.data,
        record.length,
        record.rejected,
    )


def described(packet: Packet) -> dict[str, object]:
    """Return the fields that a packet has, as log lines name them."""
    fields: dict[str, object] = {
        "protocol": PROTOCOL_NAMES.get(packet.protocol, packet.protocol),
        "src": format_address(packet.family, packet.src),
        "dst": format_address(packet.family, packet.dst),
    }
    rest = {
        "sport": packet.sport,
        "dport": packet.dport,
        "icmp_type": packet.icmp_type,
        "icmp_code": packet.icmp_code,
    }
    return fields | {name: value for name, value in rest.items() if value != ABSENT}
