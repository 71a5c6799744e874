"""What a resource is called: its kind, namespace and name, and the words people use for kinds.

Owns the aliases of the command line. Must never look into a resource's spec.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nfq_guard.resources.kinds import KINDS

DEFAULT_NAMESPACE = "default"

_SHORT = {
    "FelixConfiguration": ("felixconfig", "felixconfigs"),
    "GlobalNetworkPolicy": ("gnp", "gnps"),
    "GlobalNetworkSet": ("gnetset", "gnetsets", "gns"),
    "HostEndpoint": ("hep", "heps"),
    "NetworkPolicy": ("np", "nps", "policy", "policies", "pol", "pols"),
    "NetworkSet": ("netset", "netsets"),
    "Profile": ("pro", "pros"),
    "StagedGlobalNetworkPolicy": ("sgnp", "sgnps"),
    "StagedNetworkPolicy": ("snp", "snps", "stagedpolicy", "stagedpolicies", "spol", "spols"),
    "Tier": (),
    "WorkloadEndpoint": ("wep", "weps"),
}
"""calicoctl's short names, and the obvious ones that it leaves out."""


class Ref(NamedTuple):
    """One resource among all."""

    kind: str
    namespace: str | None
    """None for kinds that are not in one."""
    name: str

    def __str__(self) -> str:
        """Return `Kind(name)` or `Kind(namespace/name)`, as Calico's errors write it."""
        return f"{self.kind}({self.namespace}/{self.name})" if self.namespace else f"{self.kind}({self.name})"


_GROUP = re.compile(r"(?:\.v3)?\.projectcalico\.org$")


def _plural(kind: str) -> str:
    return kind.removesuffix("y") + "ies" if kind.endswith("y") else kind + "s"


ALIASES: dict[str, str] = {
    alias.lower(): kind for kind in KINDS for alias in (kind, _plural(kind), *_SHORT.get(kind, ()))
}
"""Lower-case word to kind."""


def kind_of(word: str) -> str | None:
    """Return the kind that a word of the command line names, in any letter case; None if there is none.

    The API group may stand behind it, with or without its version, as for kubectl.
    """
    return ALIASES.get(_GROUP.sub("", word.lower()))


def ref_of(kind: str, name: str, namespace: str | None = None) -> Ref:
    """Return the reference to a resource; kinds in a namespace are in `default` unless said otherwise."""
    if not KINDS[kind].namespaced:
        return Ref(kind, None, name)
    return Ref(kind, namespace or DEFAULT_NAMESPACE, name)
