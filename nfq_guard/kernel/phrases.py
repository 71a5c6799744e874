"""Lines that recur in the rules of the table, and the words that they are made of.

Owns how a plan's marks, failsafe ports and questions are put. Must never know in which chain
a line stands: kernel/rules.py does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.learned import lookups
from nfq_guard.kernel.marks import Code, Stamp
from nfq_guard.kernel.plan import EstablishedFlows, FailMode
from nfq_guard.kernel.text import replaced
from nfq_guard.model.decision import Verdict
from nfq_guard.model.flow import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.kernel.plan import KernelPlan, KernelSettings

QUEUE_CHAIN = "to_queue"

_NEIGHBOR_DISCOVERY = (
    "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect"
)


class Way(NamedTuple):
    """The words in which the two directions differ."""

    suffix: str
    interface: str
    peer: str
    opposite: str
    side: Side


IN = Way("in", "iifname", "saddr", "out", Side.INGRESS)
OUT = Way("out", "oifname", "daddr", "in", Side.EGRESS)


class Phrases:
    """Speaks of one plan."""

    def __init__(self, plan: KernelPlan, settings: KernelSettings) -> None:
        """Prepare the words that recur."""
        self._plan = plan
        self._settings = settings
        mark = settings.packet_mark
        self._bits = f"meta mark & {mark.mask:#010x}"
        self._clear = self._put(Code.NONE)
        self._stray = f"{self._bits} != 0x00000000 {self._clear}"
        # Reached only while the queue's chain is empty (render_groundwork).
        self._unqueued = "accept" if settings.fail_mode is FailMode.OPEN else "drop"

    def _unless_known(self, suffix: str, *, anywhere: bool = True) -> Iterator[str]:
        """Yield what connections meet that are judged already; a new one meets two comparisons.

        While nobody has replied, whoever knows a flow's addresses and ports may send packets of it by any
        interface: what another endpoint's policy said is no evidence then. Behind a reply it is, as in Calico.
        `anywhere`: an endpoint that is alone may have said it here.
        """
        alone = anywhere and not self._plan.several
        yield f"{'' if alone else 'ct state != new '}{self._stamped(Stamp.ALLOWED)} accept"
        yield f"ct state != new jump known_{suffix}"

    def _known(self, suffix: str) -> Iterator[str]:
        # Replies to what was judged, and connections that conntrack's helpers announced.
        yield "ct state established ct direction reply accept"
        yield "ct state related accept"
        yield "ct state established ct status expected accept"
        if self._settings.established_flows is EstablishedFlows.KEEP:
            yield "ct state established accept"
        if self._plan.drop_invalid:
            yield f'ct state invalid counter name "invalid_{suffix}" drop'

    def _learned(self, way: Way) -> Iterator[str]:
        if not self._settings.learned_verdicts:
            return
        denied = "goto refuse" if self._plan.rejects else "drop"
        yield from lookups(way.side, {Verdict.ALLOW: f"goto stamp_{way.suffix}", Verdict.DENY: denied})

    def _failsafes(self, way: Way, outcome: str) -> Iterator[str]:
        yield from self._at_failsafe_ports("dport", way, way.suffix, outcome)

    def _old_answers(self) -> Iterator[str]:
        # A session older than the guard, whose first packet since is our server's: conntrack takes
        # that for the original direction. Without these lines an SSH session that prints would hang
        # until its user types. Not a SYN: nobody opens a connection from a failsafe port. None for
        # what comes in: an answer from a failsafe port of another host proves nothing, its sender
        # chose the port.
        answer = 'tcp flags != syn / syn,ack counter name "failsafe_out" accept'
        yield from self._at_failsafe_ports("sport", OUT, "in", answer)

    def _answers(self, way: Way) -> Iterator[str]:
        # No connection tells an answer from a question here: the other direction's ports do.
        yield from self._at_failsafe_ports("sport", way, way.opposite, "accept")

    def _at_failsafe_ports(self, port: str, way: Way, suffix: str, outcome: str) -> Iterator[str]:
        """Yield a line for each set of failsafes that is not empty: every new connection is looked up there."""
        ports = self._plan.inbound if suffix == IN.suffix else self._plan.outbound
        for ending, address, listed in (
            ("", "", ports.anywhere),
            ("4", f" . ip {way.peer}", ports.v4),
            ("6", f" . ip6 {way.peer}", ports.v6),
        ):
            if listed:
                yield f"meta l4proto . th {port}{address} @failsafe_{suffix}{ending} {outcome}"

    def _neighbors(self, outcome: str) -> Iterator[str]:
        if self._plan.allow_neighbor_discovery:
            yield f"icmpv6 type {{ {_NEIGHBOR_DISCOVERY} }} {outcome}"

    def _ask(self, suffix: str) -> Iterator[str]:
        yield f'counter name "queued_{suffix}" jump {QUEUE_CHAIN}'
        yield self._unqueued

    def _stamp_value(self, stamp: Stamp) -> int:
        return self._settings.connection_mark.value(self._plan.generation, stamp)

    def _stamped(self, stamp: Stamp) -> str:
        return f"ct mark & {self._settings.connection_mark.mask:#010x} == {self._stamp_value(stamp):#010x}"

    def _stamps(self, stamp: Stamp) -> str:
        return replaced("ct mark", self._settings.connection_mark.mask, self._stamp_value(stamp))

    def _judged_before_nat(self, *, negated: bool = False) -> str:
        """Return by what a connection is known that the stage before NAT has judged."""
        values = ", ".join(f"{self._stamp_value(stamp):#010x}" for stamp in (Stamp.PASSED, Stamp.SPARED))
        mask = self._settings.connection_mark.mask
        return f"ct mark & {mask:#010x} {'!=' if negated else '=='} {{ {values} }}"

    def _codes(self) -> str:
        return f"meta mark & {self._settings.packet_mark.codes:#010x}"

    def _has(self, code: Code) -> str:
        return f"{self._codes()} == {self._settings.packet_mark.value(code):#010x}"

    def _put(self, code: Code) -> str:
        mark = self._settings.packet_mark
        return replaced("meta mark", mark.mask, mark.value(code))
