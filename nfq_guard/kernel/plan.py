"""What the kernel needs to know of a Ruleset: interfaces, failsafes, a generation.

Owns the KernelPlan value and the settings it is rendered with. Must never carry policy
rules: the kernel asks, the engine answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.engine.ruleset import DenyAction, HostAction
from nfq_guard.kernel.marks import ConnectionMark, PacketMark, check_connection_mask, check_packet_mask
from nfq_guard.model.addresses import FAMILIES, Intervals
from nfq_guard.model.flow import Side, Stage
from nfq_guard.model.problem import ConfigError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.engine.ruleset import Failsafe, GuardedEndpoint, Ruleset

LAST_QUEUE = 65535
"""Queue numbers are 16 bits wide."""

_INTERFACE_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,15}")
"""Names that stand for themselves inside nft's quotes. The kernel allows more (`"`, `*`, `+`);
those could end the quotes or match other interfaces."""


class FailMode(StrEnum):
    """What a packet gets that nobody can judge."""

    CLOSED = "closed"
    """Drop."""
    OPEN = "open"
    """Accept, without remembering it as judged."""


class EstablishedFlows(StrEnum):
    """What a policy change means for connections that live already."""

    REEVALUATE = "reevaluate"
    """Their next packet is judged again."""
    KEEP = "keep"
    """They carry on, as with Calico."""


class QueueTarget(StrEnum):
    """How a rule hands a packet to the queue."""

    NATIVE = "native"
    """nft's `queue` statement (CONFIG_NFT_QUEUE): every ordinary kernel."""
    XT = "xt"
    """The xtables target NFQUEUE inside an nft rule: kernels without the statement."""


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """What is about this program and changes the table. ValueError for impossible values."""

    queue: int = 0
    """Number of the first queue."""
    queue_count: int = 1
    """Queues `queue`..`queue + queue_count - 1`, one worker each."""
    fail_mode: FailMode = FailMode.CLOSED
    packet_mark_mask: int = 0x3000
    connection_mark_mask: int = 0xF0000000
    established_flows: EstablishedFlows = EstablishedFlows.REEVALUATE
    learned_verdicts: bool = True
    """Whether the kernel is taught verdicts that come again."""

    def __post_init__(self) -> None:
        """Refuse what the kernel could not do."""
        if self.queue_count < 1 or self.queue < 0 or self.last_queue > LAST_QUEUE:
            raise ValueError(
                f"queues must lie in 0-{LAST_QUEUE} and number at least one, "
                f"got {self.queue_count} from {self.queue}"
            )
        check_packet_mask(self.packet_mark_mask)
        check_connection_mask(self.connection_mark_mask)

    @property
    def last_queue(self) -> int:
        """Number of the last queue."""
        return self.queue + self.queue_count - 1

    @property
    def packet_mark(self) -> PacketMark:
        """Our bits of the packet mark."""
        return PacketMark(self.packet_mark_mask)

    @property
    def connection_mark(self) -> ConnectionMark:
        """Our bits of the connection mark."""
        return ConnectionMark(self.connection_mark_mask)


class Section(StrEnum):
    """A part of the table that hangs on hooks of its own, made and removed as a whole."""

    LOCAL = "local"
    """What ends or begins at this host. Always there."""
    FORWARD = "forward"
    PRE_DNAT = "pre-dnat"
    UNTRACKED_IN = "untracked-in"
    UNTRACKED_OUT = "untracked-out"


class PortSpan(NamedTuple):
    """A port reached from, or reaching to, the addresses `first`..`last` inclusive."""

    protocol: int
    port: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class FailsafePorts:
    """One direction's failsafes, sorted and without overlaps."""

    anywhere: tuple[tuple[int, int], ...] = ()
    """(protocol, port) for both families."""
    v4: tuple[PortSpan, ...] = ()
    v6: tuple[PortSpan, ...] = ()

    @classmethod
    def of(cls, failsafes: Iterable[Failsafe]) -> FailsafePorts:
        """Sort and merge: the kernel's interval sets refuse elements that overlap."""
        listed = tuple(failsafes)
        anywhere = sorted({(one.protocol, one.port) for one in listed if one.net is None})
        v4, v6 = (tuple(_spans(listed, family, frozenset(anywhere))) for family in FAMILIES)
        return cls(tuple(anywhere), v4, v6)


