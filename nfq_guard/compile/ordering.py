"""The order in which tiers and policies are evaluated.

Owns the two sort keys (Calico felix/calc/policy_sorter.go TierLess and PolKVLess).
"""

from __future__ import annotations

from math import inf


def tier_key(name: str, order: float | None, *, declared: bool) -> tuple[bool, bool, float, str]:
    """Return the sort key of a tier: declared before undeclared, by order (none last), by name."""
    return (not declared, order is None, 0.0 if order is None else order, name)


def policy_key(name: str, namespace: str | None, kind: str, order: float | None) -> tuple[float, bytes]:
    """Return the sort key of a policy in its tier: by order (none last), then by its full name.

    The full name is compared as bytes with its separators: at equal order `allow-ssh`
    comes before `allow`, because `-` sorts before the `/` that ends the name.
    """
    return (inf if order is None else order, f"{name}/{namespace or ''}/{kind}".encode())
