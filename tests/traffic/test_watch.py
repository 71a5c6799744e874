"""`nfq-guard watch` beside a running guard: what packets experience is what it shows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from guarded import NODE, ROOT, Daemon, Server, connects, endpoint, policy, tcp
from netns import End, pair, until
from scapy.layers.inet import TCP
from scapy.utils import PcapNgReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.traffic
OPEN, CLOSED = 8080, 8081
DENIED = b'"verdict": "deny"'
ALWAYS_ASK = ("--learned-verdicts", "false")


class Site:
    """A guarded end with a server, a peer, a daemon that asks about every packet, and watchers."""

    def __init__(self, ends: tuple[End, End], base: Path, *flags: str) -> None:
        self.guarded, self.peer = ends
        self.base = base
        self.server = Server(self.guarded.namespace, OPEN)
        self.daemon = Daemon(self.guarded.namespace, base, *flags)
        self.daemon.write(endpoint(), policy(tcp(OPEN)))
        self._watchers: list[subprocess.Popen[bytes]] = []

    def watch(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a watcher."""
        made = subprocess.Popen(
            [sys.executable, "-m", "nfq_guard", "watch", "--control", str(self.daemon.control), *words],
            bufsize=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.base,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._watchers.append(made)
        return made

    def ended(self, watcher: subprocess.Popen[bytes], meanwhile: Callable[[], object]) -> tuple[str, str]:
        """Do something again and again until a watcher has seen enough; return what it wrote and said."""

        def done() -> bool:
            meanwhile()
            return watcher.poll() is not None

        until(done, "the watcher has seen enough", 20)
        return self.said(watcher)

    @staticmethod
    def said(watcher: subprocess.Popen[bytes]) -> tuple[str, str]:
        output, said = watcher.communicate(timeout=20)
        return output.decode(), said.decode()

    @staticmethod
    def shown(watcher: subprocess.Popen[bytes]) -> bytes:
        """Return what a watcher has written since, nothing if it has not."""
        assert watcher.stdout is not None
        ready, _, _ = select.select([watcher.stdout], [], [], 0)
        return os.read(watcher.stdout.fileno(), 1 << 20) if ready else b""

    def denied(self, port: int = CLOSED) -> bool:
        """Send a packet that is denied; return that it was sent."""
        with self.peer.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            sock.connect_ex((self.guarded.v4, port))
        return True

    def allowed(self) -> bool:
        return connects(self.peer, self.guarded, OPEN)

    def close(self) -> None:
        for watcher in self._watchers:
            if watcher.poll() is None:
                watcher.send_signal(signal.SIGCONT)
                watcher.kill()
            watcher.communicate(timeout=20)
        self.server.close()


@contextlib.contextmanager
def guarding(base: Path, *flags: str) -> Iterator[Site]:
    with pair() as ends:
        made = Site(ends, base, *flags)
        with made.daemon:
            made.daemon.start()
            try:
                yield made
            finally:
                made.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with guarding(tmp_path, *ALWAYS_ASK) as made:
        yield made


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_denied_packet_is_shown_with_what_denied_it(site: Site) -> None:
    watcher = site.watch("--denied", "--format", "json", "--count", "1")

    output, said = site.ended(watcher, lambda: (site.allowed(), site.denied()))

    (one,) = objects(output)
    assert watcher.returncode == 0
    assert said.startswith("nfq-guard watch: 1 shown of ")
    expected = {
        "verdict": "deny",
        "reason": "tier-default",
        "stage": "normal",
        "direction": "in",
        "side": "ingress",
        "in_interface": "eth0",
        "out_interface": None,
        "protocol": "TCP",
        "src": site.peer.v4,
        "dst": site.guarded.v4,
        "dport": CLOSED,
        "tier": "default",
        "policy": None,
        "rule": None,
        "rejected": False,
        "generation": 1,
    }
    assert {key: one[key] for key in expected} == expected


def test_an_allowed_one_with_the_rule_and_where_it_stands(site: Site) -> None:
    watcher = site.watch(f"tcp dport {OPEN} policy traffic", "--format", "json", "--count", "1")

    (one,) = objects(site.ended(watcher, site.allowed)[0])

    assert (one["verdict"], one["reason"], one["rule"]) == ("allow", "policy", 0)
    assert one["policy"] == {"kind": "GlobalNetworkPolicy", "name": "traffic", "namespace": None}
    text = (site.daemon.rules / "rules.yaml").read_text().splitlines()
    assert one["file"] == str(site.daemon.rules / "rules.yaml")
    assert str(OPEN) in text[one["line"] - 1]


def test_the_rule_is_that_of_the_policy_in_force_when_it_was_judged(site: Site) -> None:
    watcher = site.watch("--denied", "--format", "json", "--count", "4", "tcp")
    until(lambda: (site.denied(), site.daemon.denied() > 2)[1], "something is denied")
    with site.daemon.change():
        site.daemon.write(endpoint(), policy(tcp(OPEN), tcp(CLOSED, action="Deny")))

    objects(site.ended(watcher, site.denied)[0])
    watcher = site.watch("--denied", "--format", "json", "--count", "1")
    (one,) = objects(site.ended(watcher, site.denied)[0])

    assert (one["generation"], one["reason"], one["rule"]) == (2, "policy", 1)
    assert one["policy"]["name"] == "traffic"


def logs_ahead_of_what_decides(site: Site) -> None:
    with site.daemon.change():
        site.daemon.write(
            endpoint(), policy(tcp(OPEN, CLOSED, action="Log"), tcp(OPEN), tcp(CLOSED, action="Deny"))
        )


def test_a_log_rule_is_shown_ahead_of_the_verdict_of_its_packet(site: Site) -> None:
    logs_ahead_of_what_decides(site)
    watcher = site.watch("in and tcp", "--format", "json", "--count", "6")

    shown = objects(site.ended(watcher, lambda: (site.allowed(), site.denied()))[0])

    ports: dict[tuple[int, int], list[tuple[str, str | None, int]]] = {}
    for one in shown:
        ports.setdefault((one["sport"], one["dport"]), []).append(
            (one["verdict"], one["reason"], one["rule"])
        )
    decided = {OPEN: ("allow", "policy", 1), CLOSED: ("deny", "policy", 2)}
    pairs = [(dport, told) for (_, dport), told in ports.items() if told[0][0] == "log" and len(told) > 1]
    assert {dport for dport, _ in pairs} == {OPEN, CLOSED}
    for dport, told in pairs:
        assert told == [("log", None, 0), decided[dport]]
    log = next(one for one in shown if one["verdict"] == "log")
    assert (log["tier"], log["policy"]["name"], log["side"]) == ("default", "traffic", "ingress")
    text = (site.daemon.rules / "rules.yaml").read_text().splitlines()
    assert "action: Log" in text[log["line"] - 1]


def test_log_rules_alone_are_shown_and_explained(site: Site, tmp_path: Path) -> None:
    logs_ahead_of_what_decides(site)
    path = tmp_path / "logged.pcapng"
    watcher = site.watch("log", "--format", "json", "--write", str(path), "--count", "2")

    output, said = site.ended(watcher, lambda: (site.allowed(), site.denied(), site.denied(9)))

    assert [one["verdict"] for one in objects(output)] == ["log", "log"]
    # Of what is denied some is written down, whoever watches; what is allowed is not.
    assert int(said.partition(" shown of ")[2].split()[0]) <= 2 * int(site.daemon.denied())
    with PcapNgReader(io.BytesIO(path.read_bytes())) as reader:
        comments = [packet.comments for packet in reader]
    where = f"rule 0 at {site.daemon.rules / 'rules.yaml'}:"
    assert all(one.startswith(b"log: tier default, GlobalNetworkPolicy(traffic)") for (one,) in comments)
    assert all(where.encode() in one for (one,) in comments)
    options = ("--rules", site.daemon.rules, "--node", "guarded", "--facts", facts(site, tmp_path))
    explained = subprocess.run(
        [sys.executable, "-m", "nfq_guard", "explain", *map(str, options), "--flows", "-"],
        input=output,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert explained.stdout.count('[logged] writes prefix="calico-packet"') == 2


def facts(site: Site, base: Path) -> Path:
    path = base / "facts.json"
    path.write_text(json.dumps({"node": "guarded", "interfaces": {"eth0": [site.guarded.v4]}}))
    return path


def test_what_is_denied_is_explained_by_the_files_as_they_are_now(site: Site) -> None:
    given = ("--explain", "--rules", str(site.daemon.rules), "--node", NODE)
    watcher = site.watch("tcp", "--format", "json", *given, "--facts", str(facts(site, site.base)))
    until(lambda: (site.denied(), site.shown(watcher))[1], "it explains", 20)
    with site.daemon.change():
        site.daemon.write(endpoint(), policy(tcp(OPEN), tcp(CLOSED, action="Deny"), name="other"))
    seen = b""

    def by_the_new_files() -> dict[str, Any] | None:
        nonlocal seen
        site.denied()
        seen += site.shown(watcher)
        whole, _, seen = seen.rpartition(b"\n")
        found = (one for one in objects(whole.decode()) if one["generation"] == 2)
        # It hears of a change twice a second.
        return next((one for one in found if "differs" not in one["explanation"]), None)

    one = until(by_the_new_files, "it explains by the new files", 20, 0.05)

    assert one["policy"]["name"] == "other"
    assert one["explanation"]["policy"]["name"] == "other"


def test_it_explains_by_the_rules_and_the_node_of_the_guard_unless_told_otherwise(site: Site) -> None:
    with site.guarded.namespace.entered():
        watcher = site.watch("--denied", "tcp", "--explain", "--format", "json", "--count", "1")
    output, _ = site.ended(watcher, site.denied)

    (one,) = objects(output)
    assert "differs" not in one["explanation"]
    assert one["explanation"]["causes"]


def test_a_filter_that_leaves_out_what_the_kernel_learned_says_how_much(tmp_path: Path) -> None:
    with guarding(tmp_path) as site:
        watcher = site.watch("src", site.peer.v4, "dport", str(OPEN))
        assert watcher.stderr is not None
        told = watcher.stderr.fileno()
        until(lambda: site.allowed() and select.select([told], [], [], 0)[0], "it says so", 20, 0.05)
        watcher.send_signal(signal.SIGTERM)
        _, said = site.said(watcher)

    assert "nfq-guard watch: not shown: packets that the kernel decided by itself" in said
    assert " more that the kernel decided by itself, which this filter cannot tell apart; " in said


def test_packets_are_written_to_a_file_that_others_read(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "denied.pcapng"
    watcher = site.watch("--denied", "--write", str(path), "--count", "3")

    output, _ = site.ended(watcher, site.denied)

    assert output == ""
    with PcapNgReader(io.BytesIO(path.read_bytes())) as reader:
        packets = list(reader)
    assert len(packets) == 3
    for packet in packets:
        assert packet[TCP].dport == CLOSED
        assert packet.src == site.peer.v4
        assert packet.sniffed_on == "eth0"
        assert packet.comments == [b"deny tier-default: ingress, end of tier default"]
        assert abs(float(packet.time) - time.time()) < 60


def test_a_watcher_that_was_stopped_says_what_it_missed_and_goes_on(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "udp.pcapng"
    watcher = site.watch("udp", "--write", str(path))
    target = (site.guarded.v4, CLOSED)
    with site.peer.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

        def flood(seconds: float) -> bool:
            until_then = time.monotonic() + seconds
            while time.monotonic() < until_then:
                with contextlib.suppress(OSError):
                    sock.sendto(bytes(1), target)
            return True

        until(lambda: (flood(0.01), path.exists() and path.stat().st_size > 500)[1], "it writes", 20)
        began = site.daemon.denied()
        watcher.send_signal(signal.SIGSTOP)
        flood(4.0)
        before = site.daemon.denied()
        watcher.send_signal(signal.SIGCONT)

        # The guard never waited.
        flood(0.2)
        until(lambda: site.daemon.denied() > before, "packets are judged on")
        size = path.stat().st_size
        until(lambda: (flood(0.01), path.stat().st_size > size)[1], "it goes on", 20)
        time.sleep(1.5)  # losses are told once a second
        watcher.send_signal(signal.SIGINT)
        _, said = site.said(watcher)

    assert watcher.returncode == 0
    summary = said.splitlines()[-1]
    lost = int(summary.rpartition(" read, ")[2].split()[0])
    assert lost > 0
    assert f" verdicts lost, {lost} in all" in said
    # Beyond its lease nobody wrote down for it, but for a hundred denials a second.
    gap = next(line for line in said.splitlines() if line.startswith("nfq-guard watch: not watching for "))
    seconds, missing = float(gap.split()[5]), int(gap.split()[7])
    assert 1 < seconds < 5
    assert missing > 0
    read = int(summary.partition(" shown of ")[2].split()[0])
    # Every one is accounted for, but for those that fell as it came and went.
    denied = site.daemon.denied()
    assert 0.97 * (denied - began) < read + lost + missing < 1.03 * denied
    assert f" lost, {missing} not written down in {gap.split()[5]} s without watching" in summary


def test_what_the_kernel_decides_is_counted(tmp_path: Path) -> None:
    with guarding(tmp_path) as site:
        watcher = site.watch("reason == failsafe", "--format", "json", "--seconds", "6")
        time.sleep(2)
        for _ in range(3):
            site.denied(22)  # to SSH, a failsafe: the kernel lets it through, and nobody listens
        output, _ = site.said(watcher)

    counted = objects(output)
    assert sum(one["counted"] for one in counted) == 3
    assert {(one["verdict"], one["direction"], one["side"]) for one in counted} == {
        ("allow", "in", "ingress")
    }


def test_a_guard_that_is_started_anew_is_watched_again(site: Site) -> None:
    watcher = site.watch("--denied", "--format", "json")
    first = until(lambda: (site.denied(), site.shown(watcher))[1], "it shows one", 20)

    assert site.daemon.stop() == 0
    site.daemon.start()
    time.sleep(1.5)  # it looks for the guard twice a second
    site.shown(watcher)
    second = until(lambda: (site.denied(), site.shown(watcher))[1], "it goes on", 20)
    watcher.send_signal(signal.SIGTERM)
    _, said = site.said(watcher)

    assert DENIED in first
    assert DENIED in second
    assert "the guard is gone (" in said
    assert "the guard is back; verdicts of the time between are missing" in said


def test_a_killed_controller_leaves_workers_that_are_watched_on(site: Site) -> None:
    watcher = site.watch("--denied", "--format", "json")
    until(lambda: (site.denied(), site.shown(watcher))[1], "it shows one", 20)
    site.daemon.signal(signal.SIGKILL)
    site.daemon.wait()
    site.shown(watcher)

    shown = until(lambda: (site.denied(), site.shown(watcher))[1], "it goes on", 20)

    assert DENIED in shown
