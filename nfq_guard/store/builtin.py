"""Resources that exist without being in any file.

Owns what `get` shows of them and what a patch of them starts from. Declaring one in a
file is how it is changed, as far as it can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nfq_guard.resources.base import API_VERSION
from nfq_guard.resources.felix import GLOBAL_NAME
from nfq_guard.resources.groups import BUILT_IN_TIERS, DEFAULT_ALLOW_PROFILE
from nfq_guard.store.refs import Ref, ref_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def _resource(kind: str, name: str, spec: dict[str, Any]) -> tuple[Ref, dict[str, Any]]:
    data = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return ref_of(kind, name), data


def _all() -> Iterator[tuple[Ref, dict[str, Any]]]:
    # A filled spec, and the one that Calico itself writes: people add lines below it.
    yield _resource(
        "FelixConfiguration", GLOBAL_NAME, {"logSeverityScreen": "Info", "reportingInterval": "0s"}
    )
    allow: dict[str, Any] = {"ingress": [{"action": "Allow"}], "egress": [{"action": "Allow"}]}
    yield _resource("Profile", DEFAULT_ALLOW_PROFILE, allow)
    for name, (order, action) in BUILT_IN_TIERS.items():
        yield _resource("Tier", name, {"order": int(order), "defaultAction": str(action)})


BUILT_IN: dict[Ref, dict[str, Any]] = dict(_all())
