"""Short ways from resources as dicts, and flows as text, to what the engine takes."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from nfq_guard.compile import compile_ruleset
from nfq_guard.model.flow import ABSENT, CtState, Direction, Flow, Packet
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources import Inventory, Source, load_or_raise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nfq_guard.engine.ruleset import Ruleset


def inventory_of(*resources: Mapping[str, Any]) -> Inventory:
    """Return resources as the loader gives them; apiVersion is added."""
    items = [{"apiVersion": "projectcalico.org/v3", **resource} for resource in resources]
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    return load_or_raise([Source("test.json", json.dumps(document).encode())])


def facts_of(facts: Mapping[str, Any]) -> HostFacts:
    """Return host facts from the form the command line takes."""
    interfaces = {
        name: Interface(name, tuple(addresses), index)
        for index, (name, addresses) in enumerate(facts["interfaces"].items(), start=1)
    }
    return HostFacts(facts["node"], interfaces)


def ruleset_of(facts: Mapping[str, Any], *resources: Mapping[str, Any]) -> Ruleset:
    """Return the compiled resources."""
    return compile_ruleset(inventory_of(*resources), facts_of(facts)).ruleset


def flow_of(flow: Mapping[str, Any]) -> Flow:
    """Return a flow from a dict as the command line takes it, addresses as text or objects."""
    src, dst = ip_address(str(flow["src"])), ip_address(str(flow["dst"]))
    packet = Packet(
        src.version,
        flow["protocol"],
        int(src),
        int(dst),
        flow.get("sport", ABSENT),
        flow.get("dport", ABSENT),
        flow.get("icmp_type", ABSENT),
        flow.get("icmp_code", ABSENT),
    )
    return Flow(
        Direction(flow["direction"]),
        packet,
        flow.get("in_interface"),
        flow.get("out_interface"),
        CtState(flow.get("ct_state", "new")),
        int(ip_address(str(flow["original_dst"]))) if "original_dst" in flow else None,
        flow.get("original_dport"),
    )


def host_endpoint(name: str = "hep", **spec: Any) -> dict[str, Any]:
    """Return a HostEndpoint for eth0 of host-a, spec fields as given."""
    labels = spec.pop("labels", {})
    spec = {"node": "host-a", **spec}
    if "interfaceName" not in spec and "expectedIPs" not in spec:
        spec["interfaceName"] = "eth0"
    return {"kind": "HostEndpoint", "metadata": {"name": name, "labels": labels}, "spec": spec}


def policy(name: str = "policy", **spec: Any) -> dict[str, Any]:
    """Return a GlobalNetworkPolicy, spec fields as given."""
    return {"kind": "GlobalNetworkPolicy", "metadata": {"name": name}, "spec": spec}


def resource(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a resource of a kind, spec fields as given."""
    labels = spec.pop("labels", {})
    return {"kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


WEB_RULES = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: host-eth0}
spec: {node: host, interfaceName: eth0}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec:
  ingress:
    - {action: Allow, protocol: TCP, destination: {ports: [443]}}
"""
"""A file of rules: one endpoint, which anybody may reach by HTTPS."""
