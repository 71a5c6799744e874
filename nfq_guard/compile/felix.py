"""The FelixConfiguration in force on a node.

Owns precedence: `node.<name>` over `default`, field by field (Calico
felix/config/config_params.go: per-host over global), and what each field means here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nfq_guard.engine.ruleset import DenyAction, LogLimit
from nfq_guard.resources.felix import GLOBAL_NAME, NODE_PREFIX, FelixConfigurationSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nfq_guard.model.decision import RuleRef
    from nfq_guard.resources import FelixConfiguration, Inventory

MAX_LOG_PREFIX = 127
"""Characters: what the kernel's own log takes (NF_LOG_PREFIXLEN), where Calico's prefix ends."""

_SPECIFIER = re.compile("%[tknp]")
_SHORT_KINDS = {
    "GlobalNetworkPolicy": "gnp",
    "NetworkPolicy": "np",
    "Profile": "pro",
    "StagedGlobalNetworkPolicy": "sgnp",
    "StagedNetworkPolicy": "snp",
}
"""Calico felix/types/policy_id.go; `pro` is felix/rules/policy.go's."""

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_DEFAULT_BURST = 5
"""Calico's, and the kernel's, which takes a burst of 0 for it too (net/netfilter/nft_limit.c)."""


def effective_felix(inventory: Inventory, node: str) -> FelixConfigurationSpec:
    """Return the settings in force: those of the node, else the default ones, else Calico's."""
    by_name = {item.name: item.value for item in inventory.felix_configurations}
    merged: dict[str, object] = {}
    for configuration in _lowest_first(by_name.get(GLOBAL_NAME), by_name.get(f"{NODE_PREFIX}{node}")):
        spec = configuration.spec
        merged.update({name: getattr(spec, name) for name in spec.model_fields_set})
    return FelixConfigurationSpec.model_construct(**merged)  # type: ignore[arg-type]  # validated when loaded


def _lowest_first(*configurations: FelixConfiguration | None) -> Iterable[FelixConfiguration]:
    return [configuration for configuration in configurations if configuration is not None]


def workload_prefixes(spec: FelixConfigurationSpec) -> tuple[str, ...]:
    """Return the prefixes of workload interface names (interfacePrefix is a comma list)."""
    return tuple(prefix for part in spec.interface_prefix.split(",") if (prefix := part.strip()))


def deny_action(spec: FelixConfigurationSpec) -> DenyAction:
    """Return what denied packets get: nftables' field where it is set, else iptables'."""
    set_fields = spec.model_fields_set
    field = "nftables" if "nftables_filter_deny_action" in set_fields else "iptables"
    action: str = getattr(spec, f"{field}_filter_deny_action") or DenyAction.DROP
    return DenyAction(action.capitalize())


def log_prefix(form: str, ref: RuleRef) -> str:
    """Return what a Log rule's lines begin with: logPrefix with its specifiers replaced.

    As Calico does (felix/rules/policy.go): from left to right, so that `%%t` is a percent
    sign and the tier; a percent sign before anything else stays. A profile has no tier.
    """
    values = {
        "%t": ref.tier or "",
        "%k": _SHORT_KINDS.get(ref.kind, ref.kind),
        "%n": ref.name,
        "%p": ref.full_name,
    }
    expanded = _SPECIFIER.sub(lambda found: values[found[0]], form[:MAX_LOG_PREFIX])
    return expanded[:MAX_LOG_PREFIX]


def log_limit(spec: FelixConfigurationSpec) -> LogLimit | None:
    """Return how often each Log rule may write, None if nothing is set."""
    if spec.log_action_rate_limit is None:
        return None
    count, _, unit = spec.log_action_rate_limit.partition("/")
    return LogLimit(spec.log_action_rate_limit_burst or _DEFAULT_BURST, int(count) / _SECONDS[unit])


def excluded(spec: FelixConfigurationSpec, interface: str) -> bool:
    """Return whether interfaceExclude, a comma list of names and `/regex/`, hides an interface's addresses."""
    for part in spec.interface_exclude.split(","):
        pattern = part.strip()
        if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
            if re.search(pattern[1:-1], interface):
                return True
        elif pattern and pattern == interface:
            return True
    return False
