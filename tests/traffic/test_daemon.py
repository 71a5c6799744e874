"""The real daemon in a namespace, real clients in another: what a packet experiences, whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from guarded import (
    METRICS_PORT,
    Daemon,
    Server,
    asks_udp,
    connect,
    connects,
    documents,
    echoes,
    endpoint,
    is_denied,
    lives,
    ping,
    policy,
    tcp,
)
from netns import End, Namespace, link, pair, until

from nfq_guard.adapters.control import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.traffic

OPEN, SHUT, SSH = 8080, 8081, 22
"""A port that policy allows, one that it does not, and one of the default failsafes."""
BASIC = documents(endpoint(), policy(tcp(OPEN)))
NOTHING_ALLOWED = documents(endpoint(), policy(tcp(1), egress=(tcp(1),)))
BROKEN = (
    "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: x}\nspec: {colour: red}\n"
)


class Site:
    """A guarded end with servers, a peer, and a daemon that is not started yet."""

    def __init__(self, ends: tuple[End, End], base: Path, environment: dict[str, str] | None = None) -> None:
        self.guarded, self.peer = ends
        self.base = base
        self.daemon = Daemon(self.guarded.namespace, base, environment=environment)
        self.daemon.write(BASIC)
        self.servers = [Server(self.guarded.namespace, port) for port in (OPEN, SHUT, SSH)]

    def connects(self, port: int, family: int = 4) -> bool:
        return connects(self.peer, self.guarded, port, family)

    def denied(self, port: int, family: int = 4) -> bool:
        return is_denied(self.daemon, self.peer, self.guarded, port, family)

    def enforces(self) -> bool:
        return self.connects(OPEN) and self.denied(SHUT)


@contextlib.contextmanager
def sited(base: Path, *, subnet: int = 77, environment: dict[str, str] | None = None) -> Iterator[Site]:
    with pair(subnet=subnet) as ends:
        made = Site(ends, base, environment)
        with made.daemon:
            yield made
        for server in made.servers:
            server.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sited(tmp_path) as made:
        yield made


# -- enforcement ---------------------------------------------------------------


def test_policy_holds_for_tcp_udp_icmp_in_both_families_and_is_counted_by_rule(site: Site) -> None:
    rules = (
        tcp(OPEN),
        f"{{action: Allow, protocol: UDP, destination: {{ports: [{OPEN}]}}}}",
        "{action: Allow, protocol: ICMP, icmp: {type: 8}}",
        "{action: Allow, protocol: ICMPv6, icmp: {type: 128}}",
        tcp(SHUT, action="Deny"),
    )
    site.daemon.write(endpoint(), policy(*rules, egress=(tcp(OPEN),)))
    daemon = site.daemon.start()
    outside = Server(site.peer.namespace, OPEN)

    for family in (4, 6):
        assert site.connects(OPEN, family)
        assert asks_udp(site.peer, site.guarded, OPEN, family)
        assert ping(site.peer, site.guarded, family)
        assert site.denied(SHUT, family)
        assert connects(site.guarded, site.peer, OPEN, family)
        assert not asks_udp(site.guarded, site.peer, OPEN, family)
        assert site.connects(SSH, family)

    expected = [2, 2, 1, 1, 2]
    counted = [
        daemon.counts(
            least, "nfq_guard_policy_verdicts_total", policy="traffic", rule=str(rule), direction="ingress"
        )
        for rule, least in enumerate(expected)
    ]
    assert counted[:4] == expected[:4]
    assert counted[4] >= expected[4]
    assert daemon.counts(2, "nfq_guard_policy_verdicts_total", policy="traffic", direction="egress") == 2
    assert daemon.metric("nfq_guard_verdicts_total", reason="failsafe", direction="ingress") == 2
    assert daemon.metric("nfq_guard_decision_seconds_count") >= 1
    assert daemon.metric("nfq_guard_unparsable_packets_total") == 0
    assert daemon.metric("nfq_guard_engine_errors_total") == 0
    assert outside.arrived.count(site.guarded.v6) == 1
    outside.close()


def test_status_lists_rules_in_the_order_of_evaluation_with_their_counts(site: Site) -> None:
    site.daemon.start()
    assert site.connects(OPEN)

    status = site.daemon.status()

    assert status["ready"]
    (row,) = status["endpoints"]
    assert (
        row | {"kind": "HostEndpoint", "name": "guarded-eth0", "status": "up", "interfaces": ["eth0"]} == row
    )
    ingress = next(chain for chain in status["chains"] if chain["direction"] == "ingress")
    assert (ingress["rules"][0]["policy"], ingress["rules"][0]["rule"]) == ("traffic", "0")
    assert ingress["rules"][0]["packets"] == 1
    assert status["queues"]["workers"][0]["pid"] == site.daemon.worker() > 0


def test_readiness_is_refused_until_it_enforces(site: Site) -> None:
    site.daemon.start(wait=False)
    seen: list[int] = []

    def asked() -> bool:
        seen.append(site.daemon.get("/readyz")[0])
        return seen[-1] == 200

    until(asked, "ready", 20)

    assert set(seen) <= {0, 503, 200}
    assert 503 in seen
    assert site.daemon.get("/healthz") == (200, "ok\n")


OTHER_TABLE = """table inet theirs {
	chain %s {
		type filter hook input priority %d;
		tcp dport { %d, %d } %s
	}
}
"""


def test_an_allow_does_not_speak_for_tables_behind_ours_and_no_other_table_undoes_a_deny(site: Site) -> None:
    site.daemon.start()
    site.guarded.namespace.nft(OTHER_TABLE % ("ahead", -200, OPEN, SHUT, "accept"))
    assert site.enforces()

    site.guarded.namespace.nft(OTHER_TABLE % ("behind", 10, OPEN, SSH, "drop"))
    for port in (OPEN, SSH):
        with pytest.raises(OSError, match="timed out"):
            connect(site.peer, site.guarded, port, timeout=1)
    assert site.daemon.counts(2, "nfq_guard_verdicts_total", reason="policy", verdict="allow") >= 2


def test_a_log_rule_writes_a_line_and_goes_on(site: Site) -> None:
    rule = f"{{action: Log, protocol: TCP, destination: {{ports: [{OPEN}]}}}}"
    site.daemon.write(endpoint(), policy(rule, tcp(OPEN)))
    site.daemon.start()

    assert site.connects(OPEN)

    line = "policy=traffic rule=0 tier=default direction=ingress interface=eth0"
    until(lambda: line in site.daemon.log and f"dport={OPEN}" in site.daemon.log, "the line")


# -- stop ----------------------------------------------------------------------


def test_sigterm_stops_cleanly_and_leaves_nothing(site: Site) -> None:
    daemon = site.daemon.start()
    worker = daemon.worker()
    assert site.connects(OPEN)

    assert daemon.stop() == 0

    assert daemon.table() == ""
    assert not daemon.control.exists()
    assert not lives(worker)
    assert daemon.recorded_workers() == []
    assert site.connects(SHUT)
    marks = site.guarded.namespace.run("conntrack", "-L", check=False).stdout
    assert all("mark=0" in line for line in marks.splitlines() if "mark=" in line)


def test_keep_rules_leaves_table_and_worker_which_the_next_daemon_takes_over(site: Site) -> None:
    site.daemon._flags = ("--keep-rules",)
    daemon = site.daemon.start()
    worker = daemon.worker()

    assert daemon.stop() == 0

    assert lives(worker)
    assert connects(site.peer, site.guarded, OPEN)
    daemon.start()
    assert site.enforces()
    assert daemon.worker() != worker


# -- changes of policy ---------------------------------------------------------


def allow_both(site: Site) -> None:
    site.daemon.write(endpoint(), policy(tcp(OPEN, SHUT)))


def swap_the_folder(site: Site) -> None:
    fresh = site.base / "fresh"
    fresh.mkdir()
    (fresh / "other.yaml").write_text(documents(endpoint(), policy(tcp(OPEN, SHUT))))
    site.daemon.rules.rename(site.base / "old")
    fresh.rename(site.daemon.rules)


def write_in_pieces(site: Site) -> None:
    with (site.daemon.rules / "rules.yaml").open("w") as stream:
        for piece in (endpoint(), "\n---\n", policy(tcp(OPEN, SHUT))):
            stream.write(piece)
            stream.flush()


def add_a_file(site: Site) -> None:
    (site.daemon.rules / "more.yaml").write_text(policy(tcp(SHUT), name="more"))


@pytest.mark.parametrize("edit", [allow_both, swap_the_folder, write_in_pieces, add_a_file])
def test_a_change_of_files_is_in_force_at_once_whichever_way_it_is_made(
    site: Site, edit: Callable[[Site], None]
) -> None:
    daemon = site.daemon.start()
    assert site.enforces()

    with daemon.change():
        edit(site)

    assert site.connects(SHUT)


def test_sighup_and_the_control_socket_reload(site: Site) -> None:
    daemon = site.daemon.start()
    daemon.signal(signal.SIGHUP)
    until(lambda: "SIGHUP" in daemon.log, "the signal is noted")

    allow_both(site)
    answer = ask(str(daemon.control), {"command": "reload"})

    assert answer["ok"]
    assert site.connects(SHUT)
    assert "error" in ask(str(daemon.control), {"command": "dance"})


def test_a_change_that_changes_nothing_installs_nothing(site: Site) -> None:
    daemon = site.daemon.start()

    daemon.write("# a remark that moves every line\n" + BASIC)
    until(lambda: daemon.log.count("policy in force") == 2, "the change was read")

    assert daemon.metric("nfq_guard_generation") == 1


def test_what_the_new_policy_denies_stops_at_once_in_live_connections(site: Site) -> None:
    daemon = site.daemon.start()
    with connect(site.peer, site.guarded, OPEN) as live:
        assert echoes(live)
        with daemon.change():
            daemon.write(NOTHING_ALLOWED)
        live.settimeout(0.5)

        assert not echoes(live)


def test_with_established_flows_kept_live_connections_go_on(site: Site) -> None:
    site.daemon._flags = ("--established-flows", "keep")
    daemon = site.daemon.start()
    with connect(site.peer, site.guarded, OPEN) as live:
        assert echoes(live)
        with daemon.change():
            daemon.write(NOTHING_ALLOWED)

        assert echoes(live)
        assert site.denied(OPEN)


def test_counters_never_go_backwards_on_a_reload(site: Site) -> None:
    daemon = site.daemon.start()
    assert site.connects(OPEN)
    with daemon.change():
        daemon.write(endpoint(), policy(tcp(SHUT), name="other"))
    with daemon.change():
        daemon.write(BASIC)
    assert site.connects(OPEN)

    traffic = {"policy": "traffic", "rule": "0", "direction": "ingress"}
    assert daemon.counts(2, "nfq_guard_policy_verdicts_total", **traffic) == 2
    assert daemon.metric("nfq_guard_verdicts_total", reason="policy", direction="ingress") == 2
    assert daemon.metric("nfq_guard_packets_total") >= 2


# -- bad input -----------------------------------------------------------------


def test_a_bad_change_keeps_the_policy_says_every_problem_and_is_forgotten_when_mended(site: Site) -> None:
    daemon = site.daemon.start()

    daemon.write(BROKEN, "kind: Nonsense\n")
    until(lambda: daemon.metric("nfq_guard_config_load_error") == 1, "the error shows")

    assert site.enforces()
    assert daemon.ready()
    assert "an older policy is in force" in daemon.get("/readyz")[1]
    assert daemon.metric("nfq_guard_generation") == 1
    assert "spec.colour" in daemon.log
    assert "Nonsense" in daemon.log
    assert "rules.yaml:4:" in daemon.log

    daemon.write(BASIC)
    until(lambda: daemon.metric("nfq_guard_config_load_error") == 0, "the error is gone")


def test_a_start_with_bad_rules_is_refused_with_every_problem_and_the_kernel_untouched(site: Site) -> None:
    site.daemon.write(BROKEN, "kind: Nonsense\n")

    site.daemon.start(wait=False)

    assert site.daemon.wait() == 1
    assert "spec.colour" in site.daemon.log
    assert "Nonsense" in site.daemon.log
    assert site.daemon.table() == ""


def test_a_start_with_bad_rules_falls_back_to_the_last_good_policy(site: Site) -> None:
    daemon = site.daemon.start()
    daemon.stop()
    daemon.write(BROKEN)

    daemon.start()

    assert site.enforces()
    assert daemon.metric("nfq_guard_config_load_error") == 1
    assert "last good policy" in daemon.log


def test_a_host_that_is_renamed_stays_guarded(tmp_path: Path) -> None:
    """`hostname` in a namespace of our own for names; the machine's stays what it is."""
    with pair() as ends:
        site = Site(ends, tmp_path)
        with Daemon(site.guarded.namespace, tmp_path, "--node", "", own_host_name="guarded") as daemon:
            site.daemon = daemon
            daemon.start()
            assert site.enforces()

            assert daemon.process is not None
            in_its_own = ("nsenter", "--uts", f"--target={daemon.process.pid}")
            site.guarded.namespace.run(*in_its_own, "hostname", "another")
            by_address = endpoint(name="late").replace("interfaceName: eth0", "expectedIPs: [10.1.1.1]")
            with daemon.change():
                daemon.write(endpoint(), by_address, policy(tcp(OPEN), tcp(METRICS_PORT)))
            with daemon.change():
                site.guarded.namespace.ip("address", "add", "10.1.1.1/32", "dev", "lo")

            assert {"lo", "eth0"} == {
                name for one in daemon.status()["endpoints"] for name in one["interfaces"]
            }
            assert site.enforces()
            assert daemon.status()["node"] == "guarded"
        for server in site.servers:
            server.close()


