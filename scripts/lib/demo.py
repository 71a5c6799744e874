"""Shows nfq-guard's main job on real traffic: called by scripts/demo, inside the virtual environment.

Builds two joined namespaces, guards one of them with the shipped rules, and tries every flow of
rules/expect/*.jsonl for real. Each attempt must end as expected, be explained by `nfq-guard decide`, and move
the counter of the rule that decided. Always takes its namespaces and processes away again, unless told to keep them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import leftovers
from demo_net import Attempt, connect, listen
from demo_sheet import RULES, Sheet, by, counter_of, lay_rules, outbound, row_of, summary, way
from namespaces import Namespace, run
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Metric

    Document = dict[str, Any]
    Counters = dict[tuple[str, ...], float]

PREFIX = "nfq-guard-demo-"
GUARD = str(Path(sys.executable).with_name("nfq-guard"))
METRICS = ("127.0.0.1", 9091)
START_SECONDS = 20.0
ATTEMPT_SECONDS = 8.0
SILENCE_SECONDS = 0.25
"""How much longer an answer may take once the counter says that the packet was dropped."""
SHOWN = ("nfq_guard_verdicts_total", "nfq_guard_queue_dropped_total", "nfq_guard_generation")
out = Console(soft_wrap=True, highlight=False)


class Interruption:
    """A signal that asks us to stop. It is noted, and heeded between two steps.

    An exception in the middle of a step could lose sight of a child that has just been started.
    """

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.number = 0

    def note(self, number: int, _frame: object) -> None:
        """Handle a signal."""
        self.number = number

    def heed(self) -> None:
        """Leave, if we have been asked to, with the exit code that says so."""
        if self.number:
            raise SystemExit(128 + self.number)


interruption = Interruption()


@dataclass
class Demo:
    """Everything the demo has made, in the order in which it takes it away again."""

    sheets: tuple[Sheet, ...]
    work: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix=PREFIX)))
    daemon: subprocess.Popen[str] | None = None
    failures: int = 0

    def __post_init__(self) -> None:
        """Name the two namespaces after the folder, which is this demo's alone."""
        tag = self.work.name.removeprefix(PREFIX)
        self.host, self.peer = Namespace(f"guarded-{tag}"), Namespace(f"others-{tag}")
        self.control = str(self.work / "control.sock")
        self.rules = self.work / "rules"
        self.log = self.work / "guard.log"
        self.remember(keep=False)

    def remember(self, *, keep: bool) -> None:
        """Write down what there is to clean up, for a later call if this one cannot."""
        children = [*self.host.children, *self.peer.children]
        names = [self.host.name, self.peer.name]
        leftovers.remember(self.work, names, [child.pid for child in children], keep=keep)

    # -- setting up -----------------------------------------------------------------------------------

    def build(self) -> None:
        """Make the network, its listeners, and the rules folder of the first sheet."""
        flows = [row["flow"] for sheet in self.sheets for row in sheet.rows]
        others = sorted({flow["dst"] if outbound(flow) else flow["src"] for flow in flows})
        connect(self.host, self.peer, self.sheets[0].own, others)
        for space, guarded in ((self.host, True), (self.peer, False)):
            services = [
                (flow["protocol"], flow["dst"], flow["dport"])
                for flow in flows
                if "dport" in flow and outbound(flow) is not guarded
            ]
            listen(space, services)
            self.remember(keep=False)
        lay_rules(self.rules, self.sheets[0])

    def start(self) -> None:
        """Start the guard and wait until kernel and worker enforce."""
        command = (GUARD, "run", "--rules", str(self.rules), "--node", self.sheets[0].node)
        places = ("--control", self.control, "--state", str(self.work / "state"))
        with self.log.open("a", encoding="utf-8") as log:
            self.daemon = self.host.start(*command, *places, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.remember(keep=False)
        self.wait(lambda: self.fetch("/readyz").startswith("HTTP/1.1 200"), "the guard is not ready")

    def change_rules(self, sheet: Sheet) -> None:
        """Put another rules folder in place of the old, under the running guard."""
        before = self.gauge("nfq_guard_generation")
        fresh, old = self.work / "rules.new", self.work / "rules.old"
        lay_rules(fresh, sheet)
        self.rules.rename(old)
        fresh.rename(self.rules)
        shutil.rmtree(old)
        self.wait(
            lambda: (
                self.gauge("nfq_guard_generation") != before and not self.gauge("nfq_guard_config_load_error")
            ),
            "the changed rules are not in force",
        )

    def wait(self, probe: Callable[[], bool], otherwise: str) -> None:
        """Ask until it is so; RuntimeError with the guard's own log after some seconds."""
        deadline, waiter = time.monotonic() + START_SECONDS, threading.Event()
        while not probe():
            interruption.heed()
            dead = self.daemon is not None and self.daemon.poll() is not None
            if dead or time.monotonic() > deadline:
                raise RuntimeError(f"{otherwise}; its log:\n{self.log.read_text(encoding='utf-8')}")
            waiter.wait(0.01)

    # -- asking the guard ---------------------------------------------------------------------------------

    def fetch(self, path: str) -> str:
        """Return the guard's answer to a GET, head and body, or nothing where nobody answers."""
        try:
            with self.host.entered(), socket.create_connection(METRICS, timeout=5) as sock:
                sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                return (
                    b"".join(iter(lambda: sock.recv(65536), b"")).decode().replace("HTTP/1.0", "HTTP/1.1", 1)
                )
        except OSError:
            return ""

    def scrape(self) -> list[Metric]:
        """Return the metric families of a scrape."""
        return list(text_string_to_metric_families(self.fetch("/metrics").partition("\r\n\r\n")[2]))

    def gauge(self, name: str) -> float:
        """Return the value of a metric without labels, -1 where there is none."""
        values = [
            sample.value for family in self.scrape() for sample in family.samples if sample.name == name
        ]
        return values[0] if values else -1.0

    def counters(self) -> Counters:
        """Return the counters that say who decided: by rule, and by reason ahead of policy."""
        found: Counters = {}
        for family in self.scrape():
            for sample in family.samples:
                labels = sample.labels
                if sample.name == "nfq_guard_policy_verdicts_total":
                    key = (labels["policy"], labels["rule"], labels["direction"], labels["action"])
                    found[key] = found.get(key, 0.0) + sample.value
                elif sample.name == "nfq_guard_verdicts_total":
                    found[labels["reason"], labels["direction"], labels["verdict"]] = sample.value
        return found

    def decide(self, sheet: Sheet) -> list[Document]:
        """Ask `nfq-guard decide`, on the guarded host, about every flow of a sheet."""
        text = "".join(json.dumps(row["flow"]) + "\n" for row in sheet.rows)
        with self.host.entered():
            answers = run(GUARD, "decide", "--rules", str(self.rules), "--node", sheet.node, "-", text=text)
        return [json.loads(line) for line in answers.splitlines()]

    # -- attempts --------------------------------------------------------------------------------------------

    def try_all(self, sheet: Sheet) -> None:
        """Try every flow of a sheet and say how it went."""
        out.print(f"\n[bold]{escape(sheet.title)}[/]")
        out.print(f"[dim]   {row_of('attempt', 'from → to', 'meant', 'happened', 'decided by')}[/]")
        for row, verdict in zip(sheet.rows, self.decide(sheet), strict=True):
            self.try_one(sheet, row, verdict)

    def try_one(self, sheet: Sheet, row: Document, verdict: Document) -> None:
        """Send one flow for real; compare what happened, what `decide` says and which counter moved."""
        flow, expected = row["flow"], row["expect"]
        key = counter_of(sheet, expected, flow)
        before = self.counters().get(key, 0.0)
        attempt = Attempt(self.host if outbound(flow) else self.peer, flow)
        try:
            answered, moved = self._watch(attempt, key, before, hope=expected["verdict"] == "allow")
        finally:
            attempt.close()
        problems = []
        if answered != (expected["verdict"] == "allow"):
            problems.append("the traffic")
        if not moved:
            problems.append(f"the counter {key} (it did not move)")
        told = summary(verdict)
        if told != expected:
            problems.append(f"`nfq-guard decide`, which should say {json.dumps(expected)}")
        self._report(row, told, answered=answered, moved=moved, problems=problems)

    def _watch(
        self, attempt: Attempt, key: tuple[str, ...], before: float, *, hope: bool
    ) -> tuple[bool, float]:
        """Return whether an answer came, and by how much the counter moved.

        With hope for an answer, wait for both. Without, silence counts from when the counter has moved.
        """
        deadline = time.monotonic() + ATTEMPT_SECONDS
        answered, moved = False, 0.0
        while not (answered and moved) and time.monotonic() < deadline:
            interruption.heed()
            answered = answered or attempt.answered(0.01)
            if not moved:
                moved = self.counters().get(key, 0.0) - before
                if moved and not hope:
                    deadline = time.monotonic() + SILENCE_SECONDS
        return answered, moved

    def _report(
        self, row: Document, told: Document, *, answered: bool, moved: float, problems: list[str]
    ) -> None:
        expected = row["expect"]
        mark = "[red]✗[/]" if problems else "[green]✓[/]"
        happened = "answered" if answered else "silence"
        line = row_of(
            row["says"], way(row["flow"]), expected["verdict"], happened, f"{by(told)} +{moved:.0f}"
        )
        out.print(f" {mark} {escape(line)}")
        for problem in problems:
            self.failures += 1
            out.print(f"     [red]differs:[/] {escape(problem)}")

    def show_counters(self) -> None:
        """Print what Prometheus would scrape, as far as it has moved."""
        out.print("\n[bold]Scraped from /metrics[/]")
        out.print(
            "[dim]  +n above is what an attempt had moved by its end. Senders repeat what is denied, some after that:\n"
            "  a rule that denies may have counted more packets here than attempts.[/]"
        )
        for line in self.fetch("/metrics").splitlines():
            counts = line.startswith("nfq_guard_policy_verdicts_total") and not line.endswith(" 0.0")
            if counts or (line.startswith(SHOWN) and not line.endswith("} 0.0")):
                out.print(f"  {escape(line)}")

    # -- the end ---------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the guard as a service manager would, and look that nothing stays in the kernel."""
        assert self.daemon is not None  # noqa: S101 - started before
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(timeout=START_SECONDS)
        with self.host.entered():
            left = run("nft", "list", "tables").strip()
        good = code == 0 and not left
        self.failures += not good
        out.print(
            f"\n  {'[green]✓[/]' if good else '[red]✗[/]'}  stopped with exit code {code}, tables left: {left or 'none'}"
        )

    def close(self) -> None:
        """Take everything away, whatever state it is in."""
        leftovers.remove(self.work)

    def explain_keep(self) -> None:
        """Say what to try while it is left running."""
        host, peer, (own, *_) = self.host.name, self.peer.name, self.sheets[0].own
        knock = f"timeout 2 bash -c 'echo hello >/dev/tcp/{own}/%d && echo open'"
        lines = (
            ("what is guarded, and every rule with its count", f"{GUARD} status --control {self.control}"),
            ("an allowed port, from outside", f"ip netns exec {peer} {knock % 10250}"),
            ("one that is not", f"ip netns exec {peer} {knock % 8080}"),
            ("the kernel's table", f"ip netns exec {host} nft list table inet nfq_guard"),
            (
                "change the policy while it runs: now the other port is allowed, and the first is not",
                f"sed -i s/10250/8080/ {self.rules}/ingress-kubelet.yaml",
            ),
            ("the log, which shows the reload", f"tail {self.log}"),
        )
        out.print("\n[bold]Left running. Try:[/]")
        for what, command in lines:
            out.print(f"  [dim]# {what}[/]\n  {escape(command)}")

    def leave(self) -> None:
        """Leave everything to a later call; in a user namespace, which ends with us, wait for Ctrl-C."""
        if real_root():
            self.remember(keep=True)
            out.print("  [dim]# stop and remove all of it[/]\n  ./scripts/demo --stop")
            return
        enter = f"nsenter --target {os.getpid()} --user --mount --net --preserve-credentials bash"
        out.print(f"  [dim]# all of these from inside this user namespace:[/]\n  {enter}")
        out.print("\nCtrl-C stops and removes all of it.")
        waiter = threading.Event()
        while not waiter.wait(0.2):
            interruption.heed()


def real_root() -> bool:
    """Return whether we are root of the machine, not of a user namespace."""
    return Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", "4294967295"]


def show(demo: Demo, *, keep: bool) -> int:
    """Run the whole demo and return its exit code."""
    whole, bare = demo.sheets
    demo.build()
    interruption.heed()
    demo.start()
    demo.try_all(whole)
    demo.show_counters()
    demo.change_rules(bare)
    demo.try_all(bare)
    if keep:
        demo.change_rules(whole)
    else:
        demo.stop()
    wrong = f"[bold red]{demo.failures} differences from what was expected[/]"
    out.print(f"\n{wrong if demo.failures else '[bold green]Everything as expected[/]'}")
    return int(demo.failures > 0)


def main() -> int:
    """Read the command line, run, clean up."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Show nfq-guard's main job on real traffic."
    )
    parser.add_argument("--keep", action="store_true", help="leave it running, and say what to try")
    parser.add_argument("--stop", action="store_true", help="stop and remove what --keep left running")
    chosen = parser.parse_args()
    removed = leftovers.remove_all(PREFIX, kept=chosen.stop)
    if chosen.stop:
        out.print("\n".join(f"removed {escape(what)}" for what in removed) or "nothing was left running")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interruption.note)
    started = time.monotonic()
    demo = Demo(tuple(Sheet.read(RULES / "expect" / f"{name}.jsonl") for name in ("worker", "no-policy")))
    done = False
    try:
        code = show(demo, keep=chosen.keep)
        out.print(f"[dim]The whole demo took {time.monotonic() - started:.1f} s.[/]")
        if chosen.keep:
            demo.explain_keep()
            demo.leave()
        done = True
    except (RuntimeError, OSError) as error:
        out.print(f"[red]The demo could not be run:[/] {escape(str(error))}")
        code = 3
    finally:
        if not (chosen.keep and done):
            demo.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
