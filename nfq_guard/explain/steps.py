"""What an explanation consists of.

Owns the shape that text, JSON and whoever else shows explanations share. Values only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nfq_guard.model.decision import Action, Decision, Reason, Verdict
    from nfq_guard.model.flow import Flow, Packet, Side, Stage
    from nfq_guard.model.problem import Position


class Field(StrEnum):
    """What of a packet a rule may be at odds with."""

    FAMILY = "family"
    PROTOCOL = "protocol"
    SOURCE = "source"
    DESTINATION = "destination"
    SOURCE_PORT = "source-port"
    DESTINATION_PORT = "destination-port"
    ICMP = "icmp"


_ANY_PORT, _OTHER_PORT = 1, 2
_KIN = (frozenset({"TCP", "UDP", "SCTP", "UDPLite"}), frozenset({"ICMP", "ICMPv6"}))
"""Protocols that are taken for each other."""
_ICMP = frozenset({Field.PROTOCOL, Field.ICMP})


class Outcome(StrEnum):
    """What became of a rule, or of the end of a tier."""

    DECIDED = "decided"
    PASSED = "passed"
    """It matched, and sent the packet behind its tier or profile."""
    LOGGED = "logged"
    """It matched, and the next rule was asked."""
    RULED_OUT = "ruled-out"
    """It was asked and did not match."""
    SKIPPED = "skipped"
    """A Pass ahead of it in its tier led past it."""
    NOT_REACHED = "not-reached"
    """The verdict fell before it."""


class Miss(NamedTuple):
    """One thing that a rule wants and a packet is not."""

    field: Field
    path: str
    """Of the rule: `source.nets`."""
    found: str
    """What the packet has."""
    wanted: str
    notes: tuple[str, ...] = ()
    """What may be behind it."""


class Title(NamedTuple):
    """A resource, and where it stands."""

    kind: str
    name: str
    namespace: str | None
    position: Position

    @property
    def full_name(self) -> str:
        """The name, with its namespace where it has one."""
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"

    def __str__(self) -> str:
        """Return `GlobalNetworkPolicy(allow-web)`, with its namespace where it has one."""
        return f"{self.kind}({self.full_name})"


class RuleStep(NamedTuple):
    """One rule of a policy or profile."""

    rule: int
    """Its index in its direction, from 0."""
    action: Action
    position: Position
    outcome: Outcome
    accepts: bool
    """The packet fulfils it, whether it came to that or not."""
    misses: tuple[Miss, ...] = ()
    """Valid iff it does not accept."""
    prefix: str = ""
    """What its lines in the guard's log begin with. Valid iff it is a Log rule."""
    names_port: bool = False
    """It lists destination ports, and the packet's is one of them."""

    @property
    def nearly(self) -> bool:
        """Return whether one field alone keeps it from accepting.

        Another protocol is near only where both have ports, or are the ICMP of IPv4 and of IPv6, whose types differ
        with them: nobody takes a ping for a connection.
        """
        fields = {miss.field for miss in self.misses}
        return (len(fields) == 1 or fields == _ICMP) and not self.foreign

    @property
    def foreign(self) -> bool:
        """Return whether it is about a protocol that nobody takes for the packet's."""
        return any(
            miss.field is Field.PROTOCOL
            and (miss.path != "protocol" or not any({miss.found, miss.wanted} <= kin for kin in _KIN))
            for miss in self.misses
        )

    @property
    def distance(self) -> tuple[int, bool]:
        """Return how far from the packet a rule is that nearly accepts it, to sort by.

        Whoever names the very port was thinking of this service: address or protocol are the slip. Another
        port is most often another service.
        """
        port = _OTHER_PORT if self.wants_other_port else _ANY_PORT - self.names_port
        return port, any(miss.field is Field.PROTOCOL for miss in self.misses)

    @property
    def wants_other_port(self) -> bool:
        """Return whether the destination port is at odds with it, whatever else is."""
        return any(miss.field is Field.DESTINATION_PORT for miss in self.misses)


class PolicyStep(NamedTuple):
    """A policy or profile that was asked, or would have been."""

    title: Title
    rules: tuple[RuleStep, ...]
    order: float | None = None


class TierStep(NamedTuple):
    """A tier with the policies that apply in this stage and direction."""

    name: str
    order: float | None
    policies: tuple[PolicyStep, ...]
    default_action: Action
    end: Outcome
    """What became of the default action."""


class StageStep(NamedTuple):
    """One endpoint's policy in one stage and direction, asked about the packet."""

    endpoint: Title
    stage: Stage
    side: Side
    packet: Packet
    """As it is there: ahead of NAT it has another destination."""
    spared: Reason | None
    """Why policy was not asked at all; None: it was."""
    decision: Decision | None
    """None: it left the packet to the next stage."""
    tiers: tuple[TierStep, ...] = ()
    profiles: tuple[PolicyStep, ...] = ()
    unspared: Decision | None = None
    """What policy would have said, had it been asked; None: nothing, or it was."""
    beyond: tuple[Decision, ...] = ()
    """What would be said if the tier's end that denied it passed it on, and so would each that denies it then; the
    last is no tier's end. Empty: no tier's end denied it, or nobody behind has an opinion."""


class Absence(StrEnum):
    """Why a policy was not asked."""

    STAGED = "staged"
    NAMESPACE = "namespace"
    SELECTOR = "selector"
    STAGE = "stage"
    DIRECTION = "direction"


class Bystander(NamedTuple):
    """A policy that had no say."""

    title: Title
    absence: Absence
    why: str
    would: Verdict | None = None
    """What its first rule that accepts the packet says; None: none does, or it settles nothing."""
    rule: int | None = None
    """Index of that rule."""


class Explanation(NamedTuple):
    """The whole of it."""

    flow: Flow
    decision: Decision
    causes: tuple[str, ...]
    """In sentences, the most telling first."""
    remedies: tuple[str, ...]
    """What would have to change for a denied packet to be allowed, where one field is all."""
    steps: tuple[StageStep, ...]
    bystanders: tuple[Bystander, ...]