@pytest.mark.parametrize(
    "rules",
    [BASIC.replace("node: guarded", "node: other"), policy(tcp(OPEN))],
    ids=["endpoints are for others", "no endpoint at all"],
)
def test_a_guard_that_guards_nothing_says_so_and_takes_it_back(site: Site, rules: str) -> None:
    site.daemon.write(rules)
    daemon = site.daemon.start()
    says = "nothing is guarded, no host endpoint is for this node (guarded)"

    assert says in daemon.get("/readyz")[1]
    assert says in daemon.status()["detail"]
    with daemon.change():
        daemon.write(BASIC)
    until(lambda: says not in daemon.get("/readyz")[1], "it is taken back")
    assert site.enforces()


# -- the kernel says no --------------------------------------------------------

REFUSING_NFT = """#!/bin/sh
if [ -e {flag} ] && [ "$1" = -f ]; then
    echo "Error: Could not process rule: No buffer space available" >&2
    exit 1
fi
PATH={path}
exec nft "$@"
"""


def refusing_nft(base: Path, text: str = REFUSING_NFT) -> tuple[Path, dict[str, str]]:
    """Return a flag file and an environment whose nft refuses every change while the flag is there."""
    flag, tools = base / "refuse", base / "tools"
    tools.mkdir()
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    script = tools / "nft"
    script.write_text(text.format(flag=flag, path=path))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return flag, {"PATH": f"{tools}:{path}"}


