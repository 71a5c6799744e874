"""FelixConfiguration: how Calico programs the kernel's packet filters.

Owns these fields; which have an effect here is `felix`' to say.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nfq_guard.resources.base import Strict
from nfq_guard.resources.felix_fields import (
    AcceptReturn,
    AnyDuration,
    DropReject,
    Duration,
    FeatureGates,
    FeatureOverrides,
    InterfaceFilter,
    Mark,
)
from nfq_guard.resources.fields import Flag, Integer, Text, one_of


class DataplaneSettings(Strict):
    """Settings of iptables, nftables and XDP, without effect here but for those in EFFECTIVE."""

    nftables_filter_allow_action: AcceptReturn | None = None
    nftables_filter_deny_action: DropReject = "Drop"
    nftables_mangle_allow_action: AcceptReturn | None = None
    nftables_mark_mask: Mark | None = None
    nftables_mode: Annotated[Text, one_of("Auto", "Disabled", "Enabled")] | None = None
    nftables_refresh_interval: AnyDuration | None = None
    iptables_backend: Annotated[Text, one_of("Legacy", "NFT", "Auto")] | None = None
    iptables_filter_allow_action: AcceptReturn | None = None
    iptables_filter_deny_action: DropReject | None = None
    iptables_mangle_allow_action: AcceptReturn | None = None
    iptables_mark_mask: Mark | None = None
    iptables_lock_file_path: Text | None = None
    iptables_lock_probe_interval: Duration | None = None
    iptables_lock_timeout: Duration | None = None
    iptables_nat_outgoing_interface_filter: InterfaceFilter | None = Field(
        default=None, alias="iptablesNATOutgoingInterfaceFilter"
    )
    iptables_post_write_check_interval: Duration | None = None
    iptables_refresh_interval: Duration | None = None
    chain_insert_mode: Annotated[Text, one_of("Insert", "Append", any_case=True)] | None = None
    ipsets_refresh_interval: Duration | None = None
    max_ipset_size: Integer | None = None
    dataplane_driver: Text | None = None
    use_internal_dataplane_driver: Flag | None = None
    dataplane_watchdog_timeout: AnyDuration | None = None
    feature_detect_override: FeatureOverrides | None = None
    feature_gates: FeatureGates | None = None
    netlink_timeout: Duration | None = None
    xdp_enabled: Flag | None = None
    xdp_refresh_interval: Duration | None = None
    generic_xdp_enabled: Flag | None = Field(default=None, alias="genericXDPEnabled")
    cgroup_v2_path: Text | None = None
