"""Calico's own rule-match and tier-evaluation cases, spoken as resources."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from policy import host_endpoint, inventory_of, policy, resource, ruleset_of

from nfq_guard.model.decision import Decision, Reason, Verdict
from nfq_guard.model.flow import ABSENT, Packet, Side, Stage
from nfq_guard.model.problem import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.conformance

FACTS = {"node": "host-a", "interfaces": {"eth0": []}}
Case = dict[str, Any]


def load(cases_dir: Path, kind: str) -> list[Case]:
    cases: list[Case] = json.loads((cases_dir / "checker.json").read_text())["cases"]
    return [case for case in cases if case["type"] == kind]


def packet_of(flow: Case) -> Packet:
    src, dst = ip_address(flow["src"]), ip_address(flow["dst"])
    ports = flow.get("srcPort", ABSENT), flow.get("dstPort", ABSENT)
    return Packet(src.version, flow["protocol"], int(src), int(dst), *ports)


def decision_of(flow: Case, side: Side, *resources: Case) -> Decision:
    ruleset = ruleset_of(FACTS, *resources)
    decision = ruleset.governed["eth0"].chains[Stage.NORMAL, side].classify(packet_of(flow)).decision
    assert decision is not None
    return decision


# --- rule_match: IP sets become network sets and named ports ------------------------------


def in_v3(rule: Case) -> Case:
    """Return a rule of Calico's data plane as a policy's: sets by label, nets masked."""
    spoken = {key: value for key, value in rule.items() if key not in {"source", "destination"}}
    for name in ("source", "destination"):
        entity = dict(rule.get(name, {}))
        if positive := entity.pop("ipSets", []):
            entity["selector"] = " && ".join(f"has(in-{item})" for item in positive)
        if negative := entity.pop("notIPSets", []):
            entity["notSelector"] = " || ".join(f"has(in-{item})" for item in negative)
        if ports := entity.pop("ipPortSets", []):
            entity["ports"] = [item.lower() for item in ports]
        for nets in ("nets", "notNets"):
            if nets in entity:
                entity[nets] = [masked(text) for text in entity[nets]]
        if entity:
            spoken[name] = entity
    return spoken


def masked(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return text


def members_of(sets: dict[str, list[str]]) -> list[Case]:
    """Return a network set an address with a label for each IP set it is in, a host endpoint a named port."""
    labels: dict[str, dict[str, str]] = {}
    resources: list[Case] = []
    for name, members in sets.items():
        for number, member in enumerate(members):
            address, comma, service = member.partition(",")
            if comma:
                protocol, _, port = service.partition(":")
                named = {"name": name.lower(), "protocol": protocol.upper(), "port": int(port)}
                hep = host_endpoint(
                    f"{name.lower()}-{number}", node="host-b", expectedIPs=[address], ports=[named]
                )
                resources.append(hep)
            else:
                labels.setdefault(address, {})[f"in-{name}"] = ""
    return resources + [
        resource("GlobalNetworkSet", f"set-{number}", labels=found, nets=[address])
        for number, (address, found) in enumerate(labels.items())
    ]


def test_every_rule_match_comes_out_as_in_calico(cases_dir: Path) -> None:
    cases = load(cases_dir, "rule_match")

    for case in cases:
        rule = in_v3(case["rule"])
        if case.get("v3_valid") is False:
            # Calico's data plane never matches such a rule; here it is refused when it is loaded.
            with pytest.raises(ConfigError):
                inventory_of(policy(ingress=[rule]))
            continue
        decision = decision_of(
            case["flow"], Side.INGRESS, host_endpoint(), policy(ingress=[rule]), *members_of(case["ipSets"])
        )
        assert (decision.verdict is Verdict.ALLOW) is case["expected"], case["desc"]
    assert len(cases) >= 60


# --- policy and evaluate ------------------------------------------------------------------


def test_every_list_of_rules_comes_out_as_in_calico(cases_dir: Path) -> None:
    cases = load(cases_dir, "policy")

    for case in cases:
        decision = decision_of(
            case["flow"],
            Side(case["direction"]),
            host_endpoint(),
            policy(**{case["direction"]: case["rules"]}),
        )
        expected = case["expected"]
        if expected["action"] == "no_match":
            assert decision.rule is None, case["desc"]
        else:
            assert decision.rule is not None, case["desc"]
            assert (str(decision.verdict), decision.rule.rule) == (expected["action"], expected["index"])
    assert cases


def has_missing(case: Case) -> bool:
    """Return whether a policy is named but not in the store, which cannot be written in files."""
    return any(item.get("missing") for tier in case["tiers"] for item in tier["policies"])


def in_resources(case: Case) -> list[Case]:
    resources = [host_endpoint(profiles=[profile["name"] for profile in case["profiles"]])]
    for order, tier in enumerate(case["tiers"]):
        resources.append(resource("Tier", tier["name"], order=order, defaultAction=tier["defaultAction"]))
        for number, item in enumerate(tier["policies"]):
            rules = {
                side: [{"protocol": "TCP", **rule} for rule in item[side]]
                for side in ("ingress", "egress")
                if side in item
            }
            resources.append(resource(item["kind"], item["name"], tier=tier["name"], order=number, **rules))
    for profile in case["profiles"]:
        rules = {side: profile[side] for side in ("ingress", "egress") if side in profile}
        resources.append(resource("Profile", profile["name"], **rules))
    return resources


def evaluated(case: Case) -> Decision:
    """Return the decision in the scope that a case asks for."""
    endpoint = ruleset_of(FACTS, *in_resources(case)).governed["eth0"]
    place = Stage.NORMAL, Side(case["direction"])
    pending = case.get("scope") == "StagedAsEnforced" and place in endpoint.pending
    chain = endpoint.pending[place].chain if pending else endpoint.chains[place]
    decision = chain.classify(packet_of(case["flow"])).decision
    assert decision is not None
    return decision


def test_every_evaluation_comes_out_as_in_calico(cases_dir: Path) -> None:
    cases = [case for case in load(cases_dir, "evaluate") if not has_missing(case)]

    for case in cases:
        decision = evaluated(case)
        assert str(decision.verdict) == case["expected"]["verdict"], case["desc"]
        if "trace" in case["expected"]:
            assert traced(decision) == last_step(case["expected"]["trace"]), case["desc"]
    assert len(cases) >= 20


Step = tuple[str | None, str | None, str | None, int]


def traced(decision: Decision) -> Step:
    if decision.reason is Reason.TIER_DEFAULT:
        return decision.tier, None, None, -1
    assert decision.rule is not None
    return decision.tier, decision.rule.kind, decision.rule.name, decision.rule.rule


def last_step(trace: list[Case]) -> Step:
    """Return Calico's last step; for an end of tier it names the tier's last policy, we name the tier."""
    step = trace[-1]
    tier = None if step["tier"] == "__PROFILE__" else step["tier"]
    return (
        (tier, None, None, -1) if step["index"] == -1 else (tier, step["kind"], step["name"], step["index"])
    )