def test_a_table_that_the_kernel_refuses_leaves_the_policy_before_in_kernel_and_worker(
    tmp_path: Path,
) -> None:
    flag, environment = refusing_nft(tmp_path)
    with sited(tmp_path, environment=environment) as site:
        daemon = site.daemon.start()
        flag.touch()

        allow_both(site)
        until(lambda: daemon.metric("nfq_guard_config_load_error") == 1, "the refusal shows")

        assert "No buffer space available" in daemon.log
        assert site.enforces()
        assert daemon.metric("nfq_guard_generation") == 1
        flag.unlink()
        until(lambda: daemon.metric("nfq_guard_generation") != 1, "it is tried again", 20)
        assert site.connects(SHUT)


HELD_NFT = """#!/bin/sh
PATH={path}
if [ "$1" = -f ] && [ -e {flag} ]; then
    while [ -e {flag}.hold ]; do sleep 0.02; done
    [ -e {flag}.always ] || rm -f {flag}
    exit 1
fi
exec nft "$@"
"""


@pytest.mark.parametrize("how_often", ["once", "always"])
def test_what_a_refused_change_allowed_meanwhile_is_not_remembered(tmp_path: Path, how_often: str) -> None:
    flag, environment = refusing_nft(tmp_path, HELD_NFT)
    with sited(tmp_path, environment=environment) as site:
        daemon = site.daemon.start()
        for suffix in ("", ".hold", f".{how_often}"):
            Path(f"{flag}{suffix}").touch()
        with connect(site.peer, site.guarded, OPEN) as allowed:
            # The workers have the policy, the kernel is about to say no.
            allow_both(site)
            until(lambda: connects(site.peer, site.guarded, SHUT), "the workers decide by it")
            with connect(site.peer, site.guarded, SHUT) as refused:
                assert echoes(refused)
                Path(f"{flag}.hold").unlink()
                until(lambda: daemon.metric("nfq_guard_config_load_error") == 1, "the refusal shows")

                refused.settimeout(1)
                assert not echoes(refused)
            assert echoes(allowed)


