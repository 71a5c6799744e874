"""What is understood but not enforced yet.

Owns that list, so that enforcing something more is one line less here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.resources.policies import GlobalNetworkPolicySpec

NOT_ENFORCED = "not enforced in this version"

KINDS = {
    "network_policies": f"policy of workloads is {NOT_ENFORCED}; host endpoints are not concerned by it",
    "network_sets": f"sets of a namespace are {NOT_ENFORCED}: no rule's selector selects their addresses",
    "staged_global_network_policies": f"staged policy is {NOT_ENFORCED}, and not evaluated either",
    "staged_network_policies": f"staged policy is {NOT_ENFORCED}, and not evaluated either",
    "workload_endpoints": f"workloads are {NOT_ENFORCED}: no rule's selector selects their addresses",
}
"""Kinds, by their place in Inventory, that are decoded and checked only."""

_FIELDS = (
    ("do_not_track", "doNotTrack", f"untracked policy is {NOT_ENFORCED}: none of its rules is"),
    ("pre_dnat", "preDNAT", f"pre-DNAT policy is {NOT_ENFORCED}: none of its rules is"),
    (
        "apply_on_forward",
        "applyOnForward",
        f"policy on forwarded packets is {NOT_ENFORCED}: only the host's own are",
    ),
)


def pending_fields(spec: GlobalNetworkPolicySpec) -> Iterator[tuple[str, str]]:
    """Yield the field and what to say, for the first field of a policy that asks for such a stage."""
    for attribute, field, message in _FIELDS:
        if getattr(spec, attribute):
            yield field, message
            return
