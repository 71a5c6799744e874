"""Kinds that policies refer to: network sets, profiles and tiers.

Owns them, and the tiers and the profile that exist without being declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from nfq_guard.model.decision import Action
from nfq_guard.resources import names
from nfq_guard.resources.base import Finding, Metadata, Resource, Strict, duplicates
from nfq_guard.resources.fields import AddressOrCidr, Number, RuleAction, Text, refuse
from nfq_guard.resources.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE_LABEL = "projectcalico.org/namespace"
"""Calico puts this label on what is in a namespace; a set that set it itself would forge that."""

DEFAULT_TIER_ORDER = 1_000_000.0
DEFAULT_ALLOW_PROFILE = "projectcalico-default-allow"

BUILT_IN_TIERS: dict[str, tuple[float, Action]] = {
    "default": (DEFAULT_TIER_ORDER, Action.DENY),
    "kube-admin": (1_000.0, Action.PASS),
    "kube-baseline": (10_000_000.0, Action.PASS),
}
"""Order and default action of the tiers that always exist. They may be declared, but not changed."""


class NetworkSetSpec(Strict):
    """Addresses that have no endpoint of their own."""

    nets: tuple[AddressOrCidr, ...] = ()

    def findings(self) -> Iterator[Finding]:
        """Check that the set is one."""
        return duplicates("nets", self.nets)


class GlobalNetworkSet(Resource):
    """Addresses with labels, for the selectors of rules."""

    spec: NetworkSetSpec = NetworkSetSpec()

    def findings(self) -> Iterator[Finding]:
        """Check for the label that only Calico may set."""
        return forged_namespace(self.metadata)


class NetworkSet(Resource):
    """Addresses with labels, in a namespace."""

    spec: NetworkSetSpec = NetworkSetSpec()

    def findings(self) -> Iterator[Finding]:
        """Check for the label that only Calico may set."""
        return forged_namespace(self.metadata)


def forged_namespace(metadata: Metadata) -> Iterator[Finding]:
    """Return a finding if a set carries the label of a namespace."""
    if NAMESPACE_LABEL in metadata.labels:
        path = ("metadata", "labels", NAMESPACE_LABEL)
        yield Finding(path, "bad-label", "this label is Calico's own, a network set cannot carry it")


class ProfileSpec(Strict):
    """What endpoints of a profile inherit. No CRD exists for it, so its rules are checked less."""

    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    labels_to_apply: dict[Text, Text] = Field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """Check the labels."""
        for key, wrong in names.bad_labels(self.labels_to_apply):
            yield Finding(("labelsToApply", key), "bad-label", wrong)


class Profile(Resource):
    """Labels and rules that endpoints name."""

    spec: ProfileSpec = ProfileSpec()


def _default_action(action: Action) -> Action:
    if action not in {Action.DENY, Action.PASS}:
        refuse("bad-value", f'found "{action}", expected Deny or Pass')
    return action


class TierSpec(Strict):
    """Where a tier stands, and what happens to what none of its policies decided."""

    order: Number = DEFAULT_TIER_ORDER
    default_action: Annotated[RuleAction, AfterValidator(_default_action)] = Action.DENY


class Tier(Resource):
    """A group of policies that is evaluated as one step."""

    spec: TierSpec = TierSpec()
    status: dict[Text, Any] | None = None

    def findings(self) -> Iterator[Finding]:
        """Check that a tier that always exists is declared as it is."""
        built_in = BUILT_IN_TIERS.get(self.metadata.name)
        if built_in is None:
            return
        order, action = built_in
        name = self.metadata.name
        if self.spec.order != order:
            message = f"the order of the tier {name} is {order:.0f} and cannot be changed: found {self.spec.order:g}"
            yield Finding(("spec", "order"), "built-in", message, (("spec", "order"),))
        if self.spec.default_action is not action:
            message = (
                f"the default action of the tier {name} is {action} and cannot be changed: "
                f"found {self.spec.default_action}"
            )
            yield Finding(("spec", "defaultAction"), "built-in", message, (("spec", "defaultAction"),))
