"""What only shows when resources are seen together, and what will surprise.

Owns the warnings about valid resources. Must never refuse anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.model.decision import Action
from nfq_guard.model.memo import Memo
from nfq_guard.resources.felix import GLOBAL_NAME, NODE_PREFIX
from nfq_guard.resources.groups import BUILT_IN_TIERS, DEFAULT_ALLOW_PROFILE
from nfq_guard.resources.ignored import ignored_settings
from nfq_guard.resources.policies import takes_part, what_happens
from nfq_guard.resources.reach import Notice, Notices, ReachMemory, reach
from nfq_guard.selector import SelectorCache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.model.problem import Problem
    from nfq_guard.resources.endpoints import HostEndpoint
    from nfq_guard.resources.groups import ProfileSpec
    from nfq_guard.resources.inventory import Inventory, Located
    from nfq_guard.resources.policies import AnyPolicy
    from nfq_guard.resources.rules import Rule
    from nfq_guard.resources.workloads import WorkloadEndpoint

_NEVER = {
    "services": "services exist in Kubernetes only: this rule never matches here",
    "serviceAccounts": "service accounts exist in Kubernetes only: this rule never matches here",
    "http": "a packet does not show its HTTP request: this rule never matches here",
}


class Memory:
    """What was said about resources that did not change."""

    def __init__(self, selectors: SelectorCache) -> None:
        """Know nothing yet."""
        self.reach = ReachMemory(selectors)
        self.policies: Memo[AnyPolicy, Action | None, Notices] = Memo(_policy)
        self.profiles: Memo[ProfileSpec, None, Notices] = Memo(_profile)


def crosscheck(
    inventory: Inventory, *, complete: bool = True, memory: Memory | None = None
) -> Iterator[Problem]:
    """Yield a warning for everything valid that does not do what it seems to.

    `complete`: nothing was refused, so that what is not there was not declared either.
    """
    memory = Memory(SelectorCache()) if memory is None else memory
    if complete:
        yield from reach(inventory, memory.reach)
    yield from _endpoints(inventory)
    tiers = {name: action for name, (_, action) in BUILT_IN_TIERS.items()}
    tiers.update({tier.name: tier.value.spec.default_action for tier in inventory.tiers})
    memory.policies.begin_round()
    for policy in inventory.policies():
        for notice in memory.policies.get(policy.value, tiers.get(policy.value.spec.tier)):
            yield notice.about(policy)
    memory.profiles.begin_round()
    for profile in inventory.profiles:
        for notice in memory.profiles.get(profile.value.spec, None):
            yield notice.about(profile)
    yield from _felix(inventory)


def _felix(inventory: Inventory) -> Iterator[Problem]:
    for felix in inventory.felix_configurations:
        if felix.name != GLOBAL_NAME and not felix.name.startswith(NODE_PREFIX):
            message = f"has no effect here: only {GLOBAL_NAME} and {NODE_PREFIX}NAME have, node labels are not known"
            yield Notice("metadata.name", "no-effect", message).about(felix)
        for field, message in ignored_settings(felix.value):
            yield Notice(field, "no-effect", message).about(felix)


def _endpoints(inventory: Inventory) -> Iterator[Problem]:
    known = {profile.name for profile in inventory.profiles} | {DEFAULT_ALLOW_PROFILE}
    endpoints: list[Located[HostEndpoint] | Located[WorkloadEndpoint]]
    endpoints = [*inventory.host_endpoints, *inventory.workload_endpoints]
    for endpoint in endpoints:
        for index, name in enumerate(endpoint.value.spec.profiles):
            if name not in known:
                message = f"the profile {name} is not declared: treated as one that drops everything"
                yield Notice(f"spec.profiles[{index}]", "missing-profile", message).about(endpoint)


def _policy(policy: AnyPolicy, ends: Action | None) -> Notices:
    """Return what is to be said about a policy in a tier that ends so; None: in one that nobody declared."""
    return tuple(_of_policy(policy, ends)) if takes_part(policy) else ()


def _of_policy(policy: AnyPolicy, ends: Action | None) -> Iterator[Notice]:
    spec, happens = policy.spec, what_happens(policy)
    if ends is None:
        message = f"the tier {spec.tier} is not declared: {happens} after all other tiers, and ends in Deny"
        yield Notice("spec.tier", "missing-tier", message)
    for field, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
        if rules and field.capitalize() not in spec.types:
            message = f"types leaves {field.capitalize()} out: none of these rules is {happens}"
            yield Notice(f"spec.{field}", "unused-rules", message)
    for field, index, rule in spec.rules():
        yield from _never_matches(f"spec.{field}[{index}]", rule)
    if ends in {None, Action.DENY}:
        for field, rules in (("ingress", spec.ingress), ("egress", spec.egress)):
            if rules and all(rule.action is Action.LOG for rule in rules):
                message = (
                    "has Log rules only: unless a later policy of the tier decides, the tier ends in Deny"
                )
                yield Notice(f"spec.{field}", "log-only", message)


def _profile(spec: ProfileSpec, _: None) -> Notices:
    return tuple(
        notice
        for field, rules in (("ingress", spec.ingress), ("egress", spec.egress))
        for index, rule in enumerate(rules)
        for notice in _never_matches(f"spec.{field}[{index}]", rule)
    )


def _never_matches(path: str, rule: Rule) -> Iterator[Notice]:
    present: list[tuple[str, object]] = [("http", rule.http)]
    for side, entity in rule.sides():
        present += [
            (f"{side}.services", entity.services),
            (f"{side}.serviceAccounts", entity.service_accounts),
        ]
    for field, value in present:
        if value is not None:
            yield Notice(f"{path}.{field}", "never-matches", _NEVER[field.rpartition(".")[2]])
