"""Measures on files and of watchers: how long until a policy, or a change of one, is enforced, and what traffic feels.

Owns how each is taken. What counts is what the traffic meets: a change is in force when the first packet gets through
that only the new policy allows.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from benchmark.generators import answer
from benchmark.guard import PER_FILE, Guard, change, lay_rules
from benchmark.policies import SHIFT, PolicySet
from benchmark.traffic import Measured
from benchmark.variants import GUARDS, usual_guard
from benchmark.watching import watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmark.generators import Generators
    from benchmark.plan import Plan
    from benchmark.spaces import Bed

_COMPILE_SECONDS = 600
_RELOAD_SECONDS = 600
_BETWEEN_EDITS = 0.4
"""Seconds. Longer than the time in which edits are taken together."""
_TO_SETTLE = 1.0
_WATCH_US, _WATCH_GENTLY_US = 500, 5_000
"""Microseconds between two packets that look whether a change is in force."""


@dataclass
class Desk:
    """What the measures on files work with."""

    bed: Bed
    generators: Generators
    plan: Plan
    beside: Desk | None = None
    """Another one, for what is compared side by side."""

    @contextlib.contextmanager
    def guard(self, policies: PolicySet, each: int = PER_FILE, name: str = "") -> Iterator[Guard]:
        """Run the guard as users run it, or a variant of it, with `each` policies a file."""
        self.bed.clear()
        daemon = Guard(self.bed, GUARDS[name or usual_guard()])
        lay_rules(daemon.rules, policies, each)
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()

    @contextlib.contextmanager
    def probing(self, name: str, **words: int) -> Iterator[subprocess.Popen[str]]:
        """Run a probe that sends until it is ended."""
        command = self.generators.command("probe", name=name, seconds=_RELOAD_SECONDS, words=words)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None  # noqa: S101 - it is a pipe
                child.stdout.readline()  # `ready`
                yield child
            finally:
                child.kill()

    def edit(
        self, daemon: Guard, policies: PolicySet, policy: int, shift: int, each: int, *, watch_us: int
    ) -> float:
        """Change a policy under the guard and return the seconds until traffic meets the change."""
        self.generators.aim(policies.clients_of(policy, shift=shift), "watch")
        with self.probing("watch", until=1, interval=watch_us) as watch:
            began = change(daemon.rules, policies, policy, shift=shift, each=each)
            said = answer(watch, _RELOAD_SECONDS)
        if not said["arrived"]:
            raise RuntimeError(f"the change of policy {policy} was not in force within {_RELOAD_SECONDS} s")
        return float(said["first_ns"]) / 1e9 - began


def compiling(desk: Desk) -> Measured:
    """Load and compile, in an interpreter of its own."""
    plan = desk.plan
    command = [
        sys.executable,
        "-m",
        "benchmark.compiling",
        str(plan.compile_policies),
        str(plan.compile_sets),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[-2000:])
    return Measured(json.loads(done.stdout), {})


def starting(desk: Desk) -> Measured:
    """Start to enforcing: from the start of the program until /readyz says yes."""
    desk.bed.clear()
    daemon = Guard(desk.bed, GUARDS[usual_guard()])
    lay_rules(daemon.rules, PolicySet(desk.plan.start_policies))
    seconds = []
    for _ in range(desk.plan.starts):
        try:
            seconds.append(daemon.start())
        finally:
            daemon.stop()
    return Measured({"median": statistics.median(seconds), "max": max(seconds)}, {})


def reloading(desk: Desk) -> Measured:
    """From the rename of one policy's file until the change is in force, one file a policy, many edits."""
    policies = PolicySet(desk.plan.reload_policies)
    seconds = []
    with desk.guard(policies, 1) as daemon:
        time.sleep(_TO_SETTLE)
        for number in range(desk.plan.edits):
            # Another policy each time, all over the list: allowed at its other port, and so there is one edit each.
            policy = (2 * number + 1) * policies.count // (2 * desk.plan.edits)
            seconds.append(desk.edit(daemon, policies, policy, SHIFT, 1, watch_us=_WATCH_US))
            time.sleep(_BETWEEN_EDITS)
    return Measured({"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}, {})


def disturbance(desk: Desk) -> Measured:
    """Delay of one new flow a millisecond, while nothing happens and while a large policy is reloaded."""
    policies = PolicySet(desk.plan.disturbance_policies)
    desk.generators.aim(policies.clients)
    with desk.guard(policies) as daemon:
        time.sleep(_TO_SETTLE)
        with desk.probing("clients") as probe:
            time.sleep(desk.plan.disturbance_seconds)
            probe.terminate()
            quiet = answer(probe, _RELOAD_SECONDS)
        with desk.probing("clients", first=quiet["sent"]) as probe:
            seconds = desk.edit(
                daemon, policies, policies.count // 2, SHIFT, PER_FILE, watch_us=_WATCH_GENTLY_US
            )
            time.sleep(_TO_SETTLE)
            probe.terminate()
            busy = answer(probe, _RELOAD_SECONDS)
    values = {
        f"{when}_{name}": said[name]
        for when, said in (("quiet", quiet), ("reload", busy))
        for name in _DELAYS
    }
    sent = quiet["sent"] + busy["sent"]
    return Measured(
        {**values, "reload_seconds": seconds},
        {"sent": sent, "lost": sent - quiet["arrived"] - busy["arrived"]},
    )


_DELAYS = ("p50", "p99", "p999", "max")


class Control(NamedTuple):
    """A measure beside those of traffic, and which parameter says how many policies it takes."""

    measure: Callable[[Desk], Measured]
    policies: Callable[[Plan], int]
    variant: Callable[[], str] = usual_guard
    """Of the guard."""


MEASURES: Mapping[str, Control] = {
    "compile": Control(compiling, lambda plan: plan.compile_policies),
    "start": Control(starting, lambda plan: plan.start_policies),
    "reload": Control(reloading, lambda plan: plan.reload_policies),
    "disturbance": Control(disturbance, lambda plan: plan.disturbance_policies),
    "watching": Control(watching, lambda plan: plan.watch_policies, lambda: "cold"),
}
"""In the order in which they are taken."""
