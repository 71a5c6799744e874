"""What it costs verdicts that somebody watches: two guards that remember nothing, side by side, of which one is watched.

Owns the watchers, and that what they say they missed is checked. New flows, some of which are denied, come at full
speed, or at a rate that the guard keeps up with, to one guard and the other in turn.
"""

from __future__ import annotations

import contextlib
import re
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.guard import PROGRAM, end
from benchmark.policies import PolicySet
from benchmark.traffic import Cell, Measured, warm
from benchmark.variants import Running
from nfq_guard.cli.follow import Follower
from nfq_guard.daemon.wishes import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmark.control import Desk
    from benchmark.plan import Plan

BEDS = 2
"""That it takes: one that is watched, one that is not."""
REFUSE_EACH = 50
"""One flow of so many is denied."""
_KEEP_SECONDS = 0.2
_BEGINS_WITHIN = 30.0
_TO_BE_KNOWN, _TO_SUM_UP = 0.3, 1.5
"""Seconds until workers know of a wish, and until a watcher has said what it lost: it does so once a second."""
_RINGS = "memfd:nfq-guard-verdicts"
"""What a process that reads rings has mapped."""
_MISSED = re.compile(r"not watching for ([\d.]+) s: (\d+) verdicts")
_SUMMARY = re.compile(r"(\d+) shown of (\d+) read, (\d+) lost")


class Look(NamedTuple):
    """Some floods one behind the other: verdicts, and what they took."""

    verdicts: int
    seconds: float
    used: Mapping[str, float]
    """CPU seconds by role."""
    lost: Mapping[str, int]

    @property
    def rate(self) -> float:
        """Verdicts a second."""
        return self.verdicts / max(self.seconds, 1e-9)

    def numbers(self, name: str) -> dict[str, float]:
        """Return the verdicts a second, and the CPU seconds that 100,000 of them took each process."""
        per = 100_000 / max(self.verdicts, 1)
        used = {f"{name}_{role}_cpu": seconds * per for role, seconds in self.used.items()}
        return {name: self.rate, **used}


