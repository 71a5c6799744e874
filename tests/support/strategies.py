"""Random resources and flows from a universe small enough that rules and flows meet."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from oracle import SELECTORS

if TYPE_CHECKING:
    from random import Random

NODE = "host-a"
FACTS = {
    "node": NODE,
    "interfaces": {
        "eth0": ["10.0.0.1", "fd00::1"],
        "eth1": ["10.1.0.1"],
        "lo": ["127.0.0.1", "::1"],
        "cali1": ["10.2.0.1"],
        "cali2": ["10.2.0.2"],
    },
}
ADDRESSES = {
    4: [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.1.1",
        "10.1.0.1",
        "192.0.2.7",
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
    ],
    6: ["fd00::1", "fd00::2", "fd00:0:0:1::1", "2001:db8::7", "::1", "::", "ff02::1"],
}
PARSED = {family: [ip_address(text) for text in texts] for family, texts in ADDRESSES.items()}
INTERFACES = ["eth0", "eth0", "eth0", "eth1", "lo", "cali1", "cali2", "eth9"]
NETS = {
    4: [
        "10.0.0.0/24",
        "10.0.0.0/8",
        "10.0.0.1/32",
        "192.0.2.0/24",
        "0.0.0.0/0",
        "128.0.0.0/1",
        "255.255.255.255/32",
    ],
    6: ["fd00::/64", "fd00::/8", "fd00::1/128", "2001:db8::/32", "::/0", "8000::/1"],
}
PORTS = [1, 22, 53, 80, 443, 8080, 65535]
PORT_NAMES = ["http", "admin"]
PROTOCOLS = ["TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "UDPLite", 6, 17, 47, 1, 58]
ICMP_FAMILY: dict[Any, int] = {"ICMP": 4, 1: 4, "ICMPv6": 6, 58: 6}
LABELS = {"role": ["web", "db", "x"], "zone": ["a1", "b2", ""]}

selectors = st.sampled_from(sorted(SELECTORS))
non_empty_selectors = st.sampled_from(sorted(set(SELECTORS) - {""}))
namespace_selectors = st.sampled_from(["all()", "global()", "has(team)", "!has(team)"])
labels = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in LABELS.items()})


def some(values: list[Any], most: int = 2) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


@st.composite
def entities(draw: st.DrawFn, family: int, *, numeric: bool, named: bool) -> dict[str, Any]:
    entity: dict[str, Any] = {}
    if draw(st.integers(0, 5)) == 0:
        entity["nets"] = draw(some(NETS[family]))
    if draw(st.integers(0, 9)) == 0:
        # The negation of everything is refused at load.
        entity["notNets"] = draw(some([net for net in NETS[family] if not net.endswith("/0")]))
    if draw(st.integers(0, 7)) == 0:
        entity["selector"] = draw(non_empty_selectors)
    if draw(st.integers(0, 9)) == 0:
        entity["notSelector"] = draw(non_empty_selectors)
    if draw(st.integers(0, 11)) == 0:
        entity["namespaceSelector"] = draw(namespace_selectors)
    choices: list[Any] = []
    if numeric:
        choices += [*PORTS, "1:100", "443:9000"]
    if named:
        choices += PORT_NAMES
    if choices and draw(st.integers(0, 4)) == 0:
        entity["ports"] = draw(some(choices, 3))
    if choices and draw(st.integers(0, 7)) == 0:
        entity["notPorts"] = draw(some(choices, 3))
    return entity


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "action": draw(st.sampled_from(["Allow", "Allow", "Deny", "Deny", "Pass", "Log"]))
    }
    family = draw(st.sampled_from([4, 4, 6]))
    protocol = draw(st.sampled_from([None] * 12 + PROTOCOLS))
    if protocol is not None:
        rule["protocol"] = protocol
    if draw(st.integers(0, 5)) == 0:
        rule["notProtocol"] = draw(st.sampled_from(PROTOCOLS))
    if protocol in {"ICMP", "ICMPv6", 1, 58} and draw(st.booleans()):
        rule["icmp"] = draw(icmp_fields())
    if draw(st.integers(0, 7)) == 0:
        rule["notICMP"] = draw(icmp_fields())
    wanted = {ICMP_FAMILY[item] for item in (protocol, rule.get("notProtocol")) if item in ICMP_FAMILY}
    if draw(st.integers(0, 5)) == 0 and len(wanted) < 2:
        # ICMP and ICMPv6 are refused with the other family's ipVersion.
        family = wanted.pop() if wanted else family
        rule["ipVersion"] = family
    numeric = protocol in {"TCP", "UDP", "SCTP", 6, 17}
    named = numeric or protocol is None
    for side in ("source", "destination"):
        entity = draw(entities(family, numeric=numeric, named=named))
        if entity:
            rule[side] = entity
    return rule


def icmp_fields() -> st.SearchStrategy[dict[str, int]]:
    kinds = st.sampled_from([0, 8, 128, 135])
    return st.fixed_dictionaries({"type": kinds}, optional={"code": st.sampled_from([0, 1, 255])})


rule_lists = st.lists(rules(), max_size=4)


def put_in_stage(spec: dict[str, Any], stage: str) -> None:
    """Make a policy one of a stage."""
    if stage != "normal":
        spec["applyOnForward"] = True
    if stage == "untracked":
        spec["doNotTrack"] = True
    if stage == "pre-dnat":
        spec["preDNAT"] = True
        spec.pop("egress", None)
        spec.pop("types", None)


@st.composite
def policies(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"selector": draw(st.sampled_from([""] * 10) | selectors)}
    for side in ("ingress", "egress"):
        found = draw(rule_lists)
        if not found and not draw(st.booleans()):
            continue
        spec[side] = found
    if draw(st.booleans()):
        spec["types"] = draw(some(["Ingress", "Egress"]))
    if draw(st.booleans()):
        spec["order"] = draw(st.sampled_from([-1.5, 0, 10, 10, 1000]))
    if draw(st.booleans()):
        spec["tier"] = draw(st.sampled_from(["default", "first", "second", "undeclared", "tried"]))
    if draw(st.integers(0, 3)) == 0:
        return {"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
    if draw(st.integers(0, 7)) == 0:
        spec["namespaceSelector"] = draw(st.sampled_from(["all()", "has(team)", "!has(team)"]))
    stage = draw(st.sampled_from(["normal", "normal", "forward", "forward", "pre-dnat", "untracked"]))
    put_in_stage(spec, stage)
    return {"kind": "GlobalNetworkPolicy", "metadata": {"name": name}, "spec": spec}


@st.composite
def staged_policies(draw: st.DrawFn, name: str) -> dict[str, Any]:
    live = draw(policies(name))
    action = draw(st.sampled_from([None, None, "Set", "Learn", "Ignore", "Delete"]))
    tier = {"tier": live["spec"]["tier"]} if "tier" in live["spec"] else {}
    spec = tier if action == "Delete" else live["spec"]
    return {
        **live,
        "kind": f"Staged{live['kind']}",
        "spec": spec | ({"stagedAction": action} if action else {}),
    }


@st.composite
def workload_endpoints(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "node": draw(st.sampled_from([NODE, NODE, "other"])),
        "interfaceName": draw(st.sampled_from(["cali1", "cali1", "cali2", "eth1"])),
        "ipNetworks": draw(
            some([f"{text}/32" for text in ADDRESSES[4]] + [f"{text}/128" for text in ADDRESSES[6]])
        ),
        "profiles": draw(
            st.lists(st.sampled_from(["kns.shop", "rules", "missing"]), max_size=2, unique=True)
        ),
    }
    if draw(st.booleans()):
        port = {
            "name": draw(st.sampled_from(PORT_NAMES)),
            "protocol": "TCP",
            "port": draw(st.sampled_from(PORTS)),
        }
        spec["ports"] = [port]
    namespace = draw(st.sampled_from(["shop", "other"]))
    metadata = {"name": name, "namespace": namespace, "labels": draw(labels)}
    return {"kind": "WorkloadEndpoint", "metadata": metadata, "spec": spec}


@st.composite
def host_endpoints(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"node": draw(st.sampled_from([NODE, NODE, NODE, "other"]))}
    every = ADDRESSES[4][:6] + ADDRESSES[6][:5]
    if draw(st.booleans()):
        spec["interfaceName"] = draw(st.sampled_from(["eth0", "eth0", "*", "eth1", "lo", "gone"]))
    if "interfaceName" not in spec or draw(st.booleans()):
        spec["expectedIPs"] = draw(some(every, 3))
    if draw(st.booleans()):
        names = ["labelled", "rules", "missing", "projectcalico-default-allow"]
        spec["profiles"] = draw(st.lists(st.sampled_from(names), max_size=3, unique=True))
    if draw(st.booleans()):
        port = st.fixed_dictionaries(
            {
                "name": st.sampled_from(PORT_NAMES),
                "protocol": st.sampled_from(["TCP", "UDP", "SCTP"]),
                "port": st.sampled_from(PORTS),
            }
        )
        spec["ports"] = draw(st.lists(port, max_size=3))
    return {"kind": "HostEndpoint", "metadata": {"name": name, "labels": draw(labels)}, "spec": spec}


@st.composite
def network_sets(draw: st.DrawFn, name: str) -> dict[str, Any]:
    nets = draw(some(NETS[4] + NETS[6] + ["10.0.0.9/8", "192.0.2.7"], 3))
    return {
        "kind": "GlobalNetworkSet",
        "metadata": {"name": name, "labels": draw(labels)},
        "spec": {"nets": nets},
    }


@st.composite
def inventories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw a list of resources as Calico writes them, apiVersion left out."""
    names = draw(st.permutations(["allow", "allow-ssh", "allow2", "a.b", "z"]))
    resources: list[dict[str, Any]] = []
    resources += [draw(policies(name)) for name in names[: draw(st.integers(0, 5))]]
    resources += [draw(staged_policies(name)) for name in ("allow", "zz", "try")[: draw(st.integers(0, 3))]]
    resources += [
        draw(host_endpoints(name)) for name in ("hep-b", "hep-a", "hep-c")[: draw(st.integers(1, 3))]
    ]
    resources += [draw(network_sets(name)) for name in ("set-a", "set-b")[: draw(st.integers(0, 2))]]
    resources += [draw(workload_endpoints(name)) for name in ("wep-b", "wep-a")[: draw(st.integers(0, 2))]]
    resources.append(
        {
            "kind": "Profile",
            "metadata": {"name": "kns.shop"},
            "spec": {"labelsToApply": {"pcns.team": "blue"}},
        }
    )
    tiers = {"first": st.sampled_from([1, 200]), "second": st.sampled_from([100, 2_000_000])}
    for name, orders in tiers.items():
        spec: dict[str, Any] = {}
        if draw(st.booleans()):
            spec["order"] = draw(orders)
        if draw(st.booleans()):
            spec["defaultAction"] = draw(st.sampled_from(["Pass", "Deny"]))
        resources.append({"kind": "Tier", "metadata": {"name": name}, "spec": spec})
    resources.append(
        {
            "kind": "Profile",
            "metadata": {"name": "labelled"},
            "spec": {"labelsToApply": {"inherited": "yes", "role": draw(st.sampled_from(["web", "db"]))}},
        }
    )
    resources.append(
        {
            "kind": "Profile",
            "metadata": {"name": "rules"},
            "spec": {"ingress": draw(rule_lists), "egress": draw(rule_lists), "labelsToApply": {"role": "x"}},
        }
    )
    if draw(st.booleans()):
        resources.append(draw(felix_configurations("default")))
    if draw(st.integers(0, 3)) == 0:
        resources.append(draw(felix_configurations(f"node.{NODE}")))
    return resources


