"""What does not change with policy: base chains, declarations of sets, counters.

Owns what hangs on which hook, and the version of it all. Must never say what happens to
a packet: kernel/rules.py does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nfq_guard.kernel.learned import learned_maps
from nfq_guard.kernel.plan import Section
from nfq_guard.kernel.text import Chain, failsafe_sets, interface_set

if TYPE_CHECKING:
    from nfq_guard.kernel.plan import KernelPlan
    from nfq_guard.kernel.text import Set

SKELETON = 6
"""Version of the base chains and of the declarations of sets and counters. A table with
another version is replaced, not reloaded: raise it with every change to those."""

SKELETON_COMMENT = "nfq-guard skeleton"
COUNTERS = (
    "endpoint_to_host",
    "failsafe_in",
    "failsafe_out",
    "invalid_forward",
    "invalid_in",
    "invalid_out",
    "invalid_pre_dnat",
    "neighbor_discovery_in",
    "neighbor_discovery_out",
    "queued_forward",
    "queued_in",
    "queued_out",
    "queued_pre_dnat",
    "queued_untracked_in",
    "queued_untracked_out",
)
"""Named counters, declared whatever the policy."""


PRIORITIES = {
    -301: "raw - 1",
    -300: "raw",
    -299: "raw + 1",
    -149: "mangle + 1",
    -148: "mangle + 2",
    -6: "filter - 6",
    -5: "filter - 5",
}
"""Where our base chains hang, in nft's words."""


class BaseRule(NamedTuple):
    """A base chain: its name, where it hangs, and the regular chain that it jumps to."""

    name: str
    hook: str
    priority: int
    target: str
    which: str = ""
    """Which packets jump, empty for all; ends in a space otherwise."""


_REDIRECTED = "ct status dnat "
"""Every packet that leaves the host passes these chains, and hardly ever one has a connection that NAT sent elsewhere."""

BASE_CHAINS: dict[Section, tuple[BaseRule, ...]] = {
    # Just ahead of `filter` (0), behind destination NAT (-100): other tables still see
    # what we allow.
    Section.LOCAL: (
        BaseRule("input_pre", "input", -6, "unmark_in"),
        BaseRule("input", "input", -5, "classify_in"),
        BaseRule("output_pre", "output", -6, "unmark_out"),
        BaseRule("output", "output", -5, "classify_out"),
        BaseRule("rerouted_pre", "postrouting", -149, "unmark_rerouted", _REDIRECTED),
        BaseRule("rerouted", "postrouting", -148, "classify_rerouted", _REDIRECTED),
    ),
    Section.FORWARD: (
        BaseRule("forward_pre", "forward", -6, "unmark_forward"),
        BaseRule("forward", "forward", -5, "classify_forward"),
    ),
    # Behind connection tracking (-200) and others' `mangle` (-150), which restores and saves marks;
    # ahead of destination NAT.
    Section.PRE_DNAT: (
        BaseRule("pre_dnat_pre", "prerouting", -149, "unmark_pre_dnat"),
        BaseRule("pre_dnat", "prerouting", -148, "classify_pre_dnat"),
    ),
    # Ahead of connection tracking.
    Section.UNTRACKED_IN: (
        BaseRule("untracked_in", "prerouting", -300, "classify_untracked_in"),
        BaseRule("untracked_in_post", "prerouting", -299, "untrack_in"),
    ),
    Section.UNTRACKED_OUT: (
        BaseRule("untracked_out_pre", "output", -301, "unmark_untracked_out"),
        BaseRule("untracked_out", "output", -300, "classify_untracked_out"),
        BaseRule("untracked_out_post", "output", -299, "spare_out"),
    ),
}


def base_chains(section: Section) -> tuple[Chain, ...]:
    """Return a section's chains that hang on hooks: the same for every plan and setting."""
    return tuple(
        Chain(
            base.name,
            (
                f"type filter hook {base.hook} priority {PRIORITIES[base.priority]}; policy accept;",
                f'{base.which}jump {base.target} comment "{SKELETON_COMMENT} {SKELETON}"',
            ),
        )
        for base in BASE_CHAINS[section]
    )


def sets(section: Section, plan: KernelPlan) -> tuple[Set, ...]:
    """Return a section's sets."""
    if section is Section.LOCAL:
        return (
            interface_set("managed", plan.interfaces),
            interface_set("workloads", plan.workloads),
            *failsafe_sets("failsafe_in", plan.inbound),
            *failsafe_sets("failsafe_out", plan.outbound),
            *learned_maps(),
        )
    if section is Section.FORWARD:
        return (
            interface_set("forwarded_in", plan.forward_in.interfaces),
            interface_set("forwarded_out", plan.forward_out.interfaces),
        )
    names = {
        Section.PRE_DNAT: ("before_nat", plan.pre_dnat.interfaces),
        Section.UNTRACKED_IN: ("exempt_in", plan.untracked_in),
        Section.UNTRACKED_OUT: ("exempt_out", plan.untracked_out),
    }
    return (interface_set(*names[section]),)
