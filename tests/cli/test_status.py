from __future__ import annotations

import errno
import json
import selectors
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from guarded import Daemon, connects, endpoint, policy, tcp
from netns import pair

from nfq_guard.adapters.control import ControlServer
from nfq_guard.cli import status
from nfq_guard.cli.main import Exit, cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULE = {"tier": "default", "kind": "GlobalNetworkPolicy", "policy": "web", "rule": "0", "action": "allow"}
END = {"tier": "default", "kind": "Tier", "policy": "default", "rule": "default", "action": "deny"}
DEFAULT = {"tier": "", "kind": "HostEndpoint", "policy": "host-eth0", "rule": "default", "action": "deny"}
STAGED = {**RULE, "kind": "StagedGlobalNetworkPolicy", "policy": "try", "action": "deny"}
HOST_CHAIN = {"kind": "HostEndpoint", "endpoint": "host-eth0", "namespace": "", "interface": ""}
ANSWER: dict[str, Any] = {
    "version": "1",
    "pid": 77,
    "ready": True,
    "detail": "enforcing generation 3",
    "node": "host",
    "generation": 3,
    "rules": ["rules"],
    "loaded_at": 0.0,
    "load_errors": [],
    "fail_mode": "closed",
    "endpoints": [
        {
            "kind": "HostEndpoint",
            "name": "host-eth0",
            "namespace": "",
            "status": "up",
            "interfaces": ["eth0", "eth1"],
            "reason": "",
        },
        {
            "kind": "HostEndpoint",
            "name": "host-[x]",
            "namespace": "",
            "status": "error",
            "interfaces": [],
            "reason": "no interface eth9 yet",
        },
    ],
    "chains": [
        {
            **HOST_CHAIN,
            "stage": "normal",
            "direction": "ingress",
            "rules": [
                {**RULE, "file": "web.yaml", "line": 9, "packets": 12},
                {**END, "packets": 3},
                {**DEFAULT, "packets": 0},
            ],
        }
    ],
    "staged_policies": 1,
    "staged": [
        {
            **HOST_CHAIN,
            "stage": "normal",
            "direction": "ingress",
            "rules": [{**STAGED, "file": "try.yaml", "line": 7, "packets": 5}],
            "verdicts": [
                {"enforced": "allow", "staged": "deny", "packets": 5},
                {"enforced": "deny", "staged": "allow", "packets": 0},
            ],
        }
    ],
    "verdicts": [
        {"reason": "policy", "verdict": "allow", "direction": "ingress", "stage": "forward", "packets": 12}
    ],
    "queues": {
        "depth": 1,
        "dropped": 2,
        "user_dropped": 3,
        "workers": [{"queue": 5, "up": True, "pid": 78}, {"queue": 6, "up": False, "pid": None}],
    },
    "flow_table": {"hits": 7, "misses": 8, "entries": 9},
    "worker_restarts": 4,
    "table_reinstalls": 0,
}