@st.composite
def felix_configurations(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for field in ("failsafeInboundHostPorts", "failsafeOutboundHostPorts"):
        if draw(st.booleans()):
            failsafe = st.fixed_dictionaries(
                {"protocol": st.sampled_from(["TCP", "UDP", "SCTP"]), "port": st.sampled_from(PORTS)},
                optional={"net": st.sampled_from(NETS[4] + NETS[6])},
            )
            spec[field] = draw(st.lists(failsafe, max_size=3))
    if draw(st.booleans()):
        spec["disableConntrackInvalidCheck"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        spec["interfacePrefix"] = draw(st.sampled_from(["cali", "eth1,cali", "tap"]))
    if draw(st.booleans()):
        spec["defaultEndpointToHostAction"] = draw(st.sampled_from(["Drop", "Accept", "Return"]))
    return {"kind": "FelixConfiguration", "metadata": {"name": name}, "spec": spec}


def flows() -> st.SearchStrategy[dict[str, Any]]:
    """Draw a flow, see `random_flow`."""
    return st.randoms(use_true_random=False).map(random_flow)


def random_flow(chance: Random) -> dict[str, Any]:
    """Return a flow with addresses as `ipaddress` objects and protocols as numbers."""
    family = chance.choice([4, 4, 6])
    direction = chance.choice(["in", "out", "forward", "forward"])
    protocol = chance.choice([6, 6, 6, 17, 17, 132, 136, 47, 1, 58])
    flow: dict[str, Any] = {
        "direction": direction,
        "protocol": protocol,
        "src": chance.choice(PARSED[family]),
        "dst": chance.choice(PARSED[family]),
    }
    for side in ("in", "out"):
        if direction in {side, "forward"}:
            flow[f"{side}_interface"] = chance.choice(INTERFACES)
    if protocol in {6, 17, 132, 136} and chance.random() < 0.9:
        flow["sport"] = chance.choice([*PORTS, 40000])
        flow["dport"] = chance.choice(PORTS)
    if protocol == {4: 1, 6: 58}[family]:
        flow["icmp_type"] = chance.choice([0, 8, 128, 131, 132, 133, 134, 135, 137, 138])
        flow["icmp_code"] = chance.choice([0, 1, 255])
    elif protocol in {1, 58}:
        flow["icmp_type"], flow["icmp_code"] = -1, -1
    if chance.random() < 0.25:
        flow["original_dst"] = chance.choice(PARSED[family])
        if "dport" in flow:
            flow["original_dport"] = chance.choice(PORTS)
    if chance.random() < 0.15:
        flow["ct_state"] = chance.choice(["established", "related", "invalid", "untracked", "new"])
    return flow