def together(looks: Sequence[Look]) -> Look:
    """Return several looks as one."""
    used = {role: sum(look.used[role] for look in looks) for role in looks[0].used}
    lost = added(look.lost for look in looks)
    return Look(sum(look.verdicts for look in looks), sum(look.seconds for look in looks), used, lost)


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sum of each number; those that are nothing stay."""
    total: dict[str, int] = {}
    for each in counts:
        total |= {name: total.get(name, 0) + number for name, number in each.items()}
    return total


class Said(NamedTuple):
    """What `nfq-guard watch` said as it ended."""

    shown: int
    read: int
    """Those that others wished for, too."""
    lost: int
    missed: int
    """Not written down, since nobody watched."""


class Post:
    """A guard with traffic, and watchers that come and go."""

    def __init__(self, cell: Cell, control: Path) -> None:
        """Watch over this control socket."""
        self._cell = cell
        self._control = control
        self._said = cell.bed.work / "watcher.log"

    def flood(self, rate: int) -> Look:
        """Send flows, at full speed without a rate."""
        cell = self._cell
        flows = min(cell.most_flows, cell.plan.watch_flows)
        words = {"flows": flows, "first": cell.take(flows), "refuse": REFUSE_EACH, "rate": rate}
        said, used, lost = cell.observe("flood", cell.plan.seconds, **words)
        gone = {"sent": said["sent"], "lost": said["sent"] - said["arrived"], "stalls": said["stalls"]}
        return Look(said["arrived"] + said["unwanted"], said["seconds"], used, {**gone, **lost})

    @contextlib.contextmanager
    def command(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """Run `nfq-guard watch`, whose lines nobody reads."""
        words = (PROGRAM, "watch", "--control", str(self._control), *options)
        with self._said.open("w", encoding="utf-8") as said:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, text=True
            )
        self._cell.running.processes["watcher"] = child.pid
        try:
            _wait_until_watching(child)
            yield child
            child.send_signal(signal.SIGCONT)
            time.sleep(_TO_SUM_UP)
        finally:
            child.send_signal(signal.SIGCONT)
            end(child)
            del self._cell.running.processes["watcher"]

    def said(self) -> Said:
        """Return what the last command said; RuntimeError if it ended without a word."""
        text = self._said.read_text(encoding="utf-8")
        summary = _SUMMARY.search(text)
        if summary is None:
            raise RuntimeError(f"the watcher did not sum up: {text.strip()[-500:]}")
        missed = sum(int(number) for _, number in _MISSED.findall(text))
        return Said(int(summary[1]), int(summary[2]), int(summary[3]), missed)

    @contextlib.contextmanager
    def renewing(self, *verdicts: str) -> Iterator[Follower]:
        """Wish for these again and again, and read none."""
        follower, ended = Follower(str(self._control), verdicts, lambda _text: None), threading.Event()
        follower.connect()

        def keep() -> None:
            while not ended.wait(_KEEP_SECONDS):
                follower.keep()

        thread = threading.Thread(target=keep)
        thread.start()
        try:
            time.sleep(_TO_BE_KNOWN)
            yield follower
        finally:
            ended.set()
            thread.join()
            follower.close()


def _wait_until_watching(child: subprocess.Popen[str]) -> None:
    maps, deadline = Path(f"/proc/{child.pid}/maps"), time.monotonic() + _BEGINS_WITHIN
    while _RINGS not in maps.read_text(encoding="utf-8"):
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the watcher does not begin")
        time.sleep(0.05)
    time.sleep(_TO_BE_KNOWN)


class Posts(NamedTuple):
    """The two guards."""

    alone: Post
    watched: Post

    def flood(self, name: str, *, pairs: int = 1, seconds: float = 0.0, rate: int = 0) -> Measured:
        """Send flows to one and the other, so many times and for so many seconds at the least."""
        until = time.monotonic() + seconds
        found: dict[Post, list[Look]] = {post: [] for post in self}
        done = 0
        while done < pairs or time.monotonic() < until:
            # Neither is always the first one.
            for post in (self.watched, self.alone) if done % 2 == 0 else self:
                found[post].append(post.flood(rate))
            done += 1
        alone, watched = (together(found[post]) for post in self)
        pairs_of = zip(found[self.alone], found[self.watched], strict=True)
        values = {
            # Each of two looks that follow each other: what slows the machine for a while slows both, mostly.
            f"{name}_ratio": statistics.median(with_.rate / without.rate for without, with_ in pairs_of),
            **alone.numbers(f"{name}_alone"),
            **watched.numbers(name),
            f"{name}_verdicts": watched.verdicts,
        }
        return Measured(values, added((alone.lost, watched.lost)))


def watching(desk: Desk) -> Measured:
    """Verdicts a second with watchers of several kinds, and with none."""
    assert desk.beside is not None, "there are two beds"  # noqa: S101
    policies, plan = PolicySet(desk.plan.watch_policies), desk.plan
    with contextlib.ExitStack() as stack:
        posts = Posts(*(stack.enter_context(_standing(one, policies)) for one in (desk, desk.beside)))
        found = [measure(posts, plan) for measure in (_stopped, _recorded, _renewing, _denied, _paced)]
    values = {name: value for each in found for name, value in each.values.items()}
    return Measured(values, added(each.lost for each in found))


@contextlib.contextmanager
def _standing(desk: Desk, policies: PolicySet) -> Iterator[Post]:
    desk.generators.aim(policies.clients)
    with desk.guard(policies, name="cold") as daemon:
        running = Running(daemon.processes())
        cell = Cell(desk.bed, desk.generators, running, desk.plan, len(policies.clients))
        warm(cell)
        yield Post(cell, daemon.control)


def _stopped(posts: Posts, plan: Plan) -> Measured:
    """One that asks for everything and is stopped."""
    with posts.watched.command() as child:
        child.send_signal(signal.SIGSTOP)
        found = posts.flood("stopped", seconds=plan.watch_seconds)
    said = posts.watched.said()
    if not said.missed:
        raise RuntimeError(f"the stopped watcher told of nothing that it missed: {said}")
    accounted = 100 * (said.read + said.lost + said.missed) / found.values["stopped_verdicts"]
    told = {"stopped_lost": said.lost, "stopped_missed": said.missed, "stopped_accounted": accounted}
    return Measured({**found.values, **told}, found.lost)


def _recorded(posts: Posts, plan: Plan) -> Measured:
    """One that wishes for everything and reads none: what a record costs."""
    with posts.watched.renewing("allow", "deny", "log"):
        found = posts.flood("recorded", pairs=plan.watch_looks)
    # Nothing is to be written down for this one any more while the next one is looked at.
    time.sleep(LEASE_SECONDS + _TO_BE_KNOWN)
    return found


def _renewing(posts: Posts, plan: Plan) -> Measured:
    """One that wishes for denials and reads none."""
    with posts.watched.renewing("deny") as follower:
        found = posts.flood("renewing", pairs=plan.watch_looks)
        while follower.read():
            pass
        lost = follower.lost
    return Measured({**found.values, "renewing_lost": lost}, found.lost)


def _denied(posts: Posts, plan: Plan) -> Measured:
    """One that shows denials, at full speed."""
    return _shown("denied", posts, pairs=plan.watch_looks)


def _paced(posts: Posts, plan: Plan) -> Measured:
    """One that shows denials, at a rate that is offered and no more."""
    return _shown("paced", posts, pairs=(plan.watch_looks + 1) // 2, rate=plan.watch_rate)


def _shown(name: str, posts: Posts, *, pairs: int, rate: int = 0) -> Measured:
    with posts.watched.command("--denied"):
        found = posts.flood(name, pairs=pairs, rate=rate)
    said = posts.watched.said()
    return Measured({**found.values, f"{name}_shown": said.shown, f"{name}_lost": said.lost}, found.lost)
