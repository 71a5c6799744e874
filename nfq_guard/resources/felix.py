"""FelixConfiguration: settings of Calico's agent.

Owns the kind as a whole and the list of those fields that have an effect here. All
others are decoded and validated, so that a file shared with Calico is checked, and
otherwise ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfq_guard.resources.base import Finding, OmitEmpty, Resource
from nfq_guard.resources.felix_bpf import BpfSettings
from nfq_guard.resources.felix_dataplane import DataplaneSettings
from nfq_guard.resources.felix_host import HostSettings, ProtoPort
from nfq_guard.resources.felix_network import NetworkSettings
from nfq_guard.resources.felix_process import ProcessSettings
from nfq_guard.resources.rules import too_long

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "EFFECTIVE",
    "GLOBAL_NAME",
    "NODE_PREFIX",
    "FelixConfiguration",
    "FelixConfigurationSpec",
    "ProtoPort",
]

GLOBAL_NAME = "default"
NODE_PREFIX = "node."

EFFECTIVE = frozenset(
    {
        "defaultEndpointToHostAction",
        "disableConntrackInvalidCheck",
        "failsafeInboundHostPorts",
        "failsafeOutboundHostPorts",
        "interfaceExclude",
        "interfacePrefix",
        "iptablesFilterDenyAction",
        "logActionRateLimit",
        "logActionRateLimitBurst",
        "logPrefix",
        "nftablesFilterDenyAction",
    }
)
"""The fields of `spec` that change what this program does."""


class FelixConfigurationSpec(
    HostSettings, DataplaneSettings, NetworkSettings, ProcessSettings, BpfSettings, OmitEmpty
):
    """All settings. None, or the default given here, means that the resource does not set it."""


class FelixConfiguration(Resource):
    """Settings for every node (`default`), for one (`node.NAME`), or for those a selector chooses."""

    spec: FelixConfigurationSpec = FelixConfigurationSpec()

    def findings(self) -> Iterator[Finding]:
        """Check that only a configuration that needs a selector has one."""
        selector = self.spec.node_selector
        if selector is None:
            return
        name = self.metadata.name
        if name == GLOBAL_NAME or name.startswith(NODE_PREFIX):
            message = f"the configuration {name} says by its name which nodes it is for"
            yield Finding(("spec", "nodeSelector"), "conflict", message)
        for finding in too_long("nodeSelector", selector):
            yield finding._replace(path=("spec", *finding.path))
