from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from nfq_guard.cli.main import Exit, cli

if TYPE_CHECKING:
    from pathlib import Path

RULES = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: host-eth0, labels: {role: web}}
spec: {node: host, interfaceName: eth0}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec:
  selector: role == 'web'
  ingress:
    - action: Deny
      source: {nets: [10.9.0.0/16]}
    - action: Allow
      protocol: TCP
      destination: {ports: [80]}
"""
FACTS = {"node": "host", "interfaces": {"eth0": ["10.0.0.1"], "lo": ["127.0.0.1"]}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "web.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    return ["decide", "--rules", str(folder / "rules"), "--facts", str(folder / "facts.json"), *more]


def flow(src: str = "10.0.0.9", dport: int = 80, interface: str = "eth0") -> dict[str, Any]:
    return {
        "direction": "in",
        "in_interface": interface,
        "protocol": "TCP",
        "src": src,
        "dst": "10.0.0.1",
        "dport": dport,
    }


def lines(*documents: Any) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def test_one_verdict_a_flow_in_the_same_order(folder: Path) -> None:
    asked = lines(flow(), flow("10.9.0.1"), flow(dport=81), flow(dport=22), flow(interface="lo"))
    result = CliRunner().invoke(cli, arguments(folder), input=asked)
    verdicts = [json.loads(line) for line in result.stdout.splitlines()]

    assert result.exit_code == Exit.GOOD
    assert [(answer["verdict"], answer["reason"], answer["rule"]) for answer in verdicts] == [
        ("allow", "policy", 1),
        ("deny", "policy", 0),
        ("deny", "tier-default", None),
        ("allow", "failsafe", None),
        ("allow", "unmanaged", None),
    ]
    assert verdicts[0] == {
        "verdict": "allow",
        "reason": "policy",
        "stage": "normal",
        "direction": "ingress",
        "endpoint": "host-eth0",
        "tier": "default",
        "policy": {"kind": "GlobalNetworkPolicy", "name": "web"},
        "rule": 1,
    }


STAGED = """
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: tried}
spec:
  order: 1
  ingress:
    - {action: Deny, source: {nets: [10.0.0.9/32]}}
