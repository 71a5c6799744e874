from __future__ import annotations

import json

from guarded import documents, endpoint, policy, tcp

from nfq_guard.daemon.counters import POLICY_BASE, WORDS, Reader, VerdictLabels
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.readings import KernelReadings
from nfq_guard.daemon.settings import Settings
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.status import status
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.engine.ruleset import Options
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source


def test_status_shows_endpoints_and_rules_in_evaluation_order_with_place_and_count() -> None:
    compiler = Compiler(("unused",), Options())
    text = documents(
        endpoint(),
        endpoint('"*"', name="rest"),
        endpoint("eth9", name="wan"),
        policy(tcp(80), tcp(81, action="Deny")),
        policy(name="empty"),
    )
    facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})
    ruleset = compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset
    words = memoryview(bytearray(WORDS * 8)).cast("Q")
    slots = SlotTable(100, lambda slot: words[POLICY_BASE + slot])
    place = slots.assign(ruleset.counted)[0]
    words[POLICY_BASE + place] = 6
    kernel = KernelReadings({VerdictLabels("failsafe", "allow", "ingress", "normal"): 4})
    telemetry = Telemetry(Reader((words,)), slots, lambda: kernel, lambda: (0, 0), ruleset=ruleset)
    telemetry.workers_up = {4600: True}

    shown = json.loads(json.dumps(status(telemetry, Settings(), {4600: 77})))

    fixed = {"kind": "HostEndpoint", "namespace": ""}
    assert shown["endpoints"] == [
        {**fixed, "name": "guarded-eth0", "status": "up", "interfaces": ["eth0"], "reason": ""},
        {**fixed, "name": "rest", "status": "up", "interfaces": ["*"], "reason": ""},
        {**fixed, "name": "wan", "status": "error", "interfaces": [], "reason": "no interface eth9 yet"},
    ]
    assert {chain["endpoint"] for chain in shown["chains"]} == {"guarded-eth0", "rest", "wan"}
    rules = next(chain for chain in shown["chains"] if chain["direction"] == "ingress")["rules"]
    traffic = [rule for rule in rules if rule["policy"] == "traffic"]
    assert [(rule["rule"], rule["action"]) for rule in traffic] == [("0", "allow"), ("1", "deny")]
    assert traffic[0]["file"] == "a.yaml"
    assert max(rule["packets"] for rule in rules) == 6
    assert shown["verdicts"] == [
        {"reason": "failsafe", "verdict": "allow", "direction": "ingress", "stage": "normal", "packets": 4}
    ]
    assert shown["queues"]["workers"] == [{"queue": 4600, "up": True, "pid": 77}]


def test_status_shows_what_staged_policies_would_have_done_apart_from_what_is_enforced() -> None:
    compiler = Compiler(("unused",), Options())
    tried = policy(tcp(80, action="Deny"), egress=(), name="tried").replace(
        "GlobalNetwork", "StagedGlobalNetwork"
    )
    facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})
    text = documents(endpoint(), policy(tcp(80)), tried)
    ruleset = compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset
    words = memoryview(bytearray(WORDS * 8)).cast("Q")
    slots = SlotTable(100, lambda slot: words[POLICY_BASE + slot])
    for number, slot in enumerate(slots.assign(ruleset.counted)):
        words[POLICY_BASE + slot] = number
    telemetry = Telemetry(
        Reader((words,)), slots, lambda: KernelReadings({}), lambda: (0, 0), ruleset=ruleset
    )

    shown = json.loads(json.dumps(status(telemetry, Settings(), {})))
    ingress = next(chain for chain in shown["staged"] if chain["direction"] == "ingress")

    assert shown["staged_policies"] == 1
    assert not any("Staged" in rule["kind"] for chain in shown["chains"] for rule in chain["rules"])
    assert [(rule["kind"], rule["policy"], rule["action"]) for rule in ingress["rules"]] == [
        ("StagedGlobalNetworkPolicy", "tried", "deny"),
        ("Tier", "default", "deny"),
    ]
    assert ingress["rules"][0]["file"] == "a.yaml"
    assert [(row["enforced"], row["staged"]) for row in ingress["verdicts"]] == [
        ("allow", "allow"),
        ("allow", "deny"),
        ("deny", "allow"),
        ("deny", "deny"),
    ]
    counts = [row["packets"] for row in (*ingress["rules"], *ingress["verdicts"])]
    assert sorted(counts) == counts
    assert min(counts) >= len(ruleset.counter_keys)


WORKLOAD = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: pod, namespace: shop, labels: {guarded: "yes"}}
spec: {node: guarded, interfaceName: cali1}
"""


def test_status_shows_workload_endpoints_with_their_interface_and_their_chains() -> None:
    compiler = Compiler(("unused",), Options())
    facts = HostFacts("guarded", {name: Interface(name) for name in ("cali1", "eth0")})
    tried = policy(tcp(81), name="tried").replace("GlobalNetwork", "StagedGlobalNetwork")
    text = documents(endpoint(name="pod"), WORKLOAD, policy(tcp(80)), tried)
    ruleset = compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset
    telemetry = Telemetry(
        Reader(()), SlotTable(100, lambda _: 0), lambda: KernelReadings({}), lambda: (0, 0), ruleset=ruleset
    )

    shown = json.loads(json.dumps(status(telemetry, Settings(), {})))

    assert [(row["kind"], row["namespace"], row["interfaces"]) for row in shown["endpoints"]] == [
        ("HostEndpoint", "", ["eth0"]),
        ("WorkloadEndpoint", "shop", ["cali1"]),
    ]
    for listed in (shown["chains"], shown["staged"]):
        assert [(each["kind"], each["namespace"], each["interface"]) for each in listed] == [
            ("HostEndpoint", "", "")
        ] * 2 + [("WorkloadEndpoint", "shop", "cali1")] * 2
        assert {each["endpoint"] for each in listed} == {"pod"}


def test_status_before_anything_is_in_force_is_short_and_whole() -> None:
    telemetry = Telemetry(Reader(()), SlotTable(1, lambda _: 0), lambda: KernelReadings({}), lambda: (0, 0))

    shown = status(telemetry, Settings(node="n"), {})

    assert (shown["ready"], shown["node"], shown["endpoints"], shown["chains"]) == (False, "n", [], [])
