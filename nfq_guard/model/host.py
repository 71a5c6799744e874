"""What the host looks like now: its name, interfaces and their addresses.

A compiled ruleset is a function of the resources and these facts, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface."""

    name: str
    addresses: tuple[str, ...] = ()
    """Plain IPv4 and IPv6 addresses, no prefix length, no zone."""
    index: int = 0
    """The kernel's ifindex; 0 where it is not known (facts given by hand)."""
    up: bool = True


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The host as seen by rtnetlink, or as given by hand."""

    node: str
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    """By name."""