class Guard:
    """A control socket that gives one answer, served by the daemon's own server."""

    def __init__(self, path: str) -> None:
        self.answer: dict[str, Any] = ANSWER
        self.asked: list[dict[str, Any]] = []
        self.path = path
        self._selector = selectors.DefaultSelector()
        self._server = ControlServer(path, self._handle, self._selector)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _handle(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        return self.answer

    def _serve(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.02):
                key.data()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._server.close()
        self._selector.close()


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    made = Guard(str(tmp_path / "control.sock"))
    yield made
    made.close()


def ask(guard: Guard, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["status", "--control", guard.path, *arguments])
    return result.exit_code, result.output


def test_json_is_the_answer_as_it_is(guard: Guard) -> None:
    code, output = ask(guard, "--format", "json")

    assert (code, json.loads(output)) == (Exit.GOOD, ANSWER)
    assert guard.asked == [{"command": "status"}]


def test_text_lists_the_rules_in_order_with_their_counts(guard: Guard) -> None:
    code, output = ask(guard)
    lines = [line.split() for line in output.splitlines() if line.startswith("@")]

    assert code == Exit.GOOD
    assert [" ".join(line) for line in lines] == [
        "@0 allow default/GlobalNetworkPolicy(web) rule 0 web.yaml:9 [ Packets: 12 ]",
        "@1 deny end of tier default [ Packets: 3 ]",
        "@2 deny nothing matched: default [ Packets: 0 ]",
        "@0 deny default/StagedGlobalNetworkPolicy(try) rule 0 try.yaml:7 [ Packets: 5 ]",
    ]


def test_text_says_how_many_staged_policies_are_watched_and_what_they_would_do(guard: Guard) -> None:
    _, output = ask(guard)
    words = [" ".join(line.split()) for line in output.splitlines()]

    assert "1 staged policy is watched, not enforced" in words
    assert "host-eth0 ingress, normal stage, staged: not enforced" in words
    assert "allow now, would deny [ Packets: 5 ]" in words
    assert not any("deny now" in line for line in words)

    guard.answer = {**ANSWER, "staged_policies": 0, "staged": []}
    assert "staged" not in ask(guard)[1]


def test_text_names_endpoints_interfaces_and_queues(guard: Guard) -> None:
    _, output = ask(guard)
    words = [" ".join(line.split()) for line in output.splitlines()]

    assert "host: enforcing generation 3" in words
    assert "host-eth0 up eth0, eth1" in words
    assert "host-[x] error nothing: no interface eth9 yet" in words
    assert "queue 5: served by pid 78" in words
    assert "queue 6: served by nobody" in words


def test_text_names_a_workload_with_its_namespace_and_its_interface(guard: Guard) -> None:
    state = {"kind": "WorkloadEndpoint", "name": "pod", "namespace": "shop", "status": "up", "reason": ""}
    whose = {"kind": "WorkloadEndpoint", "endpoint": "pod", "namespace": "shop", "interface": "cali1"}
    rule = {**DEFAULT, "kind": "WorkloadEndpoint", "policy": "pod", "packets": 0}
    guard.answer = {
        **ANSWER,
        "endpoints": [{**state, "interfaces": ["cali1"]}],
        "chains": [{**whose, "stage": "normal", "direction": "egress", "rules": [rule]}],
    }

    words = [" ".join(line.split()) for line in ask(guard)[1].splitlines()]

    assert "shop/pod up cali1" in words
    assert "shop/pod on cali1 egress, normal stage" in words
    assert "@0 deny nothing matched: default [ Packets: 0 ]" in words


def test_no_name_commands_the_terminal(guard: Guard) -> None:
    hostile = "\x1b]0;pwn\a\x9b31m"

    def spoiled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoiled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoiled(item) for item in value]
        return value + hostile if isinstance(value, str) else value

    guard.answer = spoiled({**ANSWER, "load_errors": ["a.yaml"]})
    result = CliRunner().invoke(cli, ["status", "--control", guard.path])

    assert all(line.isprintable() for line in result.output.splitlines())
    assert r"web\u001b]0;pwn\u0007\u009b31m" in result.output


def test_text_says_that_a_rule_of_several_chains_has_one_count(guard: Guard) -> None:
    said = "Packets of a rule that stands in several chains below: of all its endpoints and stages together."
    assert said not in ask(guard)[1]

    (chain,) = ANSWER["chains"]
    guard.answer = {**ANSWER, "chains": [chain, {**chain, "stage": "forward"}]}
    assert said in ask(guard)[1].splitlines()

    guard.answer = {**ANSWER, "chains": [chain, {**chain, "direction": "egress"}]}
    assert said not in ask(guard)[1]