"""


def test_on_request_each_verdict_says_what_it_would_be_with_staged_policies(folder: Path) -> None:
    (folder / "rules" / "tried.yaml").write_text(STAGED, encoding="utf-8")
    asked = lines(flow(), flow("10.9.0.1"), flow(dport=22), "no flow")
    plain = CliRunner().invoke(cli, arguments(folder), input=asked)
    result = CliRunner().invoke(cli, arguments(folder, "--staged"), input=asked)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    enforced = [{key: answer[key] for key in answer if key != "staged"} for answer in answers]

    assert enforced == [json.loads(line) for line in plain.stdout.splitlines()]
    assert (plain.exit_code, result.exit_code) == (Exit.NO, Exit.NO)
    assert answers[0]["staged"] == {
        "verdict": "deny",
        "reason": "policy",
        "stage": "normal",
        "direction": "ingress",
        "endpoint": "host-eth0",
        "tier": "default",
        "policy": {"kind": "StagedGlobalNetworkPolicy", "name": "tried"},
        "rule": 0,
    }
    assert (answers[1]["staged"]["verdict"], answers[1]["staged"]["policy"]["name"]) == ("deny", "web")
    assert answers[2]["staged"] is None
    assert "staged" not in answers[3]


def test_text_says_what_staged_policies_would_do_only_on_request(folder: Path) -> None:
    (folder / "rules" / "tried.yaml").write_text(STAGED, encoding="utf-8")
    command = arguments(folder, "--format", "text")
    plain = CliRunner().invoke(cli, command, input=lines(flow()))
    result = CliRunner().invoke(cli, [*command, "--staged"], input=lines(flow()))

    assert "; staged:" not in plain.stdout
    assert result.stdout.startswith(plain.stdout.rstrip("\n"))
    assert (
        "; staged: would deny, tier default, StagedGlobalNetworkPolicy(tried) ingress rule 0 at "
        in result.stdout
    )
    assert result.stdout.endswith("tried.yaml:8\n")


def test_flows_may_come_from_a_file(folder: Path) -> None:
    flows = folder / "flows.jsonl"
    flows.write_text(lines(flow()), encoding="utf-8")
    result = CliRunner().invoke(cli, arguments(folder, str(flows)))

    assert json.loads(result.stdout)["verdict"] == "allow"


def test_a_bad_line_gets_an_error_in_its_place_and_the_answer_is_no(folder: Path) -> None:
    asked = lines(flow()) + "{\n\n" + lines({**flow(), "dport": "80"}, flow())
    result = CliRunner().invoke(cli, arguments(folder, "-"), input=asked)
    first, second, third, fourth = [json.loads(line) for line in result.stdout.splitlines()]

    assert result.exit_code == Exit.NO
    assert first == fourth
    assert second.keys() == third.keys() == {"error", "line"}
    assert (second["line"], third["line"]) == (2, 4)
    assert third["error"] == "'dport' must be a number 0-65535, found '80'"


def test_text_says_where_the_rule_stands(folder: Path) -> None:
    result = CliRunner().invoke(cli, arguments(folder, "--format", "text"), input=lines(flow()))

    assert "GlobalNetworkPolicy(web) ingress rule 1" in result.stdout
    assert "web.yaml:15" in result.stdout


def test_text_is_text_for_bad_lines_too(folder: Path) -> None:
    result = CliRunner().invoke(cli, arguments(folder, "--format", "text"), input="{\n" + lines(flow()))
    bad, good = result.stdout.splitlines()

    assert result.exit_code == Exit.NO
    assert bad.startswith("error  line 1: not JSON: ")
    assert good.startswith("allow  policy ")


def test_invalid_rules_are_named_with_their_place_and_nothing_is_decided(folder: Path) -> None:
    (folder / "rules" / "bad.yaml").write_text(
        RULES.replace("role == 'web'", "role = 'web'"), encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "nfq_guard", *arguments(folder)],
        input=lines(flow()),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (Exit.NO, "")
    assert "bad.yaml:11:" in done.stderr


@pytest.mark.parametrize("facts", ["{", "[]", '{"node": 1}'])
def test_bad_facts_are_wrong_usage(folder: Path, facts: str) -> None:
    (folder / "facts.json").write_text(facts, encoding="utf-8")
    result = CliRunner().invoke(cli, arguments(folder), input=lines(flow()))

    assert result.exit_code == Exit.USAGE
    assert "facts.json" in result.stderr


def test_the_rules_of_the_settings_are_taken_unless_others_are_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_flag = arguments(folder)
    without = [word for word in with_flag if word not in {"--rules", str(folder / "rules")}]
    asked = lines(flow())
    monkeypatch.setenv("NFQ_GUARD_RULES", str(folder / "rules"))
    by_setting = CliRunner().invoke(cli, without, input=asked)
    monkeypatch.setenv("NFQ_GUARD_RULES", str(folder / "nowhere"))
    by_flag = CliRunner().invoke(cli, with_flag, input=asked)

    assert (by_setting.exit_code, by_setting.output) == (Exit.GOOD, by_flag.output)


def test_rules_that_are_not_there_are_wrong_usage(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["decide", "--rules", str(folder / "none")], input="")

    assert result.exit_code == Exit.USAGE


def test_without_facts_this_machine_is_meant(folder: Path) -> None:
    asked = lines(flow(interface="eth0"))
    result = CliRunner().invoke(
        cli, ["decide", "--rules", str(folder / "rules"), "--node", "some-other-host"], input=asked
    )

    assert json.loads(result.stdout)["reason"] == "unmanaged"


def test_each_answer_comes_before_the_next_question(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "nfq_guard", *arguments(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for dport, verdict in ((80, "allow"), (81, "deny")):
            child.stdin.write(lines(flow(dport=dport)))
            child.stdin.flush()

            assert json.loads(child.stdout.readline())["verdict"] == verdict
        child.stdin.close()

        assert child.wait(timeout=30) == Exit.GOOD


def test_no_answer_commands_the_terminal(folder: Path) -> None:
    (folder / "pwn\x1b[2J").mkdir()
    (folder / "rules").rename(folder / "pwn\x1b[2J" / "rules")
    named = ["decide", "--rules", str(folder / "pwn\x1b[2J"), "--facts", str(folder / "facts.json")]
    bad = '{"direction": "\x9b31m\x7f"}\n'
    text = CliRunner().invoke(cli, [*named, "--format", "text"], input=lines(flow()) + bad).stdout
    answers = CliRunner().invoke(cli, named, input=bad).stdout

    assert r"pwn\u001b[2J/rules/web.yaml" in text
    assert all(line.isprintable() for line in (text + answers).splitlines())


SOLICITATION = {
    "direction": "in",
    "in_interface": "lo",
    "protocol": "ICMPv6",
    "src": "fe80::2",
    "dst": "fe80::1",
    "icmp_type": 135,
}
GIVEN = {
    "nothing": ([], {}, "", "unmanaged"),
    "a name": (["--node", "other"], {}, "", "neighbor-discovery"),
    "a name in a variable": ([], {"NFQ_GUARD_NODE": "other"}, "", "neighbor-discovery"),
    "a name in the file": ([], {}, 'node = "other"', "neighbor-discovery"),
    "discovery by policy": (
        ["--node", "other", "--allow-neighbor-discovery", "false"],
        {},
        "",
        "no-match",
    ),
    "both in the file": ([], {}, 'node = "other"\nallow_neighbor_discovery = false', "no-match"),
    "a flag over the file": (
        ["--allow-neighbor-discovery", "true"],
        {},
        'node = "other"\nallow_neighbor_discovery = false',
        "neighbor-discovery",
    ),
}


@pytest.mark.parametrize("case", GIVEN)
def test_settings_that_change_verdicts_are_those_that_run_would_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    flags, variables, file, reason = GIVEN[case]
    rules, config = tmp_path / "rules.yaml", tmp_path / "config.toml"
    endpoint = RULES.split("---", maxsplit=1)[0].replace(
        "node: host, interfaceName: eth0", 'node: other, interfaceName: "*"'
    )
    rules.write_text(endpoint, encoding="utf-8")
    config.write_text(file, encoding="utf-8")
    for name, value in (variables | {"NFQ_GUARD_CONFIG": str(config)}).items():
        monkeypatch.setenv(name, value)

    result = CliRunner().invoke(cli, ["decide", "--rules", str(rules), *flags], input=lines(SOLICITATION))

    assert (result.exit_code, json.loads(result.stdout)["reason"]) == (Exit.GOOD, reason)
