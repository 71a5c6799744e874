"""What only shows when resources are seen together, and what will surprise.

Owns the warnings about valid resources. Must never refuse anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.model.decision import Action
from nfq_guard.model.problem import Problem, Severity
from nfq_guard.resources.felix import GLOBAL_NAME, NODE_PREFIX
from nfq_guard.resources.groups import BUILT_IN_TIERS, DEFAULT_ALLOW_PROFILE
from nfq_guard.resources.ignored import ignored_settings
from nfq_guard.resources.reach import reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nfq_guard.resources.base import Resource
    from nfq_guard.resources.inventory import Inventory, Located
    from nfq_guard.resources.policies import GlobalNetworkPolicy
    from nfq_guard.resources.rules import Rule

_NEVER = {
    "services": "services exist in Kubernetes only: this rule never matches here",
    "serviceAccounts": "service accounts exist in Kubernetes only: this rule never matches here",
    "http": "a packet does not show its HTTP request: this rule never matches here",
}


def crosscheck(inventory: Inventory, *, complete: bool = True) -> Iterator[Problem]:
    """Yield a warning for everything valid that does not do what it seems to.

    `complete`: nothing was refused, so that what is not there was not declared either.
    """
    if complete:
        yield from reach(inventory)
    yield from _endpoints(inventory)
    tiers = {name: action for name, (_, action) in BUILT_IN_TIERS.items()}
    tiers.update({tier.name: tier.value.spec.default_action for tier in inventory.tiers})
    for policy in inventory.global_network_policies:
        yield from _policy(policy, tiers)
    for profile in inventory.profiles:
        spec = profile.value.spec
        for field, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
            for index, rule in enumerate(rules):
                yield from _never_matches(profile, f"spec.{field}[{index}]", rule)
    yield from _felix(inventory)


def _felix(inventory: Inventory) -> Iterator[Problem]:
    for felix in inventory.felix_configurations:
        if felix.name != GLOBAL_NAME and not felix.name.startswith(NODE_PREFIX):
            message = f"has no effect here: only {GLOBAL_NAME} and {NODE_PREFIX}NAME have, node labels are not known"
            yield _warning(felix, "metadata.name", "no-effect", message)
        for field, message in ignored_settings(felix.value):
            yield _warning(felix, field, "no-effect", message)


def _warning(located: Located[Resource], field: str, code: str, message: str) -> Problem:
    return Problem(
        located.position(field), code, message, field, located.kind, located.name, severity=Severity.WARNING
    )


def _endpoints(inventory: Inventory) -> Iterator[Problem]:
    known = {profile.name for profile in inventory.profiles} | {DEFAULT_ALLOW_PROFILE}
    for endpoint in inventory.host_endpoints:
        for index, name in enumerate(endpoint.value.spec.profiles):
            if name not in known:
                message = f"the profile {name} is not declared: treated as one that drops everything"
                yield _warning(endpoint, f"spec.profiles[{index}]", "missing-profile", message)


def _policy(policy: Located[GlobalNetworkPolicy], tiers: Mapping[str, Action]) -> Iterator[Problem]:
    spec = policy.value.spec
    if spec.tier not in tiers:
        message = f"the tier {spec.tier} is not declared: enforced after all other tiers, and ends in Deny"
        yield _warning(policy, "spec.tier", "missing-tier", message)
    for field, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
        if rules and field.capitalize() not in spec.types:
            message = f"types leaves {field.capitalize()} out: none of these rules is enforced"
            yield _warning(policy, f"spec.{field}", "unused-rules", message)
    for field, index, rule in spec.rules():
        yield from _never_matches(policy, f"spec.{field}[{index}]", rule)
    if tiers.get(spec.tier, Action.DENY) is Action.DENY:
        for field, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
            if rules and all(rule.action is Action.LOG for rule in rules):
                message = (
                    "has Log rules only: unless a later policy of the tier decides, the tier ends in Deny"
                )
                yield _warning(policy, f"spec.{field}", "log-only", message)


def _never_matches(located: Located[Resource], path: str, rule: Rule) -> Iterator[Problem]:
    present: list[tuple[str, object]] = [("http", rule.http)]
    for side, entity in rule.sides():
        present += [
            (f"{side}.services", entity.services),
            (f"{side}.serviceAccounts", entity.service_accounts),
        ]
    for field, value in present:
        if value is not None:
            message = _NEVER[field.rpartition(".")[2]]
            yield _warning(located, f"{path}.{field}", "never-matches", message)
