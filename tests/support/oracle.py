"""The slow, obvious evaluator: Calico's rules read aloud, over resources as plain dicts.

Never optimised, and shares no code with nfq_guard: it parses nothing, compiles nothing
and walks every tier, policy and rule for every flow. Selectors are looked up in a table
of (text, predicate) pairs, so that not even their parser is shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

Labels = Mapping[str, str]
Resource = Mapping[str, Any]

SELECTORS: dict[str, Callable[[Labels], bool]] = {
    "": lambda _labels: True,
    "all()": lambda _labels: True,
    "role == 'web'": lambda labels: labels.get("role") == "web",
    "role != 'web'": lambda labels: labels.get("role") != "web",
    "role in {'web', 'db'}": lambda labels: labels.get("role") in {"web", "db"},
    "role not in {'web', 'db'}": lambda labels: labels.get("role") not in {"web", "db"},
    "has(zone)": lambda labels: "zone" in labels,
    "!has(zone)": lambda labels: "zone" not in labels,
    "zone starts with 'a' && role == 'db'": lambda labels: (
        labels.get("zone", "x").startswith("a") and labels.get("role") == "db"
    ),
    "zone contains '1' || !(role == 'web')": lambda labels: (
        "1" in labels.get("zone", "") or labels.get("role") != "web"
    ),
    "zone ends with '2'": lambda labels: labels.get("zone", "x").endswith("2"),
    "has(inherited)": lambda labels: "inherited" in labels,
    "nobody == 'has this'": lambda _labels: False,
}

PROTOCOLS = {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}

DEFAULT_FAILSAFES = {
    "in": "tcp/22 udp/68 tcp/179 tcp/2379 tcp/2380 tcp/5473 tcp/6443 tcp/6666 tcp/6667",
    "out": "udp/53 udp/67 tcp/179 tcp/2379 tcp/2380 tcp/5473 tcp/6443 tcp/6666 tcp/6667",
}


def number(protocol: str | int) -> int:
    return PROTOCOLS[protocol] if isinstance(protocol, str) else protocol


def selects(text: str | None, labels: Labels) -> bool:
    return SELECTORS[text or ""](labels)


class Oracle:
    """Answers for one set of resources on one host."""

    def __init__(self, resources: Sequence[Resource], facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self.heps = [item for item in resources if item["kind"] == "HostEndpoint"]
        self.policies = [item for item in resources if item["kind"] == "GlobalNetworkPolicy"]
        self.sets = [item for item in resources if item["kind"] == "GlobalNetworkSet"]
        self.profiles = {item["metadata"]["name"]: item for item in resources if item["kind"] == "Profile"}
        self.tiers = {item["metadata"]["name"]: item for item in resources if item["kind"] == "Tier"}
        felix = {
            item["metadata"]["name"]: item["spec"]
            for item in resources
            if item["kind"] == "FelixConfiguration"
        }
        self.felix = {**felix.get("default", {}), **felix.get(f"node.{facts['node']}", {})}

    # --- who governs what -------------------------------------------------------------

    def governing(self, interface: str) -> Resource | None:
        prefixes = [part.strip() for part in self.felix.get("interfacePrefix", "cali").split(",")]
        if any(interface.startswith(prefix) for prefix in prefixes if prefix):
            return None
        mine = sorted(
            (hep for hep in self.heps if hep["spec"]["node"] == self.facts["node"]),
            key=lambda hep: hep["metadata"]["name"],
        )
        held = {ip_address(text) for text in self.facts["interfaces"].get(interface, [])}
        for hep in mine:
            name = hep["spec"].get("interfaceName", "")
            expected = {ip_address(text) for text in hep["spec"].get("expectedIPs", [])}
            if name == interface and interface in self.facts["interfaces"]:
                return hep
            if not name and expected & held:
                return hep
        return next((hep for hep in mine if hep["spec"].get("interfaceName") == "*"), None)

    def labels(self, hep: Resource) -> dict[str, str]:
        labels: dict[str, str] = {}
        for name in hep["spec"].get("profiles", []):
            for key, value in self.profiles.get(name, {"spec": {}})["spec"].get("labelsToApply", {}).items():
                labels.setdefault(key, value)
        return {**labels, **hep["metadata"].get("labels", {})}

    # --- addresses that selectors stand for -------------------------------------------

    def known(self) -> list[tuple[dict[str, str], list[Any], list[Resource]]]:
        endpoints = [
            (
                self.labels(hep),
                [ip_network(text) for text in hep["spec"].get("expectedIPs", [])],
                hep["spec"].get("ports", []),
            )
            for hep in self.heps
        ]
        sets: list[tuple[dict[str, str], list[Any], list[Resource]]] = [
            (
                item["metadata"].get("labels", {}),
                [ip_network(text, strict=False) for text in item["spec"].get("nets", [])],
                [],
            )
            for item in self.sets
        ]
        return endpoints + sets

    def among(self, wanted: Callable[[Labels], bool], address: Any) -> bool:
        return any(
            wanted(labels) and any(address.version == net.version and address in net for net in nets)
            for labels, nets, _ports in self.known()
        )

    def at_named_port(
        self,
        name: str,
        wanted: Callable[[Labels], bool],
        address: Any,
        protocol: int,
        port: int | None,
    ) -> bool:
        for labels, nets, ports in self.known():
            if not wanted(labels) or not any(
                address.version == net.version and address in net for net in nets
            ):
                continue
            for item in ports:
                if (item["name"], number(item["protocol"]), item["port"]) == (name, protocol, port):
                    return True
        return False

    # --- one rule ---------------------------------------------------------------------

    def matches(self, rule: Resource, flow: Resource) -> bool:
        version = flow["src"].version
        if rule.get("ipVersion", version) != version:
            return False
        if "protocol" in rule and number(rule["protocol"]) != flow["protocol"]:
            return False
        if "notProtocol" in rule and number(rule["notProtocol"]) == flow["protocol"]:
            return False
        for field in ("icmp", "notICMP"):
            if field in rule:
                if flow["protocol"] != {4: 1, 6: 58}[version]:
                    return False
                same = all(flow[f"icmp_{key}"] == value for key, value in rule[field].items())
                if same == (field == "notICMP"):
                    return False
        source, destination = rule.get("source", {}), rule.get("destination", {})
        return self.side_matches(
            source, flow["src"], flow.get("sport"), flow["protocol"]
        ) and self.side_matches(destination, flow["dst"], flow.get("dport"), flow["protocol"])

    def side_matches(self, side: Resource, address: Any, port: int | None, protocol: int) -> bool:  # noqa: C901
        for field in ("nets", "notNets"):
            if side.get(field):
                nets = [net for net in map(ip_network, side[field]) if net.version == address.version]
                if not nets:
                    return False
                if any(address in net for net in nets) == (field == "notNets"):
                    return False
        selector, not_selector = side.get("selector"), side.get("notSelector")

        def wanted(labels: Labels) -> bool:
            return selects(selector, labels) and not (not_selector and selects(not_selector, labels))

        if selector and not self.among(wanted, address):
            return False
        if (
            not_selector
            and not selector
            and self.among(lambda labels: selects(not_selector, labels), address)
        ):
            return False
        among = wanted if selector else lambda _labels: True
        if side.get("ports") and not any(
            self.port_matches(item, among, address, protocol, port) for item in side["ports"]
        ):
            return False
        for item in side.get("notPorts", []):
            if isinstance(item, str) and ":" not in item:
                if self.at_named_port(item, among, address, protocol, port):
                    return False
            elif port is None or self.port_matches(item, among, address, protocol, port):
                return False
        return True

    def port_matches(
        self,
        item: int | str,
        among: Callable[[Labels], bool],
        address: Any,
        protocol: int,
        port: int | None,
    ) -> bool:
        if isinstance(item, int):
            return port == item
        if ":" in item:
            low, high = map(int, item.split(":"))
            return port is not None and low <= port <= high
        return self.at_named_port(item, among, address, protocol, port)

    # --- the walk ---------------------------------------------------------------------

    def failsafe(self, flow: Resource) -> bool:
        direction = flow["direction"]
        configured = self.felix.get(f"failsafe{'Inbound' if direction == 'in' else 'Outbound'}HostPorts")
        peer = flow["src"] if direction == "in" else flow["dst"]
        if configured is None:
            pairs = [item.split("/") for item in DEFAULT_FAILSAFES[direction].split()]
            return any(
                flow["protocol"] == PROTOCOLS[name.upper()] and flow.get("dport") == int(port)
                for name, port in pairs
            )
        for item in configured:
            if flow["protocol"] != number(item["protocol"]) or flow.get("dport") != item["port"]:
                continue
            net = ip_network(item["net"]) if item.get("net") else None
            if net is None or (net.version == peer.version and peer in net):
                return True
        return False

    def decide(self, flow: Resource) -> dict[str, Any]:
        """Return verdict, reason, endpoint, tier, policy (kind, name) and rule for one flow."""
        inbound = flow["direction"] == "in"
        hep = self.governing(flow["in_interface" if inbound else "out_interface"])
        answer = {"endpoint": hep and hep["metadata"]["name"], "tier": None, "policy": None, "rule": None}
        if hep is None:
            return {**answer, "verdict": "allow", "reason": "unmanaged"}
        state = flow.get("ct_state", "new")
        if state in {"established", "related"}:
            return {**answer, "verdict": "allow", "reason": "established"}
        if state == "invalid" and not self.felix.get("disableConntrackInvalidCheck"):
            return {**answer, "verdict": "deny", "reason": "invalid"}
        if self.failsafe(flow):
            return {**answer, "verdict": "allow", "reason": "failsafe"}
        if flow["protocol"] == 58 and flow["src"].version == 6 and 133 <= flow["icmp_type"] <= 137:
            return {**answer, "verdict": "allow", "reason": "neighbor-discovery"}
        return {**answer, **self.policy_decides(hep, flow, "ingress" if inbound else "egress")}

    def policy_decides(self, hep: Resource, flow: Resource, side: str) -> dict[str, Any]:
        labels = self.labels(hep)
        for tier in self.sorted_tiers():
            policies = [policy for policy in self.sorted_policies(tier) if self.applies(policy, labels, side)]
            if not policies:
                continue
            outcome = self.walk_tier(tier, policies, flow, side)
            if outcome is not None:
                return outcome
        return self.profiles_decide(hep, flow, side)

    def walk_tier(
        self, tier: str, policies: list[Resource], flow: Resource, side: str
    ) -> dict[str, Any] | None:
        for policy in policies:
            name = policy["metadata"]["name"]
            for index, rule in enumerate(policy["spec"].get(side, [])):
                if rule["action"] == "Log" or not self.matches(rule, flow):
                    continue
                if rule["action"] == "Pass":
                    return None
                return {
                    "verdict": rule["action"].lower(),
                    "reason": "policy",
                    "tier": tier,
                    "policy": ("GlobalNetworkPolicy", name),
                    "rule": index,
                }
        if self.tiers.get(tier, {"spec": {}})["spec"].get("defaultAction", "Deny") == "Pass":
            return None
        return {"verdict": "deny", "reason": "tier-default", "tier": tier}

    def profiles_decide(self, hep: Resource, flow: Resource, side: str) -> dict[str, Any]:
        for name in hep["spec"].get("profiles", []):
            for index, rule in enumerate(self.profile_rules(name, side)):
                if rule["action"] == "Log" or not self.matches(rule, flow):
                    continue
                if rule["action"] == "Pass":
                    break
                return {
                    "verdict": rule["action"].lower(),
                    "reason": "profile",
                    "policy": ("Profile", name),
                    "rule": index,
                }
        return {"verdict": "deny", "reason": "no-match"}

    def profile_rules(self, name: str, side: str) -> list[Resource]:
        if name == "projectcalico-default-allow":
            return [{"action": "Allow"}]
        if name not in self.profiles:
            return [{"action": "Deny"}]
        return list(self.profiles[name]["spec"].get(side, []))

    def applies(self, policy: Resource, labels: Labels, side: str) -> bool:
        spec = policy["spec"]
        types = spec.get("types")
        if not types:
            types = ["Ingress"] if spec.get("ingress") or not spec.get("egress") else []
            types = [*types, "Egress"] if spec.get("egress") else types
        if side.capitalize() not in types or spec.get("doNotTrack") or spec.get("preDNAT"):
            return False
        return selects(spec.get("selector"), labels)

    def sorted_tiers(self) -> list[str]:
        names = {policy["spec"].get("tier", "default") for policy in self.policies}

        def key(name: str) -> tuple[bool, float, str]:
            declared = name in self.tiers or name == "default"
            order = self.tiers[name]["spec"].get("order", 1_000_000) if name in self.tiers else 1_000_000
            return (not declared, order if declared else 0, name)

        return sorted(names, key=key)

    def sorted_policies(self, tier: str) -> list[Resource]:
        members = [policy for policy in self.policies if policy["spec"].get("tier", "default") == tier]
        return sorted(
            members,
            key=lambda policy: (
                policy["spec"].get("order", math.inf),
                f"{policy['metadata']['name']}//GlobalNetworkPolicy".encode(),
            ),
        )
