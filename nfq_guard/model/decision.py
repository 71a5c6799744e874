"""The answer: a verdict, why, and the rule that gave it.

Owns the closed lists of verdicts, reasons and actions that the engine, metrics,
logs, the command line and the docs share.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nfq_guard.model.flow import Side, Stage


class Verdict(StrEnum):
    """What happens to the packet."""

    ALLOW = "allow"
    DENY = "deny"


class Action(StrEnum):
    """What a rule does when it matches (Calico's exact spelling)."""

    ALLOW = "Allow"
    DENY = "Deny"
    LOG = "Log"
    PASS = "Pass"  # noqa: S105 - Calico's action, not a password


class Reason(StrEnum):
    """Why a verdict came about. One list for logs, metrics, `decide` and the docs."""

    UNMANAGED = "unmanaged"
    """No host endpoint governs the interface."""
    ESTABLISHED = "established"
    """Belongs to, or is related to, a connection already allowed."""
    INVALID = "invalid"
    """Connection tracking cannot place the packet."""
    NEIGHBOR_DISCOVERY = "neighbor-discovery"
    """IPv6 neighbor discovery, without which there is no IPv6."""
    FAILSAFE = "failsafe"
    """A failsafe port: accepted ahead of every policy."""
    POLICY = "policy"
    """A policy's rule."""
    TIER_DEFAULT = "tier-default"
    """Policies of the tier apply, none of their rules matched: the tier's default action."""
    PROFILE = "profile"
    """A profile's rule."""
    NO_MATCH = "no-match"
    """Neither policy nor profile decided: default deny."""
    FORWARD_DEFAULT = "forward-default"
    """Forwarded, and no policy that applies on forward objected."""
    ENDPOINT_TO_HOST = "endpoint-to-host"
    """FelixConfiguration defaultEndpointToHostAction."""
    HOST_TO_WORKLOAD = "host-to-workload"
    """A host's own traffic to its workloads is always allowed."""


class RuleRef(NamedTuple):
    """Where a rule stands. `rule` is its 0-based index within its direction."""

    tier: str | None
    kind: str
    name: str
    namespace: str | None
    rule: int
    side: Side
    action: Action
    file: str
    line: int
    prefix: str = ""
    """What a Log rule's lines begin with, worked out (FelixConfiguration logPrefix); empty in other rules."""

    @property
    def full_name(self) -> str:
        """The name, with its namespace where it has one: `shop/allow-web`."""
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"


class Decision(NamedTuple):
    """A verdict with its decisive step. Made once per compiled rule, shared by packets."""

    verdict: Verdict
    reason: Reason
    stage: Stage | None = None
    side: Side | None = None
    endpoint: str | None = None
    tier: str | None = None
    rule: RuleRef | None = None
    counter: int = -1
    """Index into Ruleset.counted of the rule that decided; -1: none."""
