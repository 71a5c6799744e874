"""Table `inet nfq_guard` as nft text, in the very form in which nft lists it.

Owns every word that is loaded into the kernel. Must never read the kernel: equal plans
give equal text. Names are checked by kernel/plan.py, everything else here is a number.

Per direction, in the order in which a packet meets them:

- `*_pre` at priority -6: takes our bits off packets on guarded interfaces. Whoever set
  them (a local program's SO_MARK, another table, the output side of loopback), it was
  not the worker.
- `input`, `output` at -5: what is decided passes or drops, the rest goes to the queue.
  The worker allows by "repeat" with the ALLOWED bit: the kernel runs this base chain
  once more, which takes the bit off again and writes the generation into `ct mark`.

Why repeat, and not accept with a chain behind that stamps: an output packet whose mark
differs after the queue is routed again by that mark (nf_ip_reroute), which breaks
`ip rule fwmark`; here it is the same again. And a packet that the kernel lets by unjudged
(no worker and bypass, or queue full and fail-open) goes on to the next base chain: a
stamping chain there could not tell it from a judged one on output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.marks import WORD
from nfq_guard.kernel.plan import EstablishedFlows, FailMode, QueueTarget
from nfq_guard.model.addresses import format_address
from nfq_guard.model.flow import SCTP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nfq_guard.kernel.plan import FailsafePorts, KernelPlan, KernelSettings, PortSpan

TABLE = "nfq_guard"
TABLE_COMMENT = "nfq-guard: made and reloaded by nfq-guard, changes get lost"
"""Starts with the program's name: how a table of ours is told from a namesake."""

SKELETON = 1
"""Version of the base chains and of the declarations of sets and counters. A table with
another version is replaced, not reloaded: raise it with every change to those."""

SKELETON_COMMENT = "nfq-guard skeleton"
GENERATION_COMMENT = "generation"
QUEUE_CHAIN = "to_queue"

COUNTERS = ("queued", "invalid", "failsafe", "neighbor_discovery")
"""Named counters, each with `_in` and `_out`."""

PRE_PRIORITY, PRIORITY = -6, -5
"""Just ahead of `filter` (0), behind destination NAT (-100): other tables still see what we allow."""

_PROTOCOLS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
_NEIGHBOR_DISCOVERY = (
    "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect"
)


class _Way(NamedTuple):
    """The words in which the two directions differ."""

    suffix: str
    hook: str
    interface: str
    peer: str


_WAYS = (_Way("in", "input", "iifname", "saddr"), _Way("out", "output", "oifname", "daddr"))


class Chain(NamedTuple):
    """A chain's name and its lines, rules mostly."""

    name: str
    lines: tuple[str, ...]


class Set(NamedTuple):
    """A set's name, what it is declared as, and its elements."""

    name: str
    declaration: tuple[str, ...]
    elements: tuple[str, ...]


def render_table(plan: KernelPlan, settings: KernelSettings, *, target: QueueTarget) -> str:
    """Return the whole table: what a first load loads and `render` prints.

    With the xt target the queue's chain is empty but for a remark: nft has no words for
    that rule, adapters/xtqueue.py adds it.
    """
    counters = (_block(f"counter {name}_{way.suffix}", ()) for name in sorted(COUNTERS) for way in _WAYS)
    parts = [
        *counters,
        *(_set_text(one) for one in _sets(plan)),
        *(_block(f"chain {name}", lines) for name, lines in _chains(plan, settings, target)),
        *(_block(f"chain {name}", lines) for name, lines in base_chains()),
    ]
    return f'table inet {TABLE} {{\n\tcomment "{TABLE_COMMENT}"\n' + "\n".join(parts) + "}\n"


def render_reload(plan: KernelPlan, settings: KernelSettings, *, target: QueueTarget) -> str:
    """Return one transaction that replaces all content and leaves base chains and counters.

    Deleting a base chain would drop every packet that waits in any queue of the namespace.
    """
    sets = _sets(plan)
    chains = [one for one in _chains(plan, settings, target) if _reloads(one, target)]
    flushes = [
        *(f"flush set inet {TABLE} {one.name}\n" for one in sets),
        *(f"flush chain inet {TABLE} {one.name}\n" for one in chains),
    ]
    parts = [
        *(_set_text(one) for one in sets),
        *(_block(f"chain {name}", lines) for name, lines in chains),
    ]
    return "".join(flushes) + f"table inet {TABLE} {{\n" + "\n".join(parts) + "}\n"


