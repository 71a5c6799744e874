"""Nanoseconds a packet, for each step in a worker's own code: `python -m benchmark.steps`.

Owns a stream of datagrams as the queue's messages hold them, each of a flow that is new. What a packet costs beside
these steps is reading, answering and the kernel's part: the flood's CPU seconds have it.
"""

from __future__ import annotations

import argparse
import gc
import ipaddress
import statistics
import struct
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmark.policies import ENDPOINT, GUARDED, NODE, PolicySet, files, policies
from nfq_guard.compile import compile_ruleset
from nfq_guard.daemon.counters import create_block, map_block
from nfq_guard.daemon.recorder import Recorder
from nfq_guard.daemon.ring import DENIALS, Writer, create_ring
from nfq_guard.daemon.verdicts import Verdicts
from nfq_guard.engine.engine import Engine, Place
from nfq_guard.engine.flowtable import Outcome
from nfq_guard.kernel.plan import FailMode
from nfq_guard.model.flow import Direction, Gate, Stage
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.packet import parse
from nfq_guard.resources import load_or_raise
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nfq_guard.engine.ruleset import Ruleset

AHEAD = 68
"""Bytes of a message ahead of its packet (adapters/queuewire.py)."""
IN = Gate(Stage.NORMAL, Direction.IN)
TURN = 64
"""Packets that are counted together."""
STEPS = {
    "parse": "fields of the packet, as an object",
    "judge": "from bytes to what becomes of it, as at most places",
    "answer": "that, and the answer to the kernel",
    "count": "that, and all counters",
    "tell": "that, and written down for somebody who watches everything",
}
"""Each has what the one before it has, but for `judge`, which makes no object of the packet."""


def ruleset(wanted: PolicySet) -> Ruleset:
    """Return the compiled policy."""
    sources = [Source(f"{at}.yaml", text.encode()) for at, text in enumerate(files(wanted.documents(), 100))]
    inventory = load_or_raise([Source("endpoint.yaml", ENDPOINT.encode()), *sources])
    facts = HostFacts(NODE, {"eth0": Interface("eth0", (GUARDED,), 1)})
    return compile_ruleset(inventory, facts).ruleset


def messages(wanted: PolicySet, number: int) -> list[bytes]:
    """Return that many messages with datagrams of the policies' clients, no two with one source port and client."""
    clients = wanted.clients
    target = ipaddress.IPv4Address(GUARDED).packed
    return [
        bytes(AHEAD)
        + struct.pack("!BBHHHBBH", 0x45, 0, 46, 0, 0, 64, 17, 0)
        + ipaddress.IPv4Address(client.address).packed
        + target
        + struct.pack("!HHHH", 1024 + at // len(clients) % 64_000, client.port, 26, 0)
        + bytes(18)
        for at, client in ((at, clients[at % len(clients)]) for at in range(number))
    ]


def steps(compiled: Ruleset) -> dict[str, Callable[[Sequence[bytes]], None]]:
    """Return what does each step for all of some messages."""
    way = Engine(compiled, lambda _place, match, _: Outcome(match)).way(Place(IN, "eth0"))
    assert way is not None, "eth0 is governed"  # noqa: S101
    verdicts, watched = _verdicts(compiled), _verdicts(compiled)
    watched.watch(deny=True, allow=True, log=True)
    judge, answer = way.judge, verdicts.judge(IN, 1, 0)

    def parses(some: Sequence[bytes]) -> None:
        for message in some:
            parse(message, AHEAD, len(message))

    def judges(some: Sequence[bytes]) -> None:
        for message in some:
            judge(message, AHEAD, len(message))

    def answers(some: Sequence[bytes]) -> None:
        for message in some:
            answer(message, AHEAD, len(message))

    return dict(zip(STEPS, (parses, judges, answers, _counting(verdicts), _counting(watched)), strict=True))


def _counting(verdicts: Verdicts) -> Callable[[Sequence[bytes]], None]:
    answer = verdicts.judge(IN, 1, 0)

    def counts(some: Sequence[bytes]) -> None:
        for begin in range(0, len(some), TURN):
            for message in some[begin : begin + TURN]:
                answer(message, AHEAD, len(message))
            verdicts.publish(0.0)

    return counts


def _verdicts(compiled: Ruleset) -> Verdicts:
    ring = create_ring()
    verdicts = Verdicts(
        map_block(create_block()),
        Recorder(Writer(ring), Writer(ring, DENIALS), print),
        fail_mode=FailMode.CLOSED,
        table_size=0,
        place=lambda gate, _inward, _outward: Place(gate, "eth0"),
        log_rule=lambda *_: None,
        log_fault=print,
    )
    verdicts.install(compiled, tuple(range(len(compiled.counted))))
    return verdicts


def measure(wanted: PolicySet, number: int, rounds: int) -> dict[str, list[float]]:
    """Return nanoseconds a packet for each step, a number for each round; the steps take turns."""
    found: dict[str, list[float]] = {name: [] for name in STEPS}
    todo, some = steps(ruleset(wanted)), messages(wanted, number)
    for run in todo.values():
        run(some[:1000])
    for _ in range(rounds):
        for name, run in todo.items():
            began = time.perf_counter_ns()
            run(some)
            found[name].append((time.perf_counter_ns() - began) / number)
            # `answer` leaves what it met to be counted.
            todo["count"](some[:1])
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="scripts/profile", description=__doc__.partition("\n")[0])
    parser.add_argument("--policies", default="1,100,10000", help="counts of policies")
    parser.add_argument("--packets", type=int, default=50_000, help="packets in a round")
    parser.add_argument("--rounds", type=int, default=7)
    wanted = parser.parse_args()
    counts = [PolicySet(int(count)) for count in wanted.policies.split(",")]
    gc.disable()  # as in a worker
    table = Table("step", *(policies(one.count) for one in counts), "what", box=None, header_style="bold")
    columns = [measure(one, wanted.packets, wanted.rounds) for one in counts]
    for name, what in STEPS.items():
        cells = [f"{statistics.median(column[name]):.0f}" for column in columns]
        table.add_row(name, *cells, what)
    console = Console()
    console.print("Nanoseconds a packet, medians of the rounds, this loop included")
    console.print(table)


if __name__ == "__main__":
    main()
