from __future__ import annotations

from typing import Any

import pytest
from guarded import documents, endpoint, policy, tcp

from nfq_guard.daemon import policymap
from nfq_guard.daemon.counters import POLICY_BASE, WORDS, Reader
from nfq_guard.daemon.policy import Compiler
from nfq_guard.daemon.policymap import Which, chain_rules, overview
from nfq_guard.daemon.readings import KernelReadings
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.engine.ruleset import Options
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source

INGRESS = Which("HostEndpoint", "guarded-eth0", "", "normal", "ingress", staged=False)
FACTS = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1", "fd00::1"), 2)})


def telemetry(*texts: str) -> Telemetry:
    """Return telemetry with the policy of some documents in force; each rule has counted its slot's number."""
    compiler = Compiler(("unused",), Options())
    sources = (Source("a.yaml", documents(*texts).encode()),)
    ruleset = compiler.compile(compiler.decode(sources), FACTS).ruleset
    words = memoryview(bytearray(WORDS * 8)).cast("Q")
    slots = SlotTable(1000, lambda slot: words[POLICY_BASE + slot])
    for slot in slots.assign(ruleset.counted):
        words[POLICY_BASE + slot] = slot + 1
    return Telemetry(
        Reader((words,)),
        slots,
        lambda: KernelReadings({}),
        lambda: (0, 0),
        ruleset=ruleset,
        sources=sources,
        facts=FACTS,
    )


def rules(seen: Telemetry, which: Which = INGRESS, start: int = 0) -> dict[str, Any]:
    found = chain_rules(seen, which, start)
    assert found is not None
    return found


def test_endpoints_are_told_with_interfaces_addresses_and_chains() -> None:
    found = overview(telemetry(endpoint(), endpoint("eth9", name="wan"), policy(tcp(80))))

    one, other = found["endpoints"]
    assert one["interfaces"] == [{"name": "eth0", "addresses": ["10.0.0.1", "fd00::1"]}]
    assert one["chains"][:2] == [
        {"stage": "normal", "side": "ingress", "staged": False},
        {"stage": "normal", "side": "egress", "staged": False},
    ]
    assert (other["name"], other["status"], other["reason"]) == ("wan", "error", "no interface eth9 yet")
    assert found["more"] == 0


def test_rules_are_told_in_order_as_they_were_written_with_what_they_counted() -> None:
    found = rules(telemetry(endpoint(), policy(tcp(80), tcp(81, action="Deny"))))

    assert [(row["kind"], row["policy"], row["action"]) for row in found["rules"]] == [
        ("GlobalNetworkPolicy", "traffic", "allow"),
        ("GlobalNetworkPolicy", "traffic", "deny"),
        ("Tier", "default", "deny"),
        ("HostEndpoint", "guarded-eth0", "deny"),
    ]
    assert found["rules"][0]["text"] == f"- {tcp(80)}"
    assert all(row["packets"] > 0 for row in found["rules"])
    assert found["more"] == 0


def test_staged_policies_have_chains_of_their_own() -> None:
    tried = policy(tcp(80, action="Deny"), egress=(), name="tried").replace(
        "GlobalNetwork", "StagedGlobalNetwork"
    )
    seen = telemetry(endpoint(), policy(tcp(80)), tried)

    staged = rules(seen, INGRESS._replace(staged=True))

    assert "tried" in {row["policy"] for row in staged["rules"]}
    assert "tried" not in {row["policy"] for row in rules(seen)["rules"]}
    assert any(chain["staged"] for chain in overview(seen)["endpoints"][0]["chains"])


def test_many_rules_are_told_a_part_at_a_time_and_many_endpoints_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policymap, "MOST_RULES", 3)
    monkeypatch.setattr(policymap, "MOST_ENDPOINTS", 1)
    seen = telemetry(endpoint(), endpoint("eth9", name="wan"), policy(*map(tcp, range(80, 85))))

    first, second, third = (rules(seen, start=start) for start in (0, 3, 6))

    assert [found["more"] for found in (first, second, third)] == [4, 1, 0]
    assert [len(found["rules"]) for found in (first, second, third)] == [3, 3, 1]
    assert rules(seen, start=10**6) == {"generation": 0, "start": 10**6, "rules": [], "more": 0}
    assert (len(overview(seen)["endpoints"]), overview(seen)["more"]) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [{"name": "nobody"}, {"stage": "nowhere"}, {"side": "inside"}, {"stage": "untracked"}, {"staged": True}],
)
def test_a_chain_that_is_not_there_is_none(change: dict[str, Any]) -> None:
    assert chain_rules(telemetry(endpoint(), policy(tcp(80))), INGRESS._replace(**change)) is None


def test_before_anything_is_in_force_the_map_is_empty() -> None:
    seen = Telemetry(Reader(()), SlotTable(1, lambda _: 0), lambda: KernelReadings({}), lambda: (0, 0))

    assert overview(seen) == {"generation": 0, "endpoints": [], "more": 0}
    assert chain_rules(seen, INGRESS) is None
