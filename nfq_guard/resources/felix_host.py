"""FelixConfiguration: what is about protecting hosts and workloads.

Owns these fields; which have an effect here is `felix`' to say.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from nfq_guard.resources.base import OmitEmpty, Strict
from nfq_guard.resources.felix_fields import (
    Dscp,
    Duration,
    InterfaceList,
    InterfacePrefixes,
    Ipv4OrCidr,
    LogPrefix,
    NodePortRanges,
    OnOff,
    RateLimit,
    Region,
)
from nfq_guard.resources.fields import (
    MAX_UINT16,
    AddressOrCidr,
    Flag,
    Integer,
    SelectorText,
    Text,
    between,
    one_of,
    protocol_hint,
    refuse,
    show,
)
from nfq_guard.resources.values import Protocol, parse_protocol

_FAILSAFE_PROTOCOLS = ("TCP", "UDP", "SCTP")


def _failsafe_protocol(value: object) -> Protocol:
    """Decode a protocol that failsafes may have: a name, exact case, unlike the text form's."""
    if not isinstance(value, str) or value not in _FAILSAFE_PROTOCOLS:
        hint = protocol_hint(value, _FAILSAFE_PROTOCOLS) if isinstance(value, str) else ""
        refuse("bad-protocol", f"found {show(value)}, expected TCP, UDP or SCTP{hint}")
    return parse_protocol(value)


class ProtoPort(OmitEmpty):
    """A failsafe port. Without `net` it stands for every address."""

    protocol: Annotated[Protocol, BeforeValidator(_failsafe_protocol)]
    port: Annotated[Integer, between(0, MAX_UINT16)]
    net: AddressOrCidr | None = None


class HostSettings(Strict):
    """Settings of host protection. Those that have an effect here are in EFFECTIVE."""

    failsafe_inbound_host_ports: tuple[ProtoPort, ...] | None = None
    failsafe_outbound_host_ports: tuple[ProtoPort, ...] | None = None
    interface_prefix: InterfacePrefixes = "cali"
    interface_exclude: InterfaceList = "kube-ipvs0"
    interface_refresh_interval: Duration | None = None
    default_endpoint_to_host_action: Annotated[Text, one_of("Drop", "Accept", "Return", any_case=True)] = (
        "Drop"
    )
    disable_conntrack_invalid_check: Flag = False
    log_prefix: LogPrefix = "calico-packet"
    log_action_rate_limit: RateLimit | None = None
    log_action_rate_limit_burst: Annotated[Integer, between(0, 9999)] | None = None
    node_selector: SelectorText | None = None
    ipv6_support: Flag | None = None
    ip_forwarding: OnOff | None = None
    endpoint_reporting_enabled: Flag | None = None
    endpoint_reporting_delay: Duration | None = None
    endpoint_status_path_prefix: Text | None = None
    external_nodes_list: tuple[Ipv4OrCidr, ...] | None = None
    policy_sync_path_prefix: Text | None = None
    floating_ips: OnOff | None = Field(default=None, alias="floatingIPs")
    service_loop_prevention: Annotated[Text, one_of("Drop", "Reject", "Disabled", any_case=True)] | None = (
        None
    )
    workload_source_spoofing: Annotated[Text, one_of("Disabled", "Any", any_case=True)] | None = None
    windows_manage_firewall_rules: OnOff | None = None
    aws_src_dst_check: Annotated[Text, one_of("DoNothing", "Enable", "Disable")] | None = None
    istio_ambient_mode: OnOff | None = None
    istio_dscp_mark: Dscp | None = Field(default=None, alias="istioDSCPMark")
    kube_node_port_ranges: NodePortRanges | None = None
    sidecar_acceleration_enabled: Flag | None = None
    openstack_region: Region | None = None
    metadata_addr: Text | None = None
    metadata_port: Integer | None = None
    allow_vxlan_packets_from_workloads: Flag | None = Field(
        default=None, alias="allowVXLANPacketsFromWorkloads"
    )
    allow_ipip_packets_from_workloads: Flag | None = Field(
        default=None, alias="allowIPIPPacketsFromWorkloads"
    )
