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
    "has(team)": lambda labels: "team" in labels,
    "!has(team)": lambda labels: "team" not in labels,
    "nobody == 'has this'": lambda _labels: False,
}

PROTOCOLS = {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}

DEFAULT_FAILSAFES = {
    "in": "tcp/22 udp/68 tcp/179 tcp/2379 tcp/2380 tcp/5473 tcp/6443 tcp/6666 tcp/6667",
    "out": "udp/53 udp/67 tcp/179 tcp/2379 tcp/2380 tcp/5473 tcp/6443 tcp/6666 tcp/6667",
}


def number(protocol: str | int) -> int:
    return PROTOCOLS[protocol] if isinstance(protocol, str) else protocol


def in_namespace(resource: Resource) -> dict[str, str]:
    namespace = resource["metadata"].get("namespace")
    return {"projectcalico.org/namespace": namespace} if namespace else {}


def lives_in(text: str, labels: Labels) -> bool:
    """Say what a namespaceSelector says of an endpoint."""
    if text == "all()":
        return "projectcalico.org/namespace" in labels
    if text == "global()":
        return "projectcalico.org/namespace" not in labels
    prefix = "pcns."
    return selects(
        text, {key[len(prefix) :]: value for key, value in labels.items() if key.startswith(prefix)}
    )


def selects(text: str | None, labels: Labels) -> bool:
    return SELECTORS[text or ""](labels)


def original(flow: Resource) -> Resource:
    """Return a flow as it was before DNAT."""
    return {
        **flow,
        "dst": flow.get("original_dst", flow["dst"]),
        **({"dport": flow.get("original_dport", flow["dport"])} if "dport" in flow else {}),
    }


