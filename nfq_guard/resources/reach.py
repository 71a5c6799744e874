"""What policies and rules reach: the endpoints, addresses and ports that all the files together declare.

Owns the warnings about what selects nothing there. Must only be asked about everything
at once: half of the files would look like losses that are none.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.model.memo import Memo
from nfq_guard.model.problem import Problem, Severity
from nfq_guard.resources.endpoints import WILDCARD
from nfq_guard.resources.groups import Profile
from nfq_guard.resources.labels import NAMESPACE, EndpointLabels, applying, wanted, within
from nfq_guard.resources.policies import GlobalNetworkPolicySpec, takes_part, what_happens
from nfq_guard.selector import LabelIndex, SelectorCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nfq_guard.resources.base import Resource
    from nfq_guard.resources.groups import ProfileSpec
    from nfq_guard.resources.inventory import Inventory, Located
    from nfq_guard.resources.policies import AnyPolicy, PolicySpec
    from nfq_guard.resources.rules import EntityRule
    from nfq_guard.selector import Selector


_MOST_SELECTORS = 100_000
"""Remembered. Far more than the files can be expected to hold; those of edits long ago count."""


class Notice(NamedTuple):
    """A warning about a resource, wherever that stands."""

    field: str
    code: str
    message: str

    def about(self, located: Located[Resource]) -> Problem:
        """Return the warning about a resource at its place."""
        position = located.position(self.field)
        return Problem(
            position, self.code, self.message, self.field, located.kind, located.name, Severity.WARNING
        )


Notices = tuple[Notice, ...]


class _Selectable(NamedTuple):
    """Something that a rule's selector can select."""

    labels: Mapping[str, str]
    has_addresses: bool


class ReachMemory:
    """What was found to be reached, for as long as the same can be reached."""

    def __init__(self, selectors: SelectorCache) -> None:
        """Know nothing yet."""
        self.selectors = selectors
        self._notices: Memo[AnyPolicy | Profile, _From, Notices] = Memo(_notices)
        self._reachable: _Reachable | None = None

    def about(self, inventory: Inventory) -> Callable[[Located[AnyPolicy] | Located[Profile]], Notices]:
        """Return a function that gives what is said about each policy and profile of an inventory."""
        reachable = _Reachable(inventory, self.selectors)
        known = self._reachable
        if known is not None and not known.is_full and known.is_like(reachable):
            reachable = known
        self._reachable = reachable
        self._notices.begin_round()
        return lambda located: self._notices.get(located.value, _From(reachable, located.namespace))


def reach(inventory: Inventory, memory: ReachMemory | None = None) -> Iterator[Problem]:
    """Yield a warning for every policy, selector and named port that reaches nothing, policies first."""
    policies = inventory.policies()
    if not inventory.host_endpoints and not inventory.workload_endpoints:
        if policies:
            message = (
                "there is no HostEndpoint in all the files: no interface is guarded, no policy is enforced"
            )
            yield Notice("metadata.name", "no-endpoint", message).about(policies[0])
        return
    memory = ReachMemory(SelectorCache()) if memory is None else memory
    notices = memory.about(inventory)
    for policy in policies:
        for notice in notices(policy):
            yield notice.about(policy)
    for profile in inventory.profiles:
        for notice in notices(profile):
            yield notice.about(profile)
    yield from _unheard(inventory, memory.selectors)


def _unheard(inventory: Inventory, selectors: SelectorCache) -> Iterator[Problem]:
    """Yield a warning for each `*` endpoint that untracked policy selects: Calico ignores such policy there."""
    every = [item for item in inventory.host_endpoints if item.value.spec.interface_name == WILDCARD]
    if not every:
        return
    untracked = [
        applying(policy.value.spec, selectors)
        for policy in inventory.policies()
        if isinstance(policy.value.spec, GlobalNetworkPolicySpec)
        and policy.value.spec.do_not_track
        and takes_part(policy.value)
    ]
    labels = EndpointLabels(inventory)
    for endpoint in every:
        own = labels.of(endpoint)
        if any(selector.matches(own) for selector in untracked):
            message = "doNotTrack policy selects this endpoint and is ignored: it needs an endpoint for one interface"
            yield Notice("spec.interfaceName", "no-effect", message).about(endpoint)


def _notices(resource: AnyPolicy | Profile, whence: _From) -> Notices:
    return tuple(whence.reachable.notices(resource, whence.namespace))


class _From(NamedTuple):
    """Where a resource looks for what it names."""

    reachable: _Reachable
    namespace: str | None