@dataclass(frozen=True, slots=True)
class Guarded:
    """The interfaces at which one stage is asked in one direction."""

    interfaces: tuple[str, ...] = ()
    """Sorted."""
    others: bool = False
    """Every interface without a host endpoint of its own as well (`*`); before DNAT those
    whose own endpoint has no such policy too."""

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return self.others or bool(self.interfaces)


@dataclass(frozen=True, slots=True)
class Watched:
    """Where the kernel asks for the sake of staged policies alone: nothing that is enforced looks there.

    What is asked there is told apart from the guarded, so that nothing else happens to it.
    """

    untracked_in: tuple[str, ...] = ()
    untracked_out: tuple[str, ...] = ()
    pre_dnat: Guarded = Guarded()
    forward_in: Guarded = Guarded()
    forward_out: Guarded = Guarded()


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """Everything the table says that depends on policy. Equal plans render equal text."""

    generation: int
    interfaces: tuple[str, ...] = ()
    """Interfaces with a host endpoint of their own, sorted."""
    wildcard: bool = False
    """Every other interface is guarded too, workloads' excepted."""
    workload_prefixes: tuple[str, ...] = ()
    """Interfaces that start so are workloads'; sorted, none covered by another."""
    inbound: FailsafePorts = FailsafePorts()
    outbound: FailsafePorts = FailsafePorts()
    drop_invalid: bool = True
    allow_neighbor_discovery: bool = True
    rejects: bool = False
    """What normal policy denies is rejected, not dropped."""
    workloads: tuple[str, ...] = ()
    """Interfaces with a workload endpoint, sorted: their packets to the host are asked about."""
    drop_to_host: bool = True
    """What other packets of workloads to the host get: dropped, else let by."""
    untracked_in: tuple[str, ...] = ()
    untracked_out: tuple[str, ...] = ()
    pre_dnat: Guarded = Guarded()
    forward_in: Guarded = Guarded()
    """Where forwarded packets are asked about by the interface that they came in by."""
    forward_out: Guarded = Guarded()
    watched: Watched = Watched()
    several: bool = False
    """What is said of a flow may depend on the interface that it comes by: more than one endpoint governs,
    or workloads may reach the host."""

    @property
    def sections(self) -> frozenset[Section]:
        """The parts of the table that the policy needs."""
        watched = self.watched
        pre_dnat = bool(self.pre_dnat or watched.pre_dnat)
        untracked_in = bool(self.untracked_in or watched.untracked_in)
        crossing = (self.forward_in, self.forward_out, watched.forward_in, watched.forward_out)
        needed = {
            Section.LOCAL: True,
            # What comes by a stage before NAT carries our bits as far as here.
            Section.FORWARD: pre_dnat or untracked_in or any(crossing),
            Section.PRE_DNAT: pre_dnat,
            Section.UNTRACKED_IN: untracked_in,
            Section.UNTRACKED_OUT: bool(self.untracked_out or watched.untracked_out),
        }
        return frozenset(section for section, wanted in needed.items() if wanted)

    @property
    def loopback_guarded(self) -> bool:
        """Whether traffic from the host to itself is judged, on its way out and in again."""
        if "lo" in self.interfaces:
            return True
        return self.wildcard and not "lo".startswith(self.workload_prefixes)