class Oracle:
    """Answers for one set of resources on one host; with `pending`, as if staged policies were live."""

    def __init__(
        self, resources: Sequence[Resource], facts: Mapping[str, Any], *, pending: bool = False
    ) -> None:
        self.facts = facts
        self.staged_took_part = False
        self.heps = [item for item in resources if item["kind"] == "HostEndpoint"]
        self.weps = [item for item in resources if item["kind"] == "WorkloadEndpoint"]
        self.policies = [
            item
            for item in resources
            if item["kind"] in {"GlobalNetworkPolicy", "NetworkPolicy"}
            or (
                pending
                and item["kind"] in {"StagedGlobalNetworkPolicy", "StagedNetworkPolicy"}
                and item["spec"].get("stagedAction") != "Delete"
            )
        ]
        self.sets = [item for item in resources if item["kind"] in {"GlobalNetworkSet", "NetworkSet"}]
        self.profiles = {item["metadata"]["name"]: item for item in resources if item["kind"] == "Profile"}
        self.tiers = {item["metadata"]["name"]: item for item in resources if item["kind"] == "Tier"}
        felix = {
            item["metadata"]["name"]: item["spec"]
            for item in resources
            if item["kind"] == "FelixConfiguration"
        }
        self.felix = {**felix.get("default", {}), **felix.get(f"node.{facts['node']}", {})}

    # --- who governs what -------------------------------------------------------------

    def is_workload(self, interface: str) -> bool:
        prefixes = [part.strip() for part in self.felix.get("interfacePrefix", "cali").split(",")]
        return any(interface.startswith(prefix) for prefix in prefixes if prefix)

    def specific(self, interface: str) -> Resource | None:
        """Return the host endpoint that governs an interface in its own right."""
        if self.is_workload(interface) or interface not in self.facts["interfaces"]:
            return None
        held = {ip_address(text) for text in self.facts["interfaces"][interface]}
        for hep in self.mine():
            name = hep["spec"].get("interfaceName", "")
            expected = {ip_address(text) for text in hep["spec"].get("expectedIPs", [])}
            if name == interface or (not name and expected & held):
                return hep
        return None

    def mine(self) -> list[Resource]:
        heps = (hep for hep in self.heps if hep["spec"]["node"] == self.facts["node"])
        return sorted(heps, key=lambda hep: hep["metadata"]["name"])

    def wildcard(self) -> Resource | None:
        return next((hep for hep in self.mine() if hep["spec"].get("interfaceName") == "*"), None)

    def governing(self, interface: str) -> Resource | None:
        """Return the host endpoint for the host's own traffic at an interface."""
        if self.is_workload(interface):
            return None
        return self.specific(interface) or self.wildcard()

    def workload(self, interface: str) -> Resource | None:
        if not self.is_workload(interface):
            return None
        found = [
            wep
            for wep in self.weps
            if wep["spec"]["node"] == self.facts["node"] and wep["spec"]["interfaceName"] == interface
        ]
        found.sort(key=lambda wep: (wep["metadata"]["name"], wep["metadata"]["namespace"]))
        return found[0] if found else None

    def labels(self, endpoint: Resource) -> dict[str, str]:
        labels: dict[str, str] = {}
        for name in endpoint["spec"].get("profiles", []):
            for key, value in self.profiles.get(name, {"spec": {}})["spec"].get("labelsToApply", {}).items():
                labels.setdefault(key, value)
        return {**labels, **endpoint["metadata"].get("labels", {}), **in_namespace(endpoint)}

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
        endpoints += [
            (
                self.labels(wep),
                [ip_network(text) for text in wep["spec"].get("ipNetworks", [])],
                wep["spec"].get("ports", []),
            )
            for wep in self.weps
        ]
        sets: list[tuple[dict[str, str], list[Any], list[Resource]]] = [
            (
                {**item["metadata"].get("labels", {}), **in_namespace(item)},
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

    def matches(self, rule: Resource, flow: Resource, namespace: str | None = None) -> bool:
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
            source, namespace, flow["src"], flow.get("sport"), flow["protocol"]
        ) and self.side_matches(destination, namespace, flow["dst"], flow.get("dport"), flow["protocol"])

    def side_matches(  # noqa: C901 - one sentence of the semantics after the other
        self,
        side: Resource,
        namespace: str | None,
        address: Any,
        port: int | None,
        protocol: int,
    ) -> bool:
        for field in ("nets", "notNets"):
            if side.get(field):
                nets = [net for net in map(ip_network, side[field]) if net.version == address.version]
                if not nets:
                    return False
                if any(address in net for net in nets) == (field == "notNets"):
                    return False
        selector, not_selector = side.get("selector"), side.get("notSelector")
        where = side.get("namespaceSelector")
        confined = namespace is not None and not where and bool(selector or not_selector)
        positive = bool(selector or where or confined)

        def wanted(labels: Labels) -> bool:
            if confined and labels.get("projectcalico.org/namespace") != namespace:
                return False
            if where and not lives_in(where, labels):
                return False
            return selects(selector, labels) and not (not_selector and selects(not_selector, labels))

        if positive and not self.among(wanted, address):
            return False
        if (
            not_selector
            and not positive
            and self.among(lambda labels: selects(not_selector, labels), address)
        ):
            return False
        among = wanted if positive else lambda _labels: True
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

    def answered(self, flow: Resource, side: str) -> bool:
        """Return whether a packet comes from a failsafe port of the other direction."""
        turned = {
            **flow,
            "src": flow["dst"],
            "dst": flow["src"],
            "sport": flow.get("dport"),
            "dport": flow.get("sport"),
        }
        return self.failsafe({**turned, "direction": "out" if side == "ingress" else "in"})

    def spared(self, flow: Resource, side: str, *, untracked: bool) -> str | None:
        if self.failsafe({**flow, "direction": "in" if side == "ingress" else "out"}):
            return "failsafe"
        if untracked and self.answered(flow, side):
            return "failsafe"
        if flow["protocol"] == 58 and flow["src"].version == 6 and 133 <= flow["icmp_type"] <= 137:
            return "neighbor-discovery"
        return None

    def decide(self, flow: Resource) -> dict[str, Any]:
        """Return verdict, reason, stage, endpoint, tier, policy (kind, name) and rule for one flow."""
        told = {"stage": None, "endpoint": None, "tier": None, "policy": None, "rule": None}
        return {**told, **getattr(self, f"decide_{flow['direction']}")(flow)}

    def decide_in(self, flow: Resource) -> dict[str, Any]:
        interface = flow["in_interface"]
        if self.is_workload(interface):
            return self.workload_to_host(flow, interface)
        hep = self.governing(interface)
        if hep is None:
            return {"verdict": "allow", "reason": "unmanaged"}
        return self.before_nat(flow, interface) or self.normal(flow, hep, "ingress")

    def decide_out(self, flow: Resource) -> dict[str, Any]:
        interface = flow["out_interface"]
        if self.is_workload(interface):
            return {"verdict": "allow", "reason": "host-to-workload"}
        hep = self.governing(interface)
        if hep is None:
            return {"verdict": "allow", "reason": "unmanaged"}
        own = self.specific(interface)
        untracked = self.early_stage("untracked", original(flow), own, "egress") if own else None
        return untracked or self.normal(flow, hep, "egress")

    def workload_to_host(self, flow: Resource, interface: str) -> dict[str, Any]:
        before = self.before_nat(flow, interface)
        if before and before["verdict"] == "deny":
            return before
        wep = self.workload(interface)
        told = {"stage": "normal", "endpoint": wep and wep["metadata"]["name"]}
        known = self.by_connection(flow)
        if known:
            return {**told, **known}
        if flow["protocol"] == 58 and flow["src"].version == 6:
            if flow["icmp_type"] in {133, 135, 136}:
                return {**told, "verdict": "allow", "reason": "neighbor-discovery"}
            if flow["icmp_type"] in {130, 131, 132}:
                return {**told, "stage": None, "verdict": "allow", "reason": "endpoint-to-host"}
        if wep:
            outcome = self.workload_policy(wep, flow, "egress")
            if outcome["verdict"] == "deny":
                return outcome
        action = self.felix.get("defaultEndpointToHostAction", "Drop")
        return {
            **told,
            "stage": None,
            "verdict": "deny" if action == "Drop" else "allow",
            "reason": "endpoint-to-host",
        }

    def decide_forward(self, flow: Resource) -> dict[str, Any]:
        incoming, outgoing = flow["in_interface"], flow["out_interface"]
        in_hep = self.specific(incoming) or self.wildcard()
        out_hep = self.specific(outgoing) or self.wildcard()
        in_wep, out_wep = self.workload(incoming), self.workload(outgoing)
        if not (in_hep or out_hep or in_wep or out_wep):
            return {"verdict": "allow", "reason": "unmanaged"}
        before = self.before_nat(flow, incoming)
        if before and before["verdict"] == "deny":
            return before
        if not (before and before["stage"] == "untracked"):
            known = self.by_connection(flow)
            asked = in_wep or out_wep or self.forward_policies(in_hep, out_hep)
            if known and (known["verdict"] == "allow" or asked):
                return {"stage": "forward", **known}
        return self.cross(flow, before, (in_hep, in_wep), (out_wep, out_hep))

    def cross(self, flow: Resource, before: Any, incoming: Any, outgoing: Any) -> dict[str, Any]:
        """Ask every endpoint at which a forwarded packet comes by."""
        (in_hep, in_wep), (out_wep, out_hep) = incoming, outgoing
        allowed: dict[str, Any] | None = before
        steps: list[Callable[[], Any]] = []
        if in_hep and not before:
            steps.append(lambda: self.early_stage("forward", flow, in_hep, "ingress"))
        if in_wep:
            steps.append(lambda: self.workload_policy(in_wep, flow, "egress"))
        if out_wep:
            steps.append(lambda: self.workload_policy(out_wep, flow, "ingress"))
        if out_hep:
            steps.append(lambda: self.early_stage("forward", flow, out_hep, "egress"))
        for step in steps:
            outcome: dict[str, Any] | None = step()
            if outcome and outcome["verdict"] == "deny":
                return outcome
            allowed = outcome or allowed
        return allowed or {"verdict": "allow", "reason": "forward-default", "stage": "forward"}

    def forward_policies(self, in_hep: Resource | None, out_hep: Resource | None) -> bool:
        sides = ((in_hep, "ingress"), (out_hep, "egress"))
        return any(hep and self.stage_policies("forward", hep, side) for hep, side in sides)

    def before_nat(self, flow: Resource, interface: str) -> dict[str, Any] | None:
        own = self.specific(interface)
        if own:
            untracked = self.early_stage("untracked", original(flow), own, "ingress")
            if untracked:
                return untracked
        hep = own if own and self.stage_policies("pre-dnat", own, "ingress") else self.wildcard()
        if not hep or not self.stage_policies("pre-dnat", hep, "ingress"):
            return None
        if flow.get("ct_state") in {"established", "related"}:
            return None
        known = self.by_connection(flow)
        if known:
            return {"stage": "pre-dnat", "endpoint": hep["metadata"]["name"], **known}
        return self.early_stage("pre-dnat", original(flow), hep, "ingress")

    def by_connection(self, flow: Resource) -> dict[str, Any] | None:
        state = flow.get("ct_state", "new")
        if state in {"established", "related"}:
            return {"verdict": "allow", "reason": "established"}
        if state == "invalid" and not self.felix.get("disableConntrackInvalidCheck"):
            return {"verdict": "deny", "reason": "invalid"}
        return None

    def normal(self, flow: Resource, hep: Resource, side: str) -> dict[str, Any]:
        told = {"stage": "normal", "endpoint": hep["metadata"]["name"]}
        known = self.by_connection(flow)
        if known:
            return {**told, **known}
        spared = self.spared(flow, side, untracked=False)
        if spared:
            return {**told, "verdict": "allow", "reason": spared}
        outcome = self.walk("normal", hep, flow, side) or self.profiles_decide(hep, flow, side)
        return {**told, **outcome}

    def workload_policy(self, wep: Resource, flow: Resource, side: str) -> dict[str, Any]:
        told = {"stage": "normal", "endpoint": wep["metadata"]["name"]}
        return {**told, **(self.walk("normal", wep, flow, side) or self.profiles_decide(wep, flow, side))}

    def early_stage(self, stage: str, flow: Resource, hep: Resource, side: str) -> dict[str, Any] | None:
        """Return what a stage that may have no opinion says."""
        if stage != "forward" and self.spared(flow, side, untracked=stage == "untracked"):
            return None
        outcome = self.walk(stage, hep, flow, side)
        return outcome and {"stage": stage, "endpoint": hep["metadata"]["name"], **outcome}

    def stage_policies(self, stage: str, endpoint: Resource, side: str) -> list[Resource]:
        labels = self.labels(endpoint)
        return [policy for policy in self.policies if self.applies(stage, policy, labels, side)]

    def walk(self, stage: str, endpoint: Resource, flow: Resource, side: str) -> dict[str, Any] | None:
        mine = self.stage_policies(stage, endpoint, side)
        if any(policy["kind"].startswith("Staged") for policy in mine):
            self.staged_took_part = True
        for tier in self.sorted_tiers():
            policies = [policy for policy in self.sorted_policies(tier) if policy in mine]
            if not policies:
                continue
            outcome = self.walk_tier(tier, policies, flow, side, ends=stage in {"normal", "forward"})
            if outcome is not None:
                return outcome
        return None

    def walk_tier(
        self, tier: str, policies: list[Resource], flow: Resource, side: str, *, ends: bool
    ) -> dict[str, Any] | None:
        for policy in policies:
            name, namespace = policy["metadata"]["name"], policy["metadata"].get("namespace")
            for index, rule in enumerate(policy["spec"].get(side, [])):
                if rule["action"] == "Log" or not self.matches(rule, flow, namespace):
                    continue
                if rule["action"] == "Pass":
                    return None
                return {
                    "verdict": rule["action"].lower(),
                    "reason": "policy",
                    "tier": tier,
                    "policy": (policy["kind"], name),
                    "rule": index,
                }
        if not ends or self.tiers.get(tier, {"spec": {}})["spec"].get("defaultAction", "Deny") == "Pass":
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

    def applies(self, stage: str, policy: Resource, labels: Labels, side: str) -> bool:
        spec = policy["spec"]
        types = spec.get("types")
        if not types:
            types = ["Ingress"] if spec.get("ingress") or not spec.get("egress") else []
            types = [*types, "Egress"] if spec.get("egress") else types
        if side.capitalize() not in types or stage not in self.stages_of(spec):
            return False
        namespace = policy["metadata"].get("namespace")
        if namespace and labels.get("projectcalico.org/namespace") != namespace:
            return False
        where = spec.get("namespaceSelector")
        if where and not lives_in(where, labels):
            return False
        return selects(spec.get("selector"), labels)

    def stages_of(self, spec: Resource) -> set[str]:
        if spec.get("doNotTrack"):
            return {"untracked"}
        if spec.get("preDNAT"):
            return {"pre-dnat"}
        return {"normal", "forward"} if spec.get("applyOnForward") else {"normal"}

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
                "/".join(
                    (policy["metadata"]["name"], policy["metadata"].get("namespace", ""), policy["kind"])
                ).encode(),
            ),
        )


def rehearse(
    resources: Sequence[Resource], facts: Mapping[str, Any], flow: Resource
) -> dict[str, Any] | None:
    """Return what would be decided with the staged policies live, None if they have no part in it."""
    pending = Oracle(resources, facts, pending=True)
    would = pending.decide(flow)
    if not pending.staged_took_part and would == Oracle(resources, facts).decide(flow):
        return None
    return would
