"""The puzzles that users of Calico have: the cause stands in the first lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from nfq_guard.cli.main import Exit, cli

if TYPE_CHECKING:
    from pathlib import Path

FACTS = {
    "node": "web-1",
    "interfaces": {
        "eth0": ["10.0.0.1", "2001:db8::1"],
        "eth1": ["10.1.0.1"],
        "lo": ["127.0.0.1", "::1"],
    },
}
ENDPOINT = """\
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: web-1-eth0, labels: {role: web}}
spec: {node: web-1, interfaceName: eth0, expectedIPs: [10.0.0.1, "2001:db8::1"]}
"""
TOP = 4
"""Lines: the verdict, and three behind it."""


class Puzzle(NamedTuple):
    rules: str
    question: str
    verdict: str
    causes: tuple[str, ...]
    """Of which each stands in one of the first lines."""
    endpoint: str = ENDPOINT
    first: str = ""
    """What the first cause begins with."""
    change: str = ""
    """What the first remedy says."""


def policy(name: str, spec: str) -> str:
    head = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
    return f"---\n{head}metadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def resource(kind: str, name: str, spec: str, labels: str = "") -> str:
    head = f"apiVersion: projectcalico.org/v3\nkind: {kind}\n"
    return f"---\n{head}metadata: {{name: {name}, labels: {{{labels}}}}}\nspec: {{{spec}}}\n"


WEB = "ingress: [{action: Allow, protocol: TCP, destination: {ports: [443]}}]"
PUZZLES = {
    "the wrong order of tiers": Puzzle(
        resource("Tier", "security", "order: 100, defaultAction: Deny")
        + resource("Tier", "app", "order: 200, defaultAction: Deny")
        + policy("lockdown", "tier: security, ingress: [{action: Deny, protocol: TCP}]")
        + policy("allow-web", f"tier: app, {WEB}"),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443",
        "deny",
        (
            "GlobalNetworkPolicy(lockdown) ingress rule 0 at rules/web.yaml:",
            "GlobalNetworkPolicy(allow-web) rule 0 (rules/web.yaml:",
            "would allow it, but comes later: tier security (order 100) is asked ahead of tier app (order 200)",
        ),
    ),
    "the wrong protocol, among rules for other ports": Puzzle(
        policy(
            "allow-dhcp", "order: 1, ingress: [{action: Allow, protocol: UDP, destination: {ports: [67]}}]"
        )
        + policy(
            "allow-ntp", "order: 2, ingress: [{action: Allow, protocol: UDP, destination: {ports: [123]}}]"
        )
        + policy(
            "allow-dns", "order: 3, ingress: [{action: Allow, protocol: TCP, destination: {ports: [53]}}]"
        ),
        "in eth0 udp 203.0.113.9:40000 10.0.0.1:53",
        "deny",
        (
            "GlobalNetworkPolicy(allow-dns) rule 0",
            "but for protocol: found UDP, wanted TCP",
        ),
        first="  why: GlobalNetworkPolicy(allow-dns)",
        change="with the protocol TCP, say, it would be allowed, by GlobalNetworkPolicy(allow-dns) rule 0",
    ),
    "the wrong source, among rules for other ports": Puzzle(
        policy("allow-web", f"order: 1, {WEB}")
        + policy("allow-any", "order: 2, ingress: [{action: Allow, source: {nets: [198.51.100.0/24]}}]")
        + policy(
            "allow-registry",
            "order: 3, ingress: [{action: Allow, protocol: TCP, source: {nets: [192.0.2.0/24]}, "
            "destination: {ports: [5000, '5005:5010']}}]",
        ),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:5009",
        "deny",
        ("GlobalNetworkPolicy(allow-registry) rule 0", "but for source.nets: found 203.0.113.9"),
        first="  why: GlobalNetworkPolicy(allow-registry)",
        change="with the source address 192.0.2.0, say, it would be allowed",
    ),
    "a policy that is only staged": Puzzle(
        policy("allow-kubelet", "ingress: [{action: Allow, protocol: TCP, destination: {ports: [10250]}}]")
        + resource("StagedGlobalNetworkPolicy", "allow-elsewhere", f"selector: has(other), {WEB}")
        + resource("StagedGlobalNetworkPolicy", "allow-web", WEB),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443",
        "deny",
        (
            "StagedGlobalNetworkPolicy(allow-web) rule 0 would allow it, but is not asked: it is staged",
            "besides, its selector has(other) does not select HostEndpoint(web-1-eth0)",
        ),
        first="  why: StagedGlobalNetworkPolicy(allow-web)",
    ),
    "ICMP that is meant for IPv6 too": Puzzle(
        policy("allow-ping", "ingress: [{action: Allow, protocol: ICMP}]"),
        "in eth0 icmpv6 2001:db8:9::7 2001:db8::1 type 128",
        "deny",
        (
            "GlobalNetworkPolicy(allow-ping) rule 0",
            "but for protocol: found ICMPv6, wanted ICMP (ICMP is IPv4's only, and ICMPv6 IPv6's",
        ),
    ),
    "echo by its IPv4 type, meant for IPv6 too": Puzzle(
        policy("allow-ping", "ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8}}]"),
        "in eth0 icmpv6 2001:db8:9::7 2001:db8::1 type 128",
        "deny",
        ("but for protocol: found ICMPv6, wanted ICMP", "icmp: found type 128 code 0, wanted type 8"),
    ),
    "a packet that no rule was made for": Puzzle(
        policy("allow-ping", "order: 1, ingress: [{action: Allow, protocol: ICMP}]")
        + policy(
            "allow-ssh",
            "order: 2, ingress: [{action: Allow, protocol: TCP, source: {nets: [192.0.2.0/24]}, "
            "destination: {ports: [2222]}}]",
        ),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:8443",
        "deny",
        (
            "none of the 2 Allow rules asked is near; the nearest, GlobalNetworkPolicy(allow-ssh) rule 0 (rules/",
            "is ruled out by source.nets: found 203.0.113.9, wanted 192.0.2.0/24; destination.ports: found 8443, wanted 2222",
        ),
    ),
    "one rule, for something else": Puzzle(
        policy("allow-ping", "ingress: [{action: Allow, protocol: ICMP}]"),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:8443",
        "deny",
        ("no Allow rule is near; the only one asked, GlobalNetworkPolicy(allow-ping) rule 0",),
    ),
    "rules that only deny": Puzzle(
        policy("no-telnet", "ingress: [{action: Deny, protocol: TCP, destination: {ports: [23]}}]"),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:8443",
        "deny",
        ("no Allow rule was asked",),
    ),
    "an endpoint without policy": Puzzle(
        "",
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:8443",
        "deny",
        (
            "no policy for ingress applies to HostEndpoint(web-1-eth0) in the normal stage, and it has no profiles",
        ),
    ),
    "a tier that ends in Deny and passes nothing on": Puzzle(
        resource("Tier", "security", "order: 100, defaultAction: Deny")
        + policy(
            "block-telnet",
            "tier: security, ingress: [{action: Deny, protocol: TCP, destination: {ports: [23]}}]",
        )
        + policy("allow-ntp", "ingress: [{action: Allow, protocol: UDP, destination: {ports: [123]}}]")
        + policy("allow-web", WEB),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443",
        "deny",
        (
            "end of tier security",
            "GlobalNetworkPolicy(allow-web) rule 0 (rules/web.yaml:",
            "would allow it, but is never reached: tier security ends in Deny, its defaultAction, and has no rule that",
        ),
    ),
    "two tiers that end in Deny ahead of the rule": Puzzle(
        resource("Tier", "security", "order: 100")
        + resource("Tier", "platform", "order: 200")
        + policy(
            "block-telnet",
            "tier: security, ingress: [{action: Deny, protocol: TCP, destination: {ports: [23]}}]",
        )
        + policy(
            "monitoring",
            "tier: platform, ingress: [{action: Allow, protocol: TCP, destination: {ports: [9100]}}]",
        )
        + policy("allow-web", WEB),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443",
        "deny",
        ("never reached: tier security (and behind it platform) ends in Deny",),
    ),
    "a policy that only logs, and so denies": Puzzle(
        policy("log-all", "order: 1, ingress: [{action: Log}]"),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443",
        "deny",
        ("end of tier default", "GlobalNetworkPolicy(log-all) matched, but by a Log rule", "decides nothing"),
    ),
    "a host endpoint without expectedIPs, which no selector sees": Puzzle(
        resource("HostEndpoint", "db-1", "node: db-1, interfaceName: eth0", "role: db")
        + policy("from-db", "ingress: [{action: Allow, source: {selector: \"role == 'db'\"}}]"),
        "in eth0 tcp 10.0.0.7:40000 10.0.0.1:443",
        "deny",
        ("HostEndpoint(db-1) is selected, but has no expectedIPs: it stands for no address",),
    ),
    "IPv6 forgotten": Puzzle(
        policy("office", "ingress: [{action: Allow, protocol: TCP, source: {nets: [198.51.100.0/24]}}]"),
        "in eth0 tcp [2001:db8:9::7]:40000 [2001:db8::1]:443",
        "deny",
        ("GlobalNetworkPolicy(office) rule 0", "a rule with IPv4 nets only is no rule for IPv6"),
    ),
    "egress forgotten": Puzzle(
        policy("web", f"types: [Ingress, Egress], {WEB}"),
        "out eth0 tcp 10.0.0.1:40000 192.0.2.53:443",
        "deny",
        ("GlobalNetworkPolicy(web) applies to egress and has no egress rules",),
    ),
    "ports of the other protocol": Puzzle(
        policy("dns", "ingress: [{action: Allow, protocol: TCP, destination: {ports: [53]}}]"),
        "in eth0 udp 203.0.113.9:40000 10.0.0.1:53",
        "deny",
        ("GlobalNetworkPolicy(dns) rule 0", "but for protocol: found UDP, wanted TCP"),
    ),
    "loopback under an endpoint for all interfaces": Puzzle(
        policy("web", WEB),
        "in lo tcp 127.0.0.1:40000 127.0.0.1:5432",
        "deny",
        ('HostEndpoint(everything) governs lo, the host\'s talk with itself, too: interfaceName "*"',),
        """\
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: everything}
spec: {node: web-1, interfaceName: "*"}
""",
    ),
    "forwarded traffic that no policy looks at": Puzzle(
        policy("no-telnet", "ingress: [{action: Deny, protocol: TCP, destination: {ports: [23]}}]"),
        "forward eth0 eth1 tcp 203.0.113.9:40000 10.1.0.9:23",
        "allow",
        (
            "GlobalNetworkPolicy(no-telnet) rule 0 would deny it, but is not asked",
            "it is not asked about forwarded traffic: applyOnForward is not set",
        ),
    ),
    "a failsafe port, which nobody can deny": Puzzle(
        policy("no-ssh", "ingress: [{action: Deny, protocol: TCP, destination: {ports: [22]}}]"),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:22",
        "allow",
        (
            "failsafe ports (failsafeInboundHostPorts of the FelixConfiguration) are accepted ahead of every policy",
            "GlobalNetworkPolicy(no-ssh) rule 0 (rules/web.yaml:9) would deny it, and is not asked",
        ),
    ),
    "a slip in a label": Puzzle(
        policy("default-deny", "order: 1000, types: [Ingress]")
        + policy("web", f"selector: \"role == 'wbe'\", {WEB}"),
        "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443",
        "deny",
        (
            "GlobalNetworkPolicy(web) rule 0 would allow it, but is not asked",
            "role is 'web', and 'wbe' is wanted: is one of them a slip?",
        ),
    ),
}


@pytest.mark.parametrize("name", PUZZLES)
def test_the_cause_stands_in_the_first_lines(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puzzle = PUZZLES[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "web.yaml").write_text(puzzle.endpoint + puzzle.rules, encoding="utf-8")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")

    arguments = ["explain", "--rules", "rules", "--facts", "facts.json", *puzzle.question.split()]
    result = CliRunner().invoke(cli, arguments)

    first = result.stdout.splitlines()[:TOP]
    assert result.exit_code == (Exit.GOOD if puzzle.verdict == "allow" else Exit.NO), result.output
    assert first[0].split()[0] == puzzle.verdict
    for cause in puzzle.causes:
        assert any(cause in line for line in first), result.stdout
    assert first[1].startswith(puzzle.first), result.stdout
    changes = [line for line in result.stdout.splitlines() if line.startswith("  change: ")]
    assert puzzle.change in (changes[0] if changes else ""), result.stdout


def test_a_policy_of_the_same_name_in_a_namespace_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    head = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n"
    own = f"---\n{head}metadata: {{name: same, namespace: shop}}\nspec: {{order: 2, ingress: [{{action: Allow}}]}}\n"
    workload = """\
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: web--1-k8s-pod-eth0, namespace: shop}
spec: {node: web-1, orchestrator: k8s, pod: pod, endpoint: eth0, interfaceName: cali1}
"""
    rules = workload + policy("same", "order: 1, ingress: [{action: Deny}]") + own
    (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")

    question = "forward eth1 cali1 tcp 203.0.113.9:40000 10.1.0.9:23"
    arguments = ["explain", "--rules", "rules.yaml", "--facts", "facts.json", *question.split()]
    result = CliRunner().invoke(cli, arguments)

    assert "GlobalNetworkPolicy(same) (order 1) is asked ahead of it (order 2)" in result.stdout, (
        result.output
    )


def test_what_a_later_tier_denies_too_is_no_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules = (
        ENDPOINT
        + resource("Tier", "security", "order: 100")
        + policy(
            "telnet", "tier: security, ingress: [{action: Deny, protocol: TCP, destination: {ports: [23]}}]"
        )
        + policy("deny-all", "order: 1, ingress: [{action: Deny}]")
        + policy("allow-web", f"order: 2, {WEB}")
    )
    (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")

    question = "in eth0 tcp 203.0.113.9:40000 10.0.0.1:443"
    arguments = ["explain", "--rules", "rules.yaml", "--facts", "facts.json", *question.split()]
    result = CliRunner().invoke(cli, arguments)

    assert "never reached" not in result.stdout, result.output