def test_text_tells_reasons_of_several_stages_apart(guard: Guard) -> None:
    (row,) = ANSWER["verdicts"]
    guard.answer = {**ANSWER, "verdicts": [row, {**row, "stage": "pre-dnat", "packets": 3}]}

    words = [" ".join(line.split()) for line in ask(guard)[1].splitlines()]

    assert "reason verdict direction stage packets" in words
    assert "policy allow ingress forward 12" in words
    assert "policy allow ingress pre-dnat 3" in words


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        (["/etc/nfq-guard/rules"], "rules/web.yaml:9"),
        (["/etc/nfq-guard/rules/"], "rules/web.yaml:9"),
        (["/etc/nfq-guard", "/etc/nfq-guard/rules"], "rules/web.yaml:9"),
        (["/etc/nfq-guard/rules/web.yaml"], "web.yaml:9"),
        (["/etc/nfq-guard/rules", "/srv/rules"], "/etc/nfq-guard/rules/web.yaml:9"),
        (["/etc/nfq-guard/rule"], "/etc/nfq-guard/rules/web.yaml:9"),
        (["/"], "/etc/nfq-guard/rules/web.yaml:9"),
    ],
)
def test_text_names_files_from_the_folder_on_that_the_head_names(
    guard: Guard, rules: list[str], shown: str
) -> None:
    (chain,) = ANSWER["chains"]
    listed = {**chain, "rules": [{**RULE, "file": "/etc/nfq-guard/rules/web.yaml", "line": 9, "packets": 0}]}
    guard.answer = {**ANSWER, "rules": rules, "chains": [listed]}

    output = ask(guard)[1]

    assert f"rule 0  {shown}  [" in output
    assert f"rules from {', '.join(rules)}, loaded" in output


def test_a_refused_change_is_told_behind_the_node(guard: Guard) -> None:
    guard.answer = {**ANSWER, "detail": "enforcing generation 2; the last change was refused"}

    assert ask(guard)[1].startswith("host: enforcing generation 2; the last change was refused\n")


def test_a_guard_that_does_not_enforce_is_a_no(guard: Guard) -> None:
    guard.answer = {**ANSWER, "ready": False, "detail": "no worker", "load_errors": ["a.yaml:1: error: [x]"]}
    code, output = ask(guard)

    assert code == Exit.NO
    assert "host: no worker" in output
    assert "refused: a.yaml:1: error: [x]" in output


def test_a_guard_that_refuses_the_question_is_a_failure(guard: Guard) -> None:
    guard.answer = {"error": "unknown command"}

    assert ask(guard) == (Exit.FAILED, f"Error: {guard.path}: unknown command\n")


def test_no_guard_at_all_is_a_failure(tmp_path: Path) -> None:
    path = str(tmp_path / "none.sock")
    result = CliRunner().invoke(cli, ["status", "--control", path])

    assert result.exit_code == Exit.FAILED
    assert result.stderr == (
        f"Error: no nfq-guard answers at {path} (--control, from flag --control): No such file or directory; "
        "without a controller, table and workers may still enforce: "
        "`nft list table inet nfq_guard` as root shows whether the table stands\n"
    )


def test_a_guard_of_somebody_else_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = str(tmp_path / "control.sock")
    monkeypatch.setenv("NFQ_GUARD_CONTROL", path)
    monkeypatch.setattr(status, "ask", refuse)  # root, who runs the tests, is refused nothing
    result = CliRunner().invoke(cli, ["status"])

    assert result.exit_code == Exit.FAILED
    assert result.stderr == (
        f"Error: nfq-guard cannot be asked at {path} (--control, from environment NFQ_GUARD_CONTROL): "
        "Permission denied; root is needed\n"
    )


@pytest.mark.traffic
def test_a_running_guard_shows_what_its_rules_have_counted(tmp_path: Path) -> None:
    with pair() as (guarded, peer), Daemon(guarded.namespace, tmp_path) as daemon:
        daemon.write(endpoint(), policy(tcp(80)))
        daemon.start()
        assert not connects(peer, guarded, 80)  # allowed, and refused by the host: nobody listens
        result = CliRunner().invoke(cli, ["status", "--control", str(daemon.control)])
        words = [" ".join(line.split()) for line in result.output.splitlines()]

        assert result.exit_code == Exit.GOOD
        assert "guarded-eth0 up eth0" in words
        counted = [line for line in words if line.startswith("@0 allow default/GlobalNetworkPolicy(traffic)")]
        assert counted[0].endswith("[ Packets: 1 ]")
