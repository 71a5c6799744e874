"""What a guard answers to `status`, as small as the command still takes it.

Owns the figures of the tests that look at them over time.
"""

from __future__ import annotations

from typing import Any


def rule(policy: str, packets: int, number: str = "0", action: str = "allow", **more: Any) -> dict[str, Any]:
    """Return a rule of a GlobalNetworkPolicy in the tier default, but for `more`."""
    kind = {"tier": "default", "kind": "GlobalNetworkPolicy", "policy": policy, "rule": number}
    place = {"file": f"rules/{policy}.yaml", "line": 9}
    return kind | {"direction": "ingress", "action": action} | place | {"packets": packets} | more


def tier_end(packets: int) -> dict[str, Any]:
    """Return the end of the tier default."""
    labels = {"tier": "default", "kind": "Tier", "policy": "default", "rule": "default"}
    return labels | {"direction": "ingress", "action": "deny", "packets": packets}


def no_match(endpoint: str, packets: int) -> dict[str, Any]:
    """Return the default of a host endpoint."""
    labels = {"tier": "", "kind": "HostEndpoint", "policy": endpoint, "rule": "default"}
    return labels | {"direction": "ingress", "action": "deny", "packets": packets}


def chain(*rules: dict[str, Any], endpoint: str = "worker-1-eth0") -> dict[str, Any]:
    """Return an endpoint's ingress chain."""
    whose = {"kind": "HostEndpoint", "endpoint": endpoint, "namespace": "", "interface": ""}
    return whose | {"stage": "normal", "direction": "ingress", "rules": list(rules)}


def verdicts(allow: int, deny: int) -> list[dict[str, Any]]:
    """Return counts by verdict, in two rows each."""
    place = {"direction": "ingress", "stage": "normal"}
    return [
        {"reason": "policy", "verdict": "allow", "packets": allow - 1, **place},
        {"reason": "failsafe", "verdict": "allow", "packets": 1, **place},
        {"reason": "tier-default", "verdict": "deny", "packets": deny, **place},
    ]


def status(*chains: dict[str, Any], allow: int = 1, deny: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a guard's whole answer, but for these keys."""
    endpoint = {
        "kind": "HostEndpoint",
        "name": "worker-1-eth0",
        "namespace": "",
        "status": "up",
        "interfaces": ["eth0"],
        "reason": "",
    }
    return {
        "version": "0",
        "pid": 1,
        "ready": True,
        "detail": "enforcing generation 3",
        "node": "worker-1",
        "generation": 3,
        "rules": ["rules"],
        "loaded_at": 0.0,
        "load_errors": [],
        "fail_mode": "closed",
        "endpoints": [endpoint],
        "chains": list(chains) or [chain(rule("allow-ssh", allow), tier_end(deny))],
        "staged_policies": 0,
        "staged": [],
        "verdicts": verdicts(allow, deny),
        "queues": {
            "depth": 0,
            "dropped": 0,
            "user_dropped": 0,
            "workers": [{"queue": 4600, "up": True, "pid": 2}],
        },
        "flow_table": {"hits": 0, "misses": 0, "entries": 0},
        "worker_restarts": 0,
        "table_reinstalls": 0,
        **changes,
    }
