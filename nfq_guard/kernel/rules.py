"""The rules of the table, stage by stage.

Owns every rule of every regular chain. Must never read the kernel: equal plans give equal rules. Names are
checked by kernel/plan.py, everything else here is a number.

A base chain's only rule jumps to a regular chain, which a reload may change. Ahead of
a base chain that queues, on the same hook, another takes our bits off packets: whoever
set them (a local program's SO_MARK, another table, the output side of loopback), it was
not the worker. Where a stage before NAT stands, it does so for all packets.

What a stage before NAT said, the later ones read off the connection's mark, together with
the generation: a packet's mark is saved and restored by others, whole, and would go on
saying what policy said long ago. Only an untracked packet has it in its own mark: nothing
can be saved of it.

The worker allows by "repeat" with a code in the packet mark: the kernel runs the base
chain once more, which takes the code off again and writes the generation into `ct mark`.
Why repeat, and not accept with a chain behind that stamps: an output packet whose mark
differs after the queue is routed again by that mark (nf_ip_reroute), which breaks
`ip rule fwmark`; here it is the same again. And a packet that the kernel lets by unjudged
(no worker and bypass, or queue full and fail-open) goes on to the next base chain: a
stamping chain there could not tell it from a judged one on output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.kernel import ways
from nfq_guard.kernel.marks import REFUSED, Code, Stamp
from nfq_guard.kernel.phrases import IN, OUT, QUEUE_CHAIN, Phrases, Way
from nfq_guard.kernel.plan import FailMode, QueueTarget, Section
from nfq_guard.kernel.text import Chain, starting_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.kernel.plan import KernelPlan, KernelSettings

GENERATION_COMMENT = "generation"

_WORKLOAD_ICMPV6 = (
    "mld-listener-query, mld-listener-report, mld-listener-done, "
    "nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert"
)


_SENT_ELSEWHERE = "ct status dnat ct direction original fib saddr type local"
"""The host's own packets whose connection DNAT has sent elsewhere. By source address and not by
`iif 0`: what leaves through a tunnel of the host has the tunnel for its incoming interface."""


def queue_comment(settings: KernelSettings) -> str:
    """Return the remark on the rule that queues: how a reload sees whether it is still right."""
    mode = "bypass" if settings.fail_mode is FailMode.OPEN else "no bypass"
    return f"queue {settings.queue}-{settings.last_queue} {mode}"


class Rules(Phrases):
    """Writes the regular chains of a plan."""

    def __init__(self, plan: KernelPlan, settings: KernelSettings, target: QueueTarget) -> None:
        """Prepare the words that recur."""
        super().__init__(plan, settings)
        self._target = target
        # Where policy that is enforced may have allowed a packet at an earlier stage. Staged policy
        # allows nothing: what is asked for its sake alone has earned no trust.
        self._early_in = bool(plan.pre_dnat or plan.untracked_in)
        self._early_out = bool(plan.untracked_out)

    def chains(self, section: Section) -> tuple[Chain, ...]:
        """Return a section's regular chains, each ahead of those that jump to it."""
        written = {
            Section.LOCAL: self._local,
            Section.FORWARD: self._forward,
            Section.PRE_DNAT: self._pre_dnat,
            Section.UNTRACKED_IN: self._untracked_in,
            Section.UNTRACKED_OUT: self._untracked_out,
        }[section]()
        return tuple(Chain(name, tuple(lines)) for name, lines in written)

    # -- sections -----------------------------------------------------------

    def _local(self) -> Iterator[tuple[str, Iterator[str]]]:
        yield QUEUE_CHAIN, iter((self._queue_rule(),))
        yield "unmark", iter((self._clear,))
        yield "refuse", self._refuse()
        yield "unmark_in", self._unmark(self._earned_in(), self._inward("unmark", "unmark"))
        yield "stamp_in", self._stamp()
        yield "admit_in", self._admit("in")
        yield "answer_in", self._answer("in", spared="goto admit_in" if self._early_in else "drop")
        yield "known_in", self._known("in")
        yield "guard_in", self._guard(IN)
        yield "from_workload", self._from_workload()
        yield "classify_in", self._inward("guard_in", "from_workload")
        yield "unmark_out", self._unmark(self._earned_out(), self._outward("unmark"))
        yield "stamp_out", self._stamp(leaving=True)
        yield "admit_out", self._admit("out")
        yield "answer_out", self._answer("out")
        yield "known_out", self._known("out")
        yield "guard_out", self._guard(OUT)
        yield "classify_out", self._classify_out()
        yield "unmark_rerouted", self._unmark_rerouted()
        yield "answer_rerouted", iter((f"{self._has(Code.ALLOWED)} goto admit_out", "drop"))
        yield "guard_rerouted", self._guard_rerouted()
        yield "sort_rerouted", self._outward("guard_rerouted")
        yield "classify_rerouted", iter((f"{_SENT_ELSEWHERE} goto sort_rerouted",))

    def _forward(self) -> Iterator[tuple[str, Iterator[str]]]:
        crossing = ways.crossing(self._plan, "goto unmark", "goto unmark")
        yield "unmark_forward", self._unmark(self._earned_in(), crossing)
        yield "stamp_forward", self._stamp()
        yield "admit_forward", self._admit("forward")
        yield "answer_forward", self._answer("forward", spared="" if self._early_in else "drop")
        yield "known_forward", self._known("forward")
        yield "guard_forward", self._guard_forward()
        yield "classify_forward", self._classify_forward()

    def _pre_dnat(self) -> Iterator[tuple[str, Iterator[str]]]:
        yield "unmark_pre_dnat", self._unmark_pre_dnat()
        yield "pass_pre_dnat", self._note(Stamp.PASSED)
        yield "spare_pre_dnat", self._note(Stamp.SPARED)
        yield "answer_pre_dnat", self._answer_pre_dnat()
        yield "known_pre_dnat", self._known("pre_dnat")
        yield "guard_pre_dnat", self._guard_pre_dnat()
        yield "classify_pre_dnat", self._classify_pre_dnat()

    def _untracked_in(self) -> Iterator[tuple[str, Iterator[str]]]:
        yield "guard_untracked_in", self._guard_untracked_in()
        yield "classify_untracked_in", self._classify_untracked_in()
        yield "exempt", self._exempt()
        yield "untrack_in", self._untrack_in()

    def _untracked_out(self) -> Iterator[tuple[str, Iterator[str]]]:
        yield "unmark_untracked_out", iter((self._stray,))
        yield "untrack_out", iter(("notrack", self._put(Code.EARLY), "accept"))
        yield "guard_untracked_out", self._guard_untracked_out()
        unmarked = f"{self._bits} == 0x00000000"
        classify = ways.untracked_out(self._plan, "guard_untracked_out", unmarked)
        yield "classify_untracked_out", classify
        yield "spare_out", self._spare_out()

    # -- which packets --------------------------------------------------------

    def _unmark(self, earned: list[str], dispatch: Iterator[str]) -> Iterator[str]:
        """Yield what takes our bits off, unless the packet can have earned them at an earlier stage.

        Another table may set the very bits between that stage and here.
        """
        yield f"{self._bits} == 0x00000000 return"
        for where in earned:
            yield f"{where}{self._has(Code.SPARED)} ct state untracked return"
        if earned:
            yield f"{self._has(Code.SPARED)} goto unmark"
        yield from dispatch

    def _earned_in(self) -> list[str]:
        """Return by what untracked packets are known that a stage before NAT may have allowed."""
        untracked = ["iifname @exempt_in "] if self._plan.untracked_in else []
        return untracked + ([ways.guarded_before_nat(self._plan)] if self._plan.pre_dnat else [])

    def _earned_out(self) -> list[str]:
        """Return the same of packets going out: any of them."""
        return [""] if self._early_out else []

    def _inward(self, host: str, workload: str) -> Iterator[str]:
        yield f"iifname {self._managed()} goto {host}"
        for prefix in self._plan.workload_prefixes:
            yield f'iifname "{starting_with(prefix)}" goto {workload}'
        if self._plan.wildcard:
            yield f"goto {host}"

    def _managed(self) -> str:
        """Return the interfaces with an endpoint of their own: comparing with one name is quicker than a look-up."""
        return f'"{self._plan.interfaces[0]}"' if len(self._plan.interfaces) == 1 else "@managed"

    def _outward(self, host: str) -> Iterator[str]:
        yield f"oifname {self._managed()} goto {host}"
        if self._plan.wildcard:
            for prefix in self._plan.workload_prefixes:
                yield f'oifname "{starting_with(prefix)}" return'
            yield f"goto {host}"

    def _classify_out(self) -> Iterator[str]:
        if self._early_out:
            yield f"{self._has(Code.SPARED)} goto unmark"
        yield from self._outward("guard_out")

    def _classify_forward(self) -> Iterator[str]:
        yield from ways.forward(self._plan, "guard_forward")
        # Nobody has to be asked here any more. What the stage before NAT said it knows itself.
        if self._early_in:
            yield f"{self._has(Code.SPARED)} goto unmark"

    def _classify_untracked_in(self) -> Iterator[str]:
        yield self._stray
        yield from ways.untracked_in(self._plan, "guard_untracked_in")

    def _untrack_in(self) -> Iterator[str]:
        if self._plan.untracked_in:
            yield f"{self._has(Code.SPARED)} goto exempt"
        yield self._stray

    def _unmark_pre_dnat(self) -> Iterator[str]:
        yield f"{self._bits} == 0x00000000 return"
        if self._plan.untracked_in:
            yield f"iifname @exempt_in {self._has(Code.SPARED)} ct state untracked return"
        yield self._clear

    def _classify_pre_dnat(self) -> Iterator[str]:
        yield from (f"{way.where}{way.how}" for way in ways.before_nat(self._plan, "guard_pre_dnat"))

    def _unmark_rerouted(self) -> Iterator[str]:
        yield f"{self._bits} == 0x00000000 return"
        yield from self._outward("unmark")

    # -- what happens to them -------------------------------------------------

    def _guard(self, way: Way) -> Iterator[str]:
        yield f"{self._codes()} != 0x00000000 goto answer_{way.suffix}"
        yield from self._unless_known(way.suffix)
        if way is IN and self._early_in:
            yield from self._spared("goto stamp_in")
        if way is OUT:
            # Judged behind routing, by the interface that it leaves by.
            yield f"{_SENT_ELSEWHERE} accept"
        yield from self._learned(way)
        yield from self._failsafes(way, f'counter name "failsafe_{way.suffix}" goto stamp_{way.suffix}')
        if way is OUT:
            yield from self._old_answers()
        yield from self._neighbors(f'counter name "neighbor_discovery_{way.suffix}" accept')
        yield from self._ask(way.suffix)

    def _from_workload(self) -> Iterator[str]:
        plan = self._plan
        yield f"{self._has(Code.ALLOWED)} goto admit_in"
        yield f"{self._has(REFUSED)} goto refuse"
        if self._early_in:
            # What `*` allows before DNAT does not spare the workload its action.
            yield f"{self._has(Code.SPARED)} {self._clear}"
        yield from self._unless_known("in", anywhere=False)
        yield f"icmpv6 type {{ {_WORKLOAD_ICMPV6} }} accept"
        if plan.workloads:
            yield f'iifname @workloads counter name "queued_in" jump {QUEUE_CHAIN}'
            yield f"iifname @workloads {self._unqueued}"
        yield 'counter name "endpoint_to_host" drop' if plan.drop_to_host else "goto stamp_in"

    def _guard_forward(self) -> Iterator[str]:
        yield f"{self._codes()} != 0x00000000 goto answer_forward"
        yield from self._unless_known("forward")
        if self._early_in:
            yield from self._spared(self._put(Code.SPARED))
        yield from self._ask("forward")

    def _spared(self, outcome: str) -> Iterator[str]:
        """Yield what becomes of packets that the stage before NAT allows, by the interfaces at which it was asked."""
        where = [""]
        if self._plan.several:
            where = [ways.guarded_before_nat(self._plan)] if self._plan.pre_dnat else []
            # What came by loopback has a connection since it went out, and is in no other way untracked.
            where += ['iifname "lo" '] if "lo" in self._plan.untracked_in else []
        yield from (f"{one}{self._stamped(Stamp.SPARED)} {outcome}" for one in where)

    def _guard_rerouted(self) -> Iterator[str]:
        yield f"{self._codes()} != 0x00000000 goto answer_rerouted"
        yield from self._unless_known("out")
        yield from self._failsafes(OUT, 'counter name "failsafe_out" goto stamp_out')
        yield from self._ask("out")

    def _guard_pre_dnat(self) -> Iterator[str]:
        yield f"{self._codes()} != 0x00000000 goto answer_pre_dnat"
        yield from self._unless_known("pre_dnat")
        replied = "ct state != new " if self._plan.several else ""
        yield f"{replied}{self._judged_before_nat()} accept"
        yield from self._failsafes(IN, "goto pass_pre_dnat")
        yield from self._neighbors("accept")
        yield from self._ask("pre_dnat")

    def _answer_pre_dnat(self) -> Iterator[str]:
        # Without a connection there is nothing to write into: the packet keeps the code.
        yield f"{self._has(Code.SPARED)} ct state untracked accept"
        yield f"{self._has(Code.SPARED)} goto spare_pre_dnat"
        yield f"{self._has(Code.ALLOWED)} goto pass_pre_dnat"
        yield "drop"

    def _guard_untracked_in(self) -> Iterator[str]:
        yield from self._failsafes(IN, "accept")
        yield from self._answers(IN)
        yield from self._neighbors("accept")
        yield self._put(Code.EARLY)
        yield from self._ask("untracked_in")

    def _guard_untracked_out(self) -> Iterator[str]:
        yield f"{self._has(Code.SPARED)} goto untrack_out"
        yield from self._failsafes(OUT, "accept")
        yield from self._answers(OUT)
        yield from self._neighbors("accept")
        # By this code, a packet that is exempt already is not taken for one that we exempted.
        yield f"ct state untracked {self._put(Code.ALLOWED)}"
        yield f"ct state != untracked {self._put(Code.EARLY)}"
        yield from self._ask("untracked_out")

    def _exempt(self) -> Iterator[str]:
        yield "notrack"
        yield "ct state untracked accept"
        # What came by loopback has a connection since it went out.
        yield self._clear
        yield f"ct direction original {self._stamps(Stamp.SPARED)}"

    def _spare_out(self) -> Iterator[str]:
        if self._early_out:
            exempted = f"{self._has(Code.EARLY)} ct state untracked"
            yield f"oifname @exempt_out {exempted} {self._put(Code.SPARED)} return"
        yield self._stray

    def _answer(self, suffix: str, spared: str = "drop") -> Iterator[str]:
        """Yield what the worker's answers come to; `spared` empty: ask, and say that it was."""
        yield f"{self._has(Code.ALLOWED)} goto admit_{suffix}"
        yield f"{self._has(REFUSED)} goto refuse"
        if spared:
            yield spared
        else:
            yield from self._ask(suffix)

    def _refuse(self) -> Iterator[str]:
        yield self._clear
        yield "meta l4proto tcp reject with tcp reset"
        yield "reject with icmpx admin-prohibited"

    def _admit(self, suffix: str) -> Iterator[str]:
        """Yield what happens to a packet that carries a code of ours and is allowed."""
        yield self._clear
        yield f"goto stamp_{suffix}"

    def _stamp(self, *, leaving: bool = False) -> Iterator[str]:
        """Yield what happens to a packet that policy or a failsafe allows.

        A connection is stamped by the last stage it has to pass: what leaves by `lo` comes
        in by `lo` and is judged there too. And only if it has passed the one before NAT:
        a packet may come by that one unjudged (fail-open, or it waited elsewhere while the
        stage came into being).
        """
        if leaving and self._plan.loopback_guarded:
            yield 'oifname "lo" accept'
        if not leaving and self._plan.pre_dnat:
            yield f"{ways.guarded_before_nat(self._plan)}{self._judged_before_nat(negated=True)} accept"
        yield f'{self._stamps(Stamp.ALLOWED)} comment "{GENERATION_COMMENT} {self._plan.generation}"'
        yield "accept"

    def _note(self, stamp: Stamp) -> Iterator[str]:
        """Yield what happens to a packet that a stage before NAT has judged."""
        yield self._clear
        yield self._stamps(stamp)
        yield "accept"

    def _queue_rule(self) -> str:
        settings = self._settings
        remark = queue_comment(settings)
        if self._target is QueueTarget.XT:
            return f"# {remark}: xt target NFQUEUE, added by netlink"
        flags = "flags bypass " if settings.fail_mode is FailMode.OPEN else ""
        last = f"-{settings.last_queue}" if settings.queue_count > 1 else ""
        return f'queue {flags}to {settings.queue}{last} comment "{remark}"'
