"""What is compared: from no firewall at all to the guard at its three speeds, and nft alone.

Owns how each is started and stopped in the guarded namespace. Must never treat one better than another: the same
queue length, the same buffers, the same flows.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.guard import Guard, absent, end, lay_rules
from nfq_guard.adapters.xtqueue import put_queue_rule
from nfq_guard.kernel.plan import KernelSettings, QueueTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from benchmark.policies import PolicySet
    from benchmark.spaces import Bed

    Start = Callable[["Bed", "PolicySet"], AbstractContextManager["Running"]]

BARE_QUEUE = 77
CHAINS = "chains"
_FAST_PATH = "ct state established,related accept\nct state invalid drop"


@dataclass
class Running:
    """A variant that stands."""

    processes: dict[str, int] = field(default_factory=dict)
    """By role: `controller`, `worker`, `loop`."""
    ready_seconds: float = 0.0
    """From the start of its program, or of nft, until it enforces."""


class Variant(NamedTuple):
    """One row of every table."""

    name: str
    label: str
    start: Start
    needs: tuple[str, ...] = ()
    """Settings of the guard without which it cannot be."""

    def missing(self) -> str:
        """Return why this build cannot run it, or nothing."""
        gone = absent(dict.fromkeys(self.needs, ""))
        return f"this build of nfq-guard has no setting {', '.join(gone)}" if gone else ""


# -- nothing, and nft alone -------------------------------------------------------------------------------


@contextlib.contextmanager
def no_firewall(_bed: Bed, _policies: PolicySet) -> Iterator[Running]:
    """No table, hence no connection tracking."""
    yield Running()


@contextlib.contextmanager
def _ruleset(bed: Bed, text: str) -> Iterator[Running]:
    began = time.monotonic()
    bed.nft(text)
    yield Running(ready_seconds=time.monotonic() - began)


def two_rules(bed: Bed, _policies: PolicySet) -> AbstractContextManager[Running]:
    """The least that is stateful."""
    rules = f"type filter hook input priority filter; policy accept\n{_FAST_PATH}"
    return _ruleset(bed, f"table inet bench {{\nchain input {{\n{rules}\n}}\n}}\n")


def chains(bed: Bed, policies: PolicySet) -> AbstractContextManager[Running]:
    """A chain per policy."""
    return _ruleset(bed, policies.chains())


# -- the bare loop -----------------------------------------------------------------------------------------

_BARE = f"""\
table inet bench {{
chain to_queue {{
%s
}}
chain input {{
type filter hook input priority filter - 5; policy accept
{_FAST_PATH}
jump to_queue
}}
chain input_done {{
type filter hook input priority filter - 4; policy accept
meta mark & 0x00003000 == 0x00001000 ct mark set ct mark & 0x0fffffff | 0x10000000
meta mark set meta mark & 0xffffcfff
}}
}}
"""


@contextlib.contextmanager
def bare_loop(bed: Bed, _policies: PolicySet) -> Iterator[Running]:
    """NetfilterQueue, a callback that marks and accepts, and the chain that finishes it."""
    began = time.monotonic()
    native = bed.queue_target() is QueueTarget.NATIVE
    program = str(Path(__file__).with_name("bare.py"))
    child = bed.guarded.start(
        *(sys.executable, program, str(BARE_QUEUE)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError("the bare loop did not start")
        bed.nft(_BARE % (f"queue to {BARE_QUEUE}" if native else ""))
        if not native:
            with bed.guarded.entered():
                put_queue_rule(KernelSettings(queue=BARE_QUEUE), table="bench", chain="to_queue")
        yield Running({"loop": child.pid}, time.monotonic() - began)
    finally:
        end(child)


# -- the guard ---------------------------------------------------------------------------------------------

GUARDS: Mapping[str, Mapping[str, str]] = {
    "cold": {"flow_table_size": "0", "learned_verdicts": "off"},
    "table": {"learned_verdicts": "off"},
    "learned": {"learned_verdicts": "on"},
}
"""Settings of the guard's variants, beside the defaults."""


def guard(name: str) -> Start:
    """Return how to start a variant of the guard."""

    @contextlib.contextmanager
    def started(bed: Bed, policies: PolicySet) -> Iterator[Running]:
        daemon = Guard(bed, GUARDS[name])
        lay_rules(daemon.rules, policies)
        try:
            seconds = daemon.start()
            yield Running(daemon.processes(), seconds)
        finally:
            daemon.stop()

    return started


VARIANTS: tuple[Variant, ...] = (
    Variant("none", "no firewall", no_firewall),
    Variant("two-rule", "two-rule stateful ruleset", two_rules),
    Variant("bare", "bare NetfilterQueue loop", bare_loop),
    Variant("cold", "guard, nothing remembered", guard("cold")),
    Variant("table", "guard, flow table", guard("table")),
    Variant("learned", "guard, learned verdicts", guard("learned"), ("learned_verdicts",)),
    Variant(CHAINS, "nft, one chain per policy", chains),
)
BY_NAME = {variant.name: variant for variant in VARIANTS}


def usual_guard() -> str:
    """Return the name of the variant that is the guard as users run it: all that this build has, switched on."""
    return "table" if BY_NAME["learned"].missing() else "learned"
