"""Policies: which endpoints they select, in which tier, and their rules.

Owns the policy kinds with all checks between their fields. Must never look beyond one
policy: what it names (tiers) is for `crosscheck`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field

from nfq_guard.resources.base import Finding, OmitEmpty, Resource, duplicates
from nfq_guard.resources.fields import Flag, Name, Number, SelectorText, Text, one_of
from nfq_guard.resources.rules import (
    GLOBAL_ONLY,
    EntityRule,
    PolicyRule,
    Rule,
    has_global,
    too_long,
    too_many,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT_TIER = "default"
INGRESS, EGRESS = "Ingress", "Egress"
MAX_RULES = 1024
ASSUME_NEEDED = "AssumeNeededOnEveryNode"

STAGED_SET, STAGED_DELETE = "Set", "Delete"
StagedAction = Annotated[Text, one_of(STAGED_SET, STAGED_DELETE, "Learn", "Ignore")]


class PolicySpec(OmitEmpty):
    """What all kinds of policy share."""

    tier: Name = DEFAULT_TIER
    order: Number | None = None
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    selector: SelectorText = ""
    declared_types: tuple[Annotated[Text, one_of(INGRESS, EGRESS)], ...] = Field(default=(), alias="types")
    service_account_selector: SelectorText = ""
    performance_hints: tuple[Annotated[Text, one_of(ASSUME_NEEDED)], ...] = ()

    @property
    def types(self) -> tuple[str, ...]:
        """Return the directions the policy takes part in, as Calico fills them in.

        None given: Egress if there are egress rules, Ingress if there are ingress rules or
        none at all (api/pkg/defaults defaultPolicyTypesField).
        """
        if self.declared_types:
            return self.declared_types
        if not self.egress:
            return (INGRESS,)
        return (INGRESS, EGRESS) if self.ingress else (EGRESS,)

    def findings(self) -> Iterable[Finding]:
        """Check what holds for every kind of policy."""
        yield from duplicates("types", self.declared_types)
        yield from duplicates("performanceHints", self.performance_hints)
        for field, text in self.selectors():
            if has_global(text):
                yield Finding((field,), "conflict", GLOBAL_ONLY)
            yield from too_long(field, text)
        yield from too_many("ingress", self.ingress, MAX_RULES)
        yield from too_many("egress", self.egress, MAX_RULES)
        yield from self._direction_findings()

    def selectors(self) -> tuple[tuple[str, str], ...]:
        """Return the selectors that choose endpoints, with their field names."""
        return (("selector", self.selector), ("serviceAccountSelector", self.service_account_selector))

    def _direction_findings(self) -> Iterator[Finding]:
        for index, rule in enumerate(self.egress):
            if rule.http is not None:
                yield Finding(
                    ("egress", index, "http"), "conflict", "an http match is for ingress rules only"
                )
            if rule.source.services is not None:
                path = ("egress", index, "source", "services")
                yield Finding(path, "conflict", "an egress rule can match services at its destination only")
        for index, rule in enumerate(self.ingress):
            if rule.destination.services is not None:
                path = ("ingress", index, "destination", "services")
                yield Finding(path, "conflict", "an ingress rule can match services at its source only")

    def rules(self) -> Iterator[tuple[str, int, Rule]]:
        """Return every rule with the field and index it stands at."""
        for field, rules in (("ingress", self.ingress), ("egress", self.egress)):
            for index, rule in enumerate(rules):
                yield field, index, rule


class GlobalNetworkPolicySpec(PolicySpec):
    """A policy for endpoints anywhere."""

    do_not_track: Flag = False
    pre_dnat: Flag = Field(default=False, alias="preDNAT")
    apply_on_forward: Flag = False
    namespace_selector: SelectorText = ""

    def selectors(self) -> tuple[tuple[str, str], ...]:
        """Return the selectors that choose endpoints, with their field names."""
        return (*super().selectors(), ("namespaceSelector", self.namespace_selector))

    def findings(self) -> Iterable[Finding]:
        """Check the stages as well, and that services say where they are."""
        yield from super().findings()
        yield from self._stage_findings()
        for field, index, rule in self.rules():
            for side, entity in rule.sides():
                yield from _service_without_namespace(field, index, side, entity)

    def _stage_findings(self) -> Iterator[Finding]:
        if self.pre_dnat and self.do_not_track:
            yield Finding(("doNotTrack",), "conflict", "preDNAT and doNotTrack cannot both be true")
        if self.pre_dnat and self.egress:
            yield Finding(("egress",), "conflict", "a preDNAT policy cannot have egress rules")
        if self.pre_dnat and EGRESS in self.declared_types:
            at = self.declared_types.index(EGRESS)
            yield Finding(("types", at), "conflict", "a preDNAT policy cannot have the type Egress")
        for field, value in (("preDNAT", self.pre_dnat), ("doNotTrack", self.do_not_track)):
            if value and not self.apply_on_forward:
                yield Finding(
                    (field,),
                    "conflict",
                    f"{field} needs applyOnForward: true beside it",
                    (("applyOnForward",),),
                )


def _service_without_namespace(field: str, index: int, side: str, entity: EntityRule) -> Iterator[Finding]:
    if entity.services is not None and not entity.services.namespace:
        path = (field, index, side, "services")
        yield Finding(
            path, "missing-field", "services in a global policy need the namespace they are in", (path,)
        )


class StagedGlobalNetworkPolicySpec(GlobalNetworkPolicySpec):
    """A global policy to be tried out."""

    staged_action: StagedAction = STAGED_SET

    def findings(self) -> Iterable[Finding]:
        """Check that a deletion says nothing else."""
        yield from super().findings()
        yield from _deletes_only(self, self.staged_action)


class StagedNetworkPolicySpec(PolicySpec):
    """A policy of a namespace to be tried out."""

    staged_action: StagedAction = STAGED_SET

    def findings(self) -> Iterable[Finding]:
        """Check that a deletion says nothing else."""
        yield from super().findings()
        yield from _deletes_only(self, self.staged_action)


def _deletes_only(spec: PolicySpec, action: str) -> Iterator[Finding]:
    if action != STAGED_DELETE:
        return
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        given = value is not None and value is not False and value not in {"", ()}
        if given and name not in {"tier", "staged_action"}:
            message = "with stagedAction Delete, only the tier may stand beside it"
            yield Finding((field.alias or name,), "conflict", message)


class NetworkPolicy(Resource):
    """A policy for the workloads of a namespace."""

    spec: PolicySpec = PolicySpec()


class StagedGlobalNetworkPolicy(Resource):
    """A global policy that is evaluated but never enforced."""

    spec: StagedGlobalNetworkPolicySpec = StagedGlobalNetworkPolicySpec()


class StagedNetworkPolicy(Resource):
    """A policy of a namespace that is evaluated but never enforced."""

    spec: StagedNetworkPolicySpec = StagedNetworkPolicySpec()


class GlobalNetworkPolicy(Resource):
    """A policy that selects endpoints of every namespace, and host endpoints."""

    spec: GlobalNetworkPolicySpec = GlobalNetworkPolicySpec()


AnyPolicy: TypeAlias = GlobalNetworkPolicy | NetworkPolicy | StagedGlobalNetworkPolicy | StagedNetworkPolicy


def takes_part(policy: AnyPolicy) -> bool:
    """Return whether a policy is enforced or tried out; one that stages a deletion says nothing itself."""
    return staged_action(policy) != STAGED_DELETE


def what_happens(policy: AnyPolicy) -> str:
    """Return what becomes of a policy's rules, for messages: a staged one's are never enforced."""
    return "enforced" if staged_action(policy) is None else "tried out"


def staged_action(policy: AnyPolicy) -> str | None:
    """Return what a policy that is only tried out would do, None for a live one."""
    if isinstance(policy, (StagedGlobalNetworkPolicy, StagedNetworkPolicy)):
        return policy.spec.staged_action
    return None