def render_groundwork() -> str:
    """Return the table with nothing but the queue's chain, for the xt target's rule to go in."""
    return (
        f'table inet {TABLE} {{\n\tcomment "{TABLE_COMMENT}"\n' + _block(f"chain {QUEUE_CHAIN}", ()) + "}\n"
    )


def render_delete() -> str:
    """Return the command that removes the table; the kernel refuses it if there is none."""
    return f"delete table inet {TABLE}\n"


def base_chains() -> tuple[Chain, ...]:
    """Return the chains that hang on hooks: the same for every plan and setting."""
    return tuple(_base_chain(way, *stage) for way in _WAYS for stage in _STAGES)


def queue_comment(settings: KernelSettings) -> str:
    """Return the remark on the rule that queues: how a reload sees whether it is still right."""
    mode = "bypass" if settings.fail_mode is FailMode.OPEN else "no bypass"
    return f"queue {settings.queue}-{settings.last_queue} {mode}"


_STAGES = (("_pre", PRE_PRIORITY, "unmark"), ("", PRIORITY, "classify"))


def _base_chain(way: _Way, ending: str, priority: int, target: str) -> Chain:
    return Chain(
        way.hook + ending,
        (
            f"type filter hook {way.hook} priority filter - {-priority}; policy accept;",
            f'jump {target}_{way.suffix} comment "{SKELETON_COMMENT} {SKELETON}"',
        ),
    )


def _chains(plan: KernelPlan, settings: KernelSettings, target: QueueTarget) -> Iterator[Chain]:
    yield Chain(QUEUE_CHAIN, (_queue_rule(settings, target),))
    others = f"{settings.packet_mark.others:#010x}"
    yield Chain("unmark", (f"meta mark set meta mark & {others}",))
    for way in _WAYS:
        ours = f"meta mark & {settings.packet_mark.mask:#010x} == 0x00000000 return"
        yield Chain(f"unmark_{way.suffix}", (ours, *_dispatch(plan, way, "unmark")))
        yield Chain(f"stamp_{way.suffix}", tuple(_stamp(plan, settings, way)))
        yield Chain(f"guard_{way.suffix}", tuple(_guard(plan, settings, way)))
        yield Chain(f"classify_{way.suffix}", tuple(_dispatch(plan, way, f"guard_{way.suffix}")))


def _queue_rule(settings: KernelSettings, target: QueueTarget) -> str:
    remark = queue_comment(settings)
    if target is QueueTarget.XT:
        return f"# {remark}: xt target NFQUEUE, added by netlink"
    flags = "flags bypass " if settings.fail_mode is FailMode.OPEN else ""
    last = f"-{settings.last_queue}" if settings.queue_count > 1 else ""
    return f'queue {flags}to {settings.queue}{last} comment "{remark}"'


def _dispatch(plan: KernelPlan, way: _Way, target: str) -> Iterator[str]:
    yield f"{way.interface} @managed goto {target}"
    if not plan.wildcard:
        return
    for prefix in plan.workload_prefixes:
        yield f'{way.interface} "{_beginning(prefix)}" return'
    yield f"goto {target}"


def _beginning(prefix: str) -> str:
    # A prefix as long as a name can be has no room for the asterisk and needs none.
    return prefix if len(prefix) == _LONGEST_NAME else f"{prefix}*"


_LONGEST_NAME = 15


def _stamp(plan: KernelPlan, settings: KernelSettings, way: _Way) -> Iterator[str]:
    """Yield what happens to a packet that policy or a failsafe allows.

    A connection is stamped by the last stage it has to pass: what leaves by `lo` comes
    in by `lo` and is judged there too.
    """
    mark = settings.connection_mark
    value = mark.value(plan.generation)
    yield f"meta mark set meta mark & {settings.packet_mark.others:#010x}"
    if way.suffix == "out" and plan.loopback_guarded:
        yield 'oifname "lo" accept'
    # As nft prints it: bits that are set next are not cleared first, and a mask of all
    # bits is left out.
    keep = mark.others | value
    masked = "ct mark" if keep == WORD else f"ct mark & {keep:#010x}"
    yield f'ct mark set {masked} | {value:#010x} comment "{GENERATION_COMMENT} {plan.generation}"'
    yield "accept"


