"""What is understood but not enforced yet.

Owns that list, so that enforcing something more is one line less here.
"""

from __future__ import annotations

NOT_ENFORCED = "not enforced in this version"

KINDS = {
    "staged_global_network_policies": f"staged policy is {NOT_ENFORCED}, and not evaluated either",
    "staged_network_policies": f"staged policy is {NOT_ENFORCED}, and not evaluated either",
}
"""Kinds, by their place in Inventory, that are decoded and checked only."""