class _Reachable:
    """Everything that can be reached, and what each selector was found to select."""

    def __init__(self, inventory: Inventory, selectors: SelectorCache) -> None:
        self._selectors = selectors
        hosts = [(item, bool(item.value.spec.expected_ips)) for item in inventory.host_endpoints]
        workloads = [(item, bool(item.value.spec.ip_networks)) for item in inventory.workload_endpoints]
        labels = EndpointLabels(inventory)
        endpoints = [
            *((labels.of(item), has) for item, has in hosts),
            *((labels.of(item), has) for item, has in workloads),
        ]
        sets = [(item.value.metadata.labels, item.value.spec.nets) for item in inventory.global_network_sets]
        sets += [
            ({**item.value.metadata.labels, NAMESPACE.member: item.namespace or ""}, item.value.spec.nets)
            for item in inventory.network_sets
        ]
        self._endpoints = [each for each, _ in endpoints]
        self._selectable = [
            *(_Selectable(each, has) for each, has in endpoints),
            *(_Selectable(each, bool(nets)) for each, nets in sets),
        ]
        self._ports = {port.name for item, has in hosts if has for port in item.value.spec.ports}
        self._ports |= {port.name for item, has in workloads if has for port in item.value.spec.ports}
        self._selecting: dict[str, bool] = {}
        self._lacking: dict[str, str] = {}

    @property
    def is_full(self) -> bool:
        """Return whether too much is remembered: selectors that are in no file any more are, too."""
        return len(self._selecting) + len(self._lacking) > _MOST_SELECTORS

    def is_like(self, other: _Reachable) -> bool:
        """Return whether the same can be reached."""
        mine, theirs = (
            (each._ports, each._endpoints, each._selectable)  # noqa: SLF001 - another one of us
            for each in (self, other)
        )
        return mine == theirs

    @cached_property
    def _endpoint_index(self) -> LabelIndex[None]:
        return LabelIndex((labels, None) for labels in self._endpoints)

    @cached_property
    def _selectable_index(self) -> LabelIndex[bool]:
        return LabelIndex((each.labels, each.has_addresses) for each in self._selectable)

    def notices(self, resource: AnyPolicy | Profile, namespace: str | None) -> Iterator[Notice]:
        """Yield what is to be said about a policy, in a namespace if it is in one, or a profile."""
        if not isinstance(resource, Profile):
            if not takes_part(resource):
                return
            yield from self._policy(resource, namespace)
        yield from self._rules(resource.spec, namespace)

    def _policy(self, policy: AnyPolicy, namespace: str | None) -> Iterator[Notice]:
        spec, selector = policy.spec, applying(policy.spec, self._selectors)
        where = "of these files"
        if namespace is not None:
            selector = self._selectors.conjoin(selector, within(namespace, self._selectors))
            where = f"in the namespace {namespace}"
        if not self._selects(selector):
            field = next((name for name, text in spec.selectors() if text), "selector")
            message = f"selects no endpoint {where}: none of the policy's rules is {what_happens(policy)}"
            yield Notice(f"spec.{field}", "selects-nothing", message)

    def _selects(self, selector: Selector) -> bool:
        """Return whether some endpoint is selected."""
        if selector.canonical not in self._selecting:
            self._selecting[selector.canonical] = any(True for _ in self._endpoint_index.select(selector))
        return self._selecting[selector.canonical]

    def _rules(self, spec: PolicySpec | ProfileSpec, namespace: str | None) -> Iterator[Notice]:
        for field, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
            for index, rule in enumerate(rules):
                for side, entity in rule.sides():
                    path = f"spec.{field}[{index}].{side}"
                    yield from self._selection(path, entity, namespace)
                    yield from self._ports_of(path, entity)

    def _ports_of(self, path: str, entity: EntityRule) -> Iterator[Notice]:
        for field, ports, so in (
            ("ports", entity.ports, "it matches nothing"),
            ("notPorts", entity.not_ports, "it excludes nothing"),
        ):
            for index, port in enumerate(ports):
                if port.name is not None and port.name not in self._ports:
                    message = f"no endpoint with addresses declares a port {port.name}: {so}"
                    yield Notice(f"{path}.{field}[{index}]", "missing-port", message)

    def _selection(self, path: str, entity: EntityRule, namespace: str | None) -> Iterator[Notice]:
        positive, negative = wanted(entity, self._selectors, namespace)
        given = {"selector": entity.selector, "namespaceSelector": entity.namespace_selector}
        # In a namespace, notSelector alone selects too: all of the namespace but those.
        field = next((name for name, text in given.items() if text), "notSelector")
        for name, selector, so in (
            (field, positive, "this rule never matches"),
            ("notSelector", negative, "nothing is excluded"),
        ):
            lacks = self._lacks(selector) if selector is not None else ""
            if lacks:
                yield Notice(f"{path}.{name}", "selects-nothing", f"{lacks}: {so}")

    def _lacks(self, selector: Selector) -> str:
        """Return why a selector gives no address; nothing where it gives one."""
        if selector.canonical not in self._lacking:
            self._lacking[selector.canonical] = self._found_lacking(selector)
        return self._lacking[selector.canonical]

    def _found_lacking(self, selector: Selector) -> str:
        selected = False
        for has_addresses in self._selectable_index.select(selector):
            if has_addresses:
                return ""
            selected = True
        if selected:
            return "selects only endpoints without addresses and sets without nets, so no address"
        return "selects no endpoint and no network set of these files, so no address"
