"""What is understood and has no effect here.

Owns that list, so that heeding something more is one line less here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.resources.paths import format_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nfq_guard.resources.felix import FelixConfiguration

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
