"""What is understood but not enforced yet, or has no effect.

Owns those lists, so that enforcing something more is one line less here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.resources.paths import format_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.resources.felix import FelixConfiguration

NOT_ENFORCED = "not enforced in this version"

KINDS = {
    "staged_global_network_policies": f"staged policy is {NOT_ENFORCED}, and not evaluated either",
    "staged_network_policies": f"staged policy is {NOT_ENFORCED}, and not evaluated either",
}
"""Kinds, by their place in Inventory, that are decoded and checked only."""

_IGNORED = (("ipv6_support", "ipv6Support", False, "IPv6 is guarded like IPv4"),)
"""Settings whose absence would surprise: the value of which that is so, and what happens instead."""

_PARAMETER = "config.projectcalico.org/"
"""Calico reads `config.projectcalico.org/<Parameter>: value` beside the fields of spec."""


def ignored_settings(felix: FelixConfiguration) -> Iterator[tuple[str, str]]:
    """Yield the path, as the file spells it, of each setting that does not do what it says, and what to say."""
    for attribute, field, value, instead in _IGNORED:
        if attribute in felix.spec.model_fields_set and getattr(felix.spec, attribute) == value:
            yield f"spec.{field}", f"has no effect here: {instead}"
    for key in felix.metadata.annotations:
        if key.startswith(_PARAMETER):
            message = (
                "has no effect here: only the fields of spec are read, set it there if there is one for it"
            )
            yield format_path(("metadata", "annotations", key)), message