def plan_for(ruleset: Ruleset, generation: int) -> KernelPlan:
    """Return what the kernel must know to ask about this Ruleset's traffic.

    ConfigError, with every offender, for interface names that cannot be written into
    the table safely.
    """
    prefixes = _widest(ruleset.workload_prefixes)
    interfaces, workloads = tuple(sorted(ruleset.by_interface)), tuple(sorted(ruleset.workloads))
    drop_to_host = ruleset.endpoint_to_host is HostAction.DROP
    problems = [
        *(_bad_name(name, "interface name") for name in interfaces if not valid_interface(name)),
        *(_bad_name(name, "workload prefix") for name in prefixes if not valid_interface(name)),
        *(_bad_name(name, "workload interface") for name in workloads if not valid_interface(name)),
    ]
    if problems:
        raise ConfigError(problems)
    return KernelPlan(
        generation=generation,
        interfaces=interfaces,
        wildcard=ruleset.wildcard is not None,
        several=len(ruleset.endpoints) > 1 or bool(workloads) or not drop_to_host,
        workload_prefixes=prefixes,
        inbound=FailsafePorts.of(ruleset.failsafe_inbound),
        outbound=FailsafePorts.of(ruleset.failsafe_outbound),
        drop_invalid=ruleset.options.drop_invalid,
        allow_neighbor_discovery=ruleset.options.allow_neighbor_discovery,
        rejects=ruleset.options.deny_action is DenyAction.REJECT,
        workloads=workloads,
        drop_to_host=drop_to_host,
        untracked_in=_guarded(ruleset, Stage.UNTRACKED, Side.INGRESS).interfaces,
        untracked_out=_guarded(ruleset, Stage.UNTRACKED, Side.EGRESS).interfaces,
        pre_dnat=_guarded(ruleset, Stage.PRE_DNAT, Side.INGRESS),
        forward_in=_guarded(ruleset, Stage.FORWARD, Side.INGRESS, workloads),
        forward_out=_guarded(ruleset, Stage.FORWARD, Side.EGRESS, workloads),
        watched=Watched(
            untracked_in=_watched(ruleset, Stage.UNTRACKED, Side.INGRESS).interfaces,
            untracked_out=_watched(ruleset, Stage.UNTRACKED, Side.EGRESS).interfaces,
            pre_dnat=_watched(ruleset, Stage.PRE_DNAT, Side.INGRESS),
            forward_in=_watched(ruleset, Stage.FORWARD, Side.INGRESS),
            forward_out=_watched(ruleset, Stage.FORWARD, Side.EGRESS),
        ),
    )


def _guarded(ruleset: Ruleset, stage: Stage, side: Side, more: tuple[str, ...] = ()) -> Guarded:
    own = (name for name, endpoint in ruleset.by_interface.items() if (stage, side) in endpoint.chains)
    wildcard = ruleset.wildcard
    return Guarded(tuple(sorted({*own, *more})), wildcard is not None and (stage, side) in wildcard.chains)


def _watched(ruleset: Ruleset, stage: Stage, side: Side) -> Guarded:
    def alone(endpoint: GuardedEndpoint) -> bool:
        return (stage, side) in endpoint.pending and (stage, side) not in endpoint.chains

    own = (name for name, endpoint in ruleset.by_interface.items() if alone(endpoint))
    return Guarded(tuple(sorted(own)), ruleset.wildcard is not None and alone(ruleset.wildcard))


def valid_interface(name: str) -> bool:
    """Return whether a name may be written between nft's quotes."""
    return _INTERFACE_NAME.fullmatch(name) is not None


def _bad_name(name: str, what: str) -> Problem:
    return Problem(
        Position("host"),
        "interface-name",
        f"{what} {name!r} cannot be guarded: expected 1-15 of the characters a-z A-Z 0-9 _ . - "
        "(rename the interface, or exclude it)",
    )


def _widest(prefixes: Iterable[str]) -> tuple[str, ...]:
    listed = sorted(set(prefixes))
    return tuple(one for one in listed if not any(one != other and one.startswith(other) for other in listed))


def _spans(
    failsafes: tuple[Failsafe, ...], family: int, anywhere: frozenset[tuple[int, int]]
) -> Iterator[PortSpan]:
    nets: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for protocol, port, net in failsafes:
        if net is not None and net.family == family and (protocol, port) not in anywhere:
            nets.setdefault((protocol, port), []).append((net.first, net.last))
    for (protocol, port), spans in sorted(nets.items()):
        for first, last in Intervals.of(spans).spans:
            yield PortSpan(protocol, port, first, last)
