"""What selectors are asked about: the labels of endpoints, and a rule's several selectors as one.

Owns what Calico makes of labels before a selector sees them. Must never know an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.resources.groups import NAMESPACE_LABEL
from nfq_guard.selector import conjoin, negate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nfq_guard.resources.endpoints import HostEndpoint
    from nfq_guard.resources.inventory import Inventory
    from nfq_guard.resources.policies import GlobalNetworkPolicySpec
    from nfq_guard.resources.rules import EntityRule
    from nfq_guard.selector import Selector, SelectorCache

NAMESPACE_PREFIX = "pcns."
"""Calico names a namespace's labels so on the endpoints inside it."""
SERVICE_ACCOUNT_LABEL = "projectcalico.org/serviceaccount"
SERVICE_ACCOUNT_PREFIX = "pcsa."


class Wanted(NamedTuple):
    """One side's selectors of a rule. None: the side does not ask."""

    positive: Selector | None
    negative: Selector | None


def inherited_labels(endpoint: HostEndpoint, inventory: Inventory) -> dict[str, str]:
    """Return an endpoint's labels with those its profiles apply.

    The endpoint's own win over every profile's, an earlier profile's over a later one's
    (Calico felix/labelindex).
    """
    profiles = {item.name: item.value for item in inventory.profiles}
    labels: dict[str, str] = {}
    for name in reversed(endpoint.spec.profiles):
        if name in profiles:
            labels.update(profiles[name].spec.labels_to_apply)
    labels.update(endpoint.metadata.labels)
    return labels


def applies_to(spec: GlobalNetworkPolicySpec, labels: Mapping[str, str], selectors: SelectorCache) -> bool:
    """Return whether a policy selects an endpoint with these labels."""
    if not selectors.get(spec.selector).matches(labels):
        return False
    scopes = (
        (spec.namespace_selector, NAMESPACE_LABEL, NAMESPACE_PREFIX),
        (spec.service_account_selector, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX),
    )
    return all(
        scoped(selectors, text, label, prefix).matches(labels) for text, label, prefix in scopes if text
    )


def wanted(entity: EntityRule, selectors: SelectorCache) -> Wanted:
    """Return what one side of a rule selects by labels.

    A positive selector takes the negative one in: both are asked of the same endpoint,
    not of its address (Calico felix/calc/rule_scanner.go).
    """
    positive = _positive(entity, selectors)
    negative = selectors.get(entity.not_selector) if entity.not_selector else None
    if positive is not None and negative is not None:
        return Wanted(conjoin(positive, negate(negative)), None)
    return Wanted(positive, negative)


def _positive(entity: EntityRule, selectors: SelectorCache) -> Selector | None:
    one = selectors.get(entity.selector) if entity.selector else None
    text = entity.namespace_selector
    if not text:
        return one
    other = scoped(selectors, text, NAMESPACE_LABEL, NAMESPACE_PREFIX)
    return other if one is None else conjoin(one, other)


def scoped(selectors: SelectorCache, text: str, label: str, prefix: str) -> Selector:
    """Return a namespace or service account selector as one over endpoint labels.

    `all()` means that the endpoint is in some namespace, `global()` that it is in none;
    anything else is asked of the namespace's labels (Calico libcalico-go updateprocessors).
    """
    selector = selectors.get(text)
    if selector.canonical == "all()":
        return selectors.get(f"has({label})")
    if selector.canonical == "global()":
        return selectors.get(f"!has({label})")
    return selector.with_prefix(prefix)