def test_a_table_that_cannot_be_removed_keeps_its_workers_and_the_next_start_takes_them_over(
    tmp_path: Path,
) -> None:
    flag, environment = refusing_nft(tmp_path)
    with sited(tmp_path, environment=environment) as site:
        daemon = site.daemon.start()
        worker = daemon.worker()
        flag.touch()

        assert daemon.stop() == 3

        assert "table not removed" in daemon.log
        assert daemon.recorded_workers() == [worker]
        assert site.connects(OPEN)
        with pytest.raises(OSError, match="timed out"):
            connect(site.peer, site.guarded, SHUT, timeout=0.3)
        flag.unlink()
        assert daemon.start().stop() == 0
        assert daemon.table() == ""
        assert not lives(worker)


def test_a_first_table_that_the_kernel_refuses_refuses_the_start(tmp_path: Path) -> None:
    flag, environment = refusing_nft(tmp_path)
    with sited(tmp_path, environment=environment) as site:
        flag.touch()
        site.daemon.start(wait=False)

        assert site.daemon.wait() == 3
        assert "No buffer space available" in site.daemon.log
        assert site.daemon.table() == ""
        assert site.connects(SHUT)


TAMPERING = {
    "the whole ruleset flushed": "flush ruleset",
    "the table deleted": "delete table inet nfq_guard",
    "the table emptied of rules": "flush table inet nfq_guard",
    "the chain that guards emptied": "flush chain inet nfq_guard guard_in",
    "the chain that queues emptied": "flush chain inet nfq_guard to_queue",
    "the interface taken out": 'delete element inet nfq_guard managed { "eth0" }',
    "a rule put in front": "insert rule inet nfq_guard guard_in accept",
    "a base chain told to drop": "chain inet nfq_guard input { policy drop; }",
    "the table put to sleep": "table inet nfq_guard { flags dormant; }",
}


