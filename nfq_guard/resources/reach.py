"""What policies and rules reach: the endpoints, addresses and ports that all the files together declare.

Owns the warnings about what selects nothing there. Must only be asked about everything
at once: half of the files would look like losses that are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.problem import Problem, Severity
from nfq_guard.resources.labels import NAMESPACE, applies_to, endpoint_labels, wanted
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nfq_guard.resources.base import Resource
    from nfq_guard.resources.inventory import Inventory, Located
    from nfq_guard.resources.policies import GlobalNetworkPolicy
    from nfq_guard.resources.rules import EntityRule, Rule
    from nfq_guard.selector import Selector


class _Selectable(NamedTuple):
    """Something that a rule's selector can select."""

    labels: Mapping[str, str]
    has_addresses: bool


def reach(inventory: Inventory) -> Iterator[Problem]:
    """Yield a warning for every policy, selector and named port that reaches nothing."""
    policies = inventory.global_network_policies
    if inventory.host_endpoints:
        yield from _Reach(inventory).problems()
    elif policies:
        message = "there is no HostEndpoint in all the files: no interface is guarded, no policy is enforced"
        yield _warning(policies[0], "metadata.name", "no-endpoint", message)


def _warning(located: Located[Resource], field: str, code: str, message: str) -> Problem:
    return Problem(
        located.position(field), code, message, field, located.kind, located.name, severity=Severity.WARNING
    )


class _Reach:
    """Everything that can be reached, and what each selector was found to select."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._selectors = SelectorCache()
        hosts = [(item, bool(item.value.spec.expected_ips)) for item in inventory.host_endpoints]
        workloads = [(item, bool(item.value.spec.ip_networks)) for item in inventory.workload_endpoints]
        endpoints = [
            *((endpoint_labels(item, inventory), has) for item, has in hosts),
            *((endpoint_labels(item, inventory), has) for item, has in workloads),
        ]
        sets = [(item.value.metadata.labels, item.value.spec.nets) for item in inventory.global_network_sets]
        sets += [
            ({**item.value.metadata.labels, NAMESPACE.member: item.namespace or ""}, item.value.spec.nets)
            for item in inventory.network_sets
        ]
        # Often alike by the hundred: each combination of labels is asked about once.
        self._endpoints = list({tuple(sorted(each.items())): each for each, _ in endpoints}.values())
        self._selectable = [
            *(_Selectable(each, has) for each, has in endpoints),
            *(_Selectable(each, bool(nets)) for each, nets in sets),
        ]
        self._ports = {port.name for item, has in hosts if has for port in item.value.spec.ports}
        self._ports |= {port.name for item, has in workloads if has for port in item.value.spec.ports}
        self._lacking: dict[str, str] = {}

    def problems(self) -> Iterator[Problem]:
        """Yield the warnings, policies first."""
        for policy in self._inventory.global_network_policies:
            yield from self._policy(policy)
            for field, index, rule in policy.value.spec.rules():
                yield from self._rule(policy, f"spec.{field}[{index}]", rule)
        for profile in self._inventory.profiles:
            spec = profile.value.spec
            for field, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
                for index, rule in enumerate(rules):
                    yield from self._rule(profile, f"spec.{field}[{index}]", rule)

    def _policy(self, policy: Located[GlobalNetworkPolicy]) -> Iterator[Problem]:
        spec = policy.value.spec
        if any(applies_to(policy, labels, self._selectors) for labels in self._endpoints):
            return
        field = next((name for name, text in spec.selectors() if text), "selector")
        message = "selects no endpoint of these files: none of the policy's rules is enforced"
        yield _warning(policy, f"spec.{field}", "selects-nothing", message)

    def _rule(self, located: Located[Resource], path: str, rule: Rule) -> Iterator[Problem]:
        for side, entity in rule.sides():
            yield from self._selection(located, f"{path}.{side}", entity)
            for field, ports, so in (
                ("ports", entity.ports, "it matches nothing"),
                ("notPorts", entity.not_ports, "it excludes nothing"),
            ):
                for index, port in enumerate(ports):
                    if port.name is not None and port.name not in self._ports:
                        message = f"no endpoint with addresses declares a port {port.name}: {so}"
                        yield _warning(located, f"{path}.{side}.{field}[{index}]", "missing-port", message)

    def _selection(self, located: Located[Resource], path: str, entity: EntityRule) -> Iterator[Problem]:
        positive, negative = wanted(entity, self._selectors)
        field = "selector" if entity.selector else "namespaceSelector"
        for name, selector, so in (
            (field, positive, "this rule never matches"),
            ("notSelector", negative, "nothing is excluded"),
        ):
            lacks = self._lacks(selector) if selector is not None else ""
            if lacks:
                yield _warning(located, f"{path}.{name}", "selects-nothing", f"{lacks}: {so}")

    def _lacks(self, selector: Selector) -> str:
        """Return why a selector gives no address; nothing where it gives one."""
        if selector.canonical not in self._lacking:
            self._lacking[selector.canonical] = self._found_lacking(selector)
        return self._lacking[selector.canonical]

    def _found_lacking(self, selector: Selector) -> str:
        selected = [each.has_addresses for each in self._selectable if selector.matches(each.labels)]
        if any(selected):
            return ""
        if selected:
            return "selects only endpoints without addresses and sets without nets, so no address"
        return "selects no endpoint and no network set of these files, so no address"