def _guard(plan: KernelPlan, settings: KernelSettings, way: _Way) -> Iterator[str]:
    allowed = f"{settings.packet_mark.allowed:#010x}"
    mark = settings.connection_mark
    yield f"meta mark & {allowed} == {allowed} goto stamp_{way.suffix}"
    yield f"ct mark & {mark.mask:#010x} == {mark.value(plan.generation):#010x} accept"
    # Replies to what was judged, and connections that conntrack's helpers announced.
    yield "ct state established ct direction reply accept"
    yield "ct state related accept"
    yield "ct state established ct status expected accept"
    if settings.established_flows is EstablishedFlows.KEEP:
        yield "ct state established accept"
    if plan.drop_invalid:
        yield f'ct state invalid counter name "invalid_{way.suffix}" drop'
    yield from _failsafe_rules(way)
    if plan.allow_neighbor_discovery:
        counter = f'counter name "neighbor_discovery_{way.suffix}"'
        yield f"icmpv6 type {{ {_NEIGHBOR_DISCOVERY} }} {counter} accept"
    yield f'counter name "queued_{way.suffix}" jump {QUEUE_CHAIN}'
    # Reached only while the queue's chain is empty (render_groundwork).
    yield "accept" if settings.fail_mode is FailMode.OPEN else "drop"


def _failsafe_rules(way: _Way) -> Iterator[str]:
    outcome = f'counter name "failsafe_{way.suffix}" goto stamp_{way.suffix}'
    for ending, address in (("", ""), ("4", f" . ip {way.peer}"), ("6", f" . ip6 {way.peer}")):
        yield f"meta l4proto . th dport{address} @failsafe_{way.suffix}{ending} {outcome}"
    if way.suffix == "in":
        # An answer from a failsafe port of another host proves nothing: its sender chose the port.
        return
    # A session older than the guard, whose first packet since is our server's: conntrack takes that
    # for the original direction. Without these lines an SSH session that prints would hang until its
    # user types. Not a SYN: nobody opens a connection from a failsafe port.
    answer = f'tcp flags != syn / syn,ack counter name "failsafe_{way.suffix}" accept'
    for ending, address in (("", ""), ("4", f" . ip {way.peer}"), ("6", f" . ip6 {way.peer}")):
        yield f"meta l4proto . th sport{address} @failsafe_in{ending} {answer}"


def _sets(plan: KernelPlan) -> tuple[Set, ...]:
    names = tuple(f'"{name}"' for name in plan.interfaces)
    return (
        Set("managed", ("type ifname",), names),
        *_failsafe_sets("failsafe_in", plan.inbound),
        *_failsafe_sets("failsafe_out", plan.outbound),
    )


def _failsafe_sets(name: str, ports: FailsafePorts) -> Iterator[Set]:
    service = "type inet_proto . inet_service"
    anywhere = tuple(f"{_protocol(protocol)} . {port}" for protocol, port in ports.anywhere)
    yield Set(name, (service,), anywhere)
    for family, spans in ((4, ports.v4), (6, ports.v6)):
        elements = tuple(_span_text(family, span) for span in spans)
        yield Set(f"{name}{family}", (f"{service} . ipv{family}_addr", "flags interval"), elements)


def _span_text(family: int, span: PortSpan) -> str:
    return f"{_protocol(span.protocol)} . {span.port} . {_addresses(family, span.first, span.last)}"


def _addresses(family: int, first: int, last: int) -> str:
    text = format_address(family, first)
    if first == last:
        return text
    size = last - first + 1
    if size & (size - 1) or first & (size - 1):
        return f"{text}-{format_address(family, last)}"
    bits = 32 if family == 4 else 128  # noqa: PLR2004 - a family is 4 or 6
    return f"{text}/{bits - size.bit_length() + 1}"


def _protocol(number: int) -> str:
    return _PROTOCOLS.get(number, str(number))


def _reloads(chain: Chain, target: QueueTarget) -> bool:
    return chain.name != QUEUE_CHAIN or target is QueueTarget.NATIVE


def _set_text(one: Set) -> str:
    lines = one.declaration
    if one.elements:
        lines = (*lines, "elements = { " + ",\n\t\t\t     ".join(one.elements) + " }")
    return _block(f"set {one.name}", lines)


def _block(head: str, lines: Iterable[str]) -> str:
    return f"\t{head} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"