@pytest.mark.parametrize("command", TAMPERING.values(), ids=TAMPERING)
def test_the_table_is_put_back_at_once_after(site: Site, command: str) -> None:
    daemon = site.daemon.start()
    assert site.connects(SSH)
    failsafe = {"reason": "failsafe", "direction": "ingress"}
    before = daemon.metric("nfq_guard_verdicts_total", **failsafe)

    site.guarded.namespace.nft(command + "\n")
    until(lambda: daemon.metric("nfq_guard_table_reinstalls_total") == 1 and daemon.ready(), "it is back")

    assert site.enforces()
    assert site.connects(SSH)
    assert daemon.metric("nfq_guard_verdicts_total", **failsafe) == before + 1 == 2
    assert daemon.metric("nfq_guard_table_reinstalls_total") == 1


# -- workers -------------------------------------------------------------------


class Knocking(threading.Thread):
    """Knocks at a denied port, without a pause, until told to stop."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._enough = threading.Event()
        self.knocks = 0
        self.got_in = False
        self.start()

    def run(self) -> None:
        while not self._enough.is_set():
            self.knocks += 1
            try:
                connect(self._site.peer, self._site.guarded, SHUT, timeout=0.02).close()
            except OSError:
                continue
            self.got_in = True

    def stop(self) -> None:
        self._enough.set()
        self.join()


def test_a_killed_worker_is_back_within_two_seconds_and_nothing_denied_gets_in_meanwhile(site: Site) -> None:
    daemon = site.daemon.start()
    assert site.connects(OPEN)
    counted = daemon.metric("nfq_guard_verdicts_total", verdict="allow", direction="ingress")
    knocking = Knocking(site)
    with connect(site.peer, site.guarded, OPEN) as live:
        assert echoes(live)
        worker = daemon.worker()

        killed = time.monotonic()
        os.kill(worker, signal.SIGKILL)

        assert echoes(live)
        assert site.connects(SSH)
        assert connects_again(site)
        assert time.monotonic() - killed < 2
        assert echoes(live)
    until(daemon.ready, "ready again")
    knocking.stop()
    assert knocking.knocks > 3
    assert not knocking.got_in
    assert daemon.worker() != worker
    # Told at the controller's next turn.
    until(lambda: daemon.metric("nfq_guard_worker_restarts_total") == 1, "the restart is counted")
    allowed = {"verdict": "allow", "direction": "ingress"}
    assert daemon.counts(counted + 1, "nfq_guard_verdicts_total", **allowed) >= counted + 1


def connects_again(site: Site) -> bool:
    """Return whether a new connection to the open port comes about: short tries, since lost SYNs wait a second."""

    def attempt() -> bool:
        try:
            connect(site.peer, site.guarded, OPEN, timeout=0.05).close()
        except OSError:
            return False
        return True

    return bool(until(attempt, "new connections are judged again", 5))


def test_readiness_is_refused_while_a_worker_is_gone(site: Site) -> None:
    daemon = site.daemon.start()
    worker = daemon.worker()

    os.kill(worker, signal.SIGKILL)

    until(lambda: daemon.get("/readyz")[0] == 503, "degraded", pause=0.001)
    until(daemon.ready, "ready again")


def test_a_hung_worker_is_killed_by_the_watchdog_and_counters_go_on(site: Site) -> None:
    daemon = site.daemon.start()
    assert site.connects(OPEN)
    worker = daemon.worker()

    stopped = time.monotonic()
    os.kill(worker, signal.SIGSTOP)
    with connect(site.peer, site.guarded, SSH) as failsafe:
        assert echoes(failsafe)
    until(lambda: daemon.worker() not in {0, worker} and daemon.ready(), "another worker serves", 10)

    assert time.monotonic() - stopped < 5
    assert "it hangs" in daemon.log
    assert site.enforces()
    traffic = {"policy": "traffic", "rule": "0", "direction": "ingress"}
    assert daemon.counts(2, "nfq_guard_policy_verdicts_total", **traffic) == 2


def test_a_worker_keeps_one_capability_and_can_gain_none(site: Site) -> None:
    daemon = site.daemon.start()

    status = Path(f"/proc/{daemon.worker()}/status").read_text()

    assert "NoNewPrivs:\t1" in status
    assert f"CapEff:\t{1 << 12:016x}" in status


def test_several_queues_have_a_worker_each(site: Site) -> None:
    site.daemon._flags = ("--queue", "70", "--queue-count", "2")
    daemon = site.daemon.start()

    assert {worker["queue"] for worker in daemon.status()["queues"]["workers"]} == {70, 71}
    assert all(site.connects(OPEN) for _ in range(20))
    assert site.denied(SHUT)
    assert daemon.metric("nfq_guard_worker_up") == 2


# -- the controller ------------------------------------------------------------


def test_workers_and_table_outlive_a_killed_controller_and_the_next_one_adopts_them(site: Site) -> None:
    daemon = site.daemon.start()
    worker = daemon.worker()
    handles = base_chains(site)
    with connect(site.peer, site.guarded, OPEN) as live:
        assert echoes(live)

        daemon.signal(signal.SIGKILL)
        daemon.wait()

        assert echoes(live)
        assert connects(site.peer, site.guarded, OPEN)
        with pytest.raises(OSError, match="timed out"):
            connect(site.peer, site.guarded, SHUT, timeout=0.3)

        daemon.start()

        assert echoes(live)
        assert site.enforces()
    assert base_chains(site) == handles
    assert daemon.worker() != worker
    assert not lives(worker)


def test_a_refused_start_leaves_what_a_killed_controller_left_and_the_next_one_adopts_it(site: Site) -> None:
    daemon = site.daemon.start()
    worker = daemon.worker()
    with connect(site.peer, site.guarded, OPEN) as live:
        assert echoes(live)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        table = daemon.table()
        (daemon.state / "last-good.json").unlink()
        daemon.write(BROKEN)

        daemon.start(wait=False)

        assert daemon.wait() == 1
        assert chains_of(daemon.table()) == chains_of(table) != ""
        assert daemon.recorded_workers() == [worker]
        assert lives(worker)
        assert echoes(live)
        daemon.write(BASIC)
        daemon.start()
        assert site.enforces()
    assert not lives(worker)


def test_a_refused_start_of_a_second_daemon_leaves_the_first_ones_table_and_connections(
    site: Site, tmp_path: Path
) -> None:
    daemon = site.daemon.start()
    flags = ("--metrics", "off", "--queue", "7")
    with (
        connect(site.peer, site.guarded, OPEN) as live,
        Daemon(site.guarded.namespace, tmp_path / "second", *flags) as second,
    ):
        assert echoes(live)
        second.write(BROKEN)

        second.start(wait=False)

        assert second.wait() == 1
        marks = site.guarded.namespace.run("conntrack", "-L", "-p", "tcp", "--dport", str(OPEN)).stdout
        assert f"mark={1 << 28}" in marks
    assert site.enforces()
    assert daemon.metric("nfq_guard_table_reinstalls_total") == 0


def chains_of(table: str) -> str:
    """Return a listed table from its sets on: counters move."""
    return table[table.find("\tset ") :]


def base_chains(site: Site) -> list[str]:
    listed = site.guarded.namespace.run("nft", "-a", "list", "chains").stdout
    return sorted(line.strip() for line in listed.splitlines() if "handle" in line)


def test_a_second_daemon_in_the_namespace_is_refused_and_harms_nothing(site: Site, tmp_path: Path) -> None:
    daemon = site.daemon.start()
    flags = ("--metrics", "off")
    with Daemon(site.guarded.namespace, tmp_path / "second", *flags, rules=daemon.rules) as second:
        second.start(wait=False)

        assert second.wait() == 3
        assert f"another guard runs in this network namespace: pid {daemon.worker()} (" in second.log
    assert site.enforces()
    assert daemon.metric("nfq_guard_table_reinstalls_total") == 0


def test_a_second_daemon_with_everything_of_its_own_is_refused_and_harms_nothing(
    site: Site, tmp_path: Path
) -> None:
    daemon = site.daemon.start()
    flags = ("--metrics", "off", "--queue", "4700")
    with Daemon(site.guarded.namespace, tmp_path / "second", *flags, rules=daemon.rules) as second:
        second.start(wait=False)

        assert second.wait() == 3
        assert "another guard runs in this network namespace" in second.log
    assert site.enforces()
    assert daemon.metric("nfq_guard_table_reinstalls_total") == 0


def test_a_second_daemon_with_the_same_state_folder_is_refused(site: Site) -> None:
    daemon = site.daemon.start()
    with Daemon(site.guarded.namespace, site.base / "second", "--state", str(daemon.state)) as second:
        second.start(wait=False)

        assert second.wait() == 3
        assert "--state" in second.log


def test_daemons_in_two_namespaces_do_not_disturb_each_other(site: Site, tmp_path: Path) -> None:
    site.daemon.start()
    with sited(tmp_path / "other", subnet=78) as other:
        other.daemon.write(endpoint(), policy(tcp(SHUT)))
        other.daemon.start()
        assert other.connects(SHUT)
        assert other.denied(OPEN)
        assert site.enforces()
        assert other.daemon.stop() == 0
    assert site.enforces()


def test_the_service_manager_is_told(site: Site, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(20)
        environment = {"NOTIFY_SOCKET": address}
        with Daemon(
            site.guarded.namespace, tmp_path / "d", environment=environment, rules=site.daemon.rules
        ) as daemon:
            daemon.start(wait=False)
            said = manager.recv(4096).decode()
            while "READY=1" not in said:
                said = manager.recv(4096).decode()
            assert daemon.ready()
            daemon.stop()
            while "STOPPING=1" not in said:
                said = manager.recv(4096).decode()


# -- the host changes ----------------------------------------------------------


def test_an_interface_that_appears_is_guarded_from_its_first_packet(site: Site) -> None:
    site.daemon.write(BASIC, endpoint("late0", name="late"))
    daemon = site.daemon.start()
    assert daemon.metric("nfq_guard_endpoints", status="error") == 1
    assert daemon.process is not None

    with Namespace() as third:
        # Nobody hears of the interface: neither is a moment left open, nor must anybody hear.
        daemon.process.send_signal(signal.SIGSTOP)
        ends = link(site.guarded.namespace, third, names=("late0", "eth0"), subnet=79)
        assert connects(ends[1], ends[0], OPEN)
        with pytest.raises(TimeoutError):
            connect(ends[1], ends[0], SHUT, timeout=0.5)
        daemon.process.send_signal(signal.SIGCONT)
        until(lambda: daemon.metric("nfq_guard_endpoints", status="up") == 2, "the endpoint is up")
        assert is_denied(daemon, ends[1], ends[0], SHUT)
    until(lambda: daemon.metric("nfq_guard_endpoints", status="error") == 1, "it is gone again")


def test_a_renamed_interface_is_guarded_by_the_endpoint_of_its_new_name(site: Site) -> None:
    site.daemon.write(BASIC, endpoint("wan0", name="wan"))
    daemon = site.daemon.start()
    space = site.guarded.namespace

    space.ip("link", "set", "eth0", "down")
    with daemon.change():
        space.ip("link", "set", "eth0", "name", "wan0")
    space.ip("link", "set", "wan0", "up")

    until(lambda: site.connects(OPEN), "the link is back")
    assert site.denied(SHUT)
    assert daemon.status()["endpoints"][-1]["interfaces"] == ["wan0"]


def test_an_endpoint_that_expects_an_address_follows_it(site: Site) -> None:
    by_address = endpoint("''").replace("interfaceName: ''", "expectedIPs: [10.77.0.9]")
    site.daemon.write(by_address, policy(tcp(OPEN)))
    daemon = site.daemon.start()
    assert site.connects(SHUT)

    with daemon.change():
        site.guarded.namespace.ip("address", "add", "10.77.0.9/24", "dev", "eth0")

    assert site.enforces()


def test_a_wildcard_endpoint_guards_an_interface_from_its_first_packet(site: Site) -> None:
    site.daemon.write(endpoint('"*"'), policy(tcp(OPEN), "{action: Allow, source: {nets: [127.0.0.0/8]}}"))
    daemon = site.daemon.start()
    with Namespace() as third:
        ends = link(site.guarded.namespace, third, names=("late0", "eth0"), subnet=79)

        assert is_denied(daemon, ends[1], ends[0], SHUT)
        assert connects(ends[1], ends[0], OPEN)


def test_traffic_of_other_interfaces_is_never_touched(site: Site) -> None:
    daemon = site.daemon.start()
    with Namespace() as third:
        ends = link(site.guarded.namespace, third, names=("other0", "eth0"), subnet=79)
        assert connects(ends[1], ends[0], SHUT)
        os.kill(daemon.worker(), signal.SIGSTOP)

        assert connects(ends[1], ends[0], SHUT)


# -- fail mode -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_with_nobody_to_judge_the_fail_mode_decides(site: Site, mode: str) -> None:
    site.daemon._flags = ("--fail-mode", mode)
    daemon = site.daemon.start()
    assert site.enforces()
    worker = daemon.worker()

    daemon.signal(signal.SIGKILL)
    daemon.wait()
    os.kill(worker, signal.SIGKILL)
    until(lambda: not lives(worker), "the worker is gone")

    assert comes_about(site, SHUT) is (mode == "open")
    assert comes_about(site, SSH)


def comes_about(site: Site, port: int) -> bool:
    try:
        connect(site.peer, site.guarded, port, timeout=0.5).close()
    except OSError:
        return False
    return True


def test_a_flow_that_passed_unjudged_in_open_mode_is_judged_once_there_is_a_worker(site: Site) -> None:
    site.daemon._flags = ("--fail-mode", "open")
    daemon = site.daemon.start()
    worker = daemon.worker()
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    os.kill(worker, signal.SIGKILL)
    until(lambda: not lives(worker), "the worker is gone")
    with connect(site.peer, site.guarded, SHUT) as unjudged:
        assert echoes(unjudged)

        daemon.start()
        unjudged.settimeout(0.5)

        assert not echoes(unjudged)
