"""What selectors are asked about: the labels of endpoints, and a rule's several selectors as one.

Owns what Calico makes of labels before a selector sees them. Must never know an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.resources.groups import NAMESPACE_LABEL
from nfq_guard.resources.policies import GlobalNetworkPolicySpec
from nfq_guard.resources.workloads import WorkloadEndpoint

if TYPE_CHECKING:
    from nfq_guard.resources.endpoints import HostEndpoint
    from nfq_guard.resources.inventory import Inventory, Located
    from nfq_guard.resources.policies import PolicySpec
    from nfq_guard.resources.rules import EntityRule
    from nfq_guard.selector import Selector, SelectorCache


class Scope(NamedTuple):
    """What endpoints belong to, and how its labels are named on them."""

    member: str
    """The label that everything in some scope has."""
    prefix: str
    """In front of the scope's own labels."""


NAMESPACE = Scope(NAMESPACE_LABEL, "pcns.")
SERVICE_ACCOUNT = Scope("projectcalico.org/serviceaccount", "pcsa.")
ORCHESTRATOR_LABEL = "projectcalico.org/orchestrator"


class Wanted(NamedTuple):
    """One side's selectors of a rule. None: the side does not ask."""

    positive: Selector | None
    negative: Selector | None


class EndpointLabels:
    """The labels of an inventory's endpoints."""

    def __init__(self, inventory: Inventory) -> None:
        """Take in what profiles apply."""
        self._applied = {item.name: item.value.spec.labels_to_apply for item in inventory.profiles}

    def of(self, endpoint: Located[HostEndpoint] | Located[WorkloadEndpoint]) -> dict[str, str]:
        """Return an endpoint's labels with those its profiles apply.

        The endpoint's own win over every profile's, an earlier profile's over a later one's
        (Calico felix/labelindex). A workload's say where it lives, too.
        """
        labels: dict[str, str] = {}
        for name in reversed(endpoint.value.spec.profiles):
            labels.update(self._applied.get(name, {}))
        labels.update(endpoint.value.metadata.labels)
        if isinstance(endpoint.value, WorkloadEndpoint):
            spec = endpoint.value.spec
            own = {
                NAMESPACE.member: endpoint.namespace,
                ORCHESTRATOR_LABEL: spec.orchestrator,
                SERVICE_ACCOUNT.member: spec.service_account_name,
            }
            labels.update({label: value for label, value in own.items() if value})
        return labels


def applying(spec: PolicySpec, selectors: SelectorCache) -> Selector:
    """Return the one selector of all that say which endpoints a policy applies to.

    A policy in a namespace applies in that namespace only: whoever asks sees to that.
    """
    found = selectors.get(spec.selector)
    scopes = [(spec.service_account_selector, SERVICE_ACCOUNT)]
    if isinstance(spec, GlobalNetworkPolicySpec):
        scopes.append((spec.namespace_selector, NAMESPACE))
    for text, scope in scopes:
        if text:
            found = selectors.conjoin(found, scoped(selectors, text, scope))
    return found


def wanted(entity: EntityRule, selectors: SelectorCache, namespace: str | None = None) -> Wanted:
    """Return what one side of a rule selects by labels.

    A rule of a policy in a namespace selects in that namespace, unless its
    namespaceSelector says where. A positive selector takes the negative one in: both are
    asked of the same endpoint, not of its address (Calico felix/calc/rule_scanner.go).
    """
    positive = _positive(entity, selectors, namespace)
    negative = selectors.get(entity.not_selector) if entity.not_selector else None
    if positive is not None and negative is not None:
        return Wanted(selectors.conjoin(positive, selectors.negate(negative)), None)
    return Wanted(positive, negative)


def _positive(entity: EntityRule, selectors: SelectorCache, namespace: str | None) -> Selector | None:
    one = selectors.get(entity.selector) if entity.selector else None
    if entity.namespace_selector:
        other = scoped(selectors, entity.namespace_selector, NAMESPACE)
    elif namespace is not None and (entity.selector or entity.not_selector):
        other = within(namespace, selectors)
    else:
        return one
    return other if one is None else selectors.conjoin(one, other)


def within(namespace: str, selectors: SelectorCache) -> Selector:
    """Return the selector of everything in a namespace."""
    return selectors.get(f"{NAMESPACE.member} == '{namespace}'")


def scoped(selectors: SelectorCache, text: str, scope: Scope) -> Selector:
    """Return a namespace or service account selector as one over endpoint labels."""
    return selectors.with_prefix(selectors.get(text), scope.prefix, scope.member)
