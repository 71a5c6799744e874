"""FelixConfiguration: Calico's BPF dataplane.

Owns these fields. None has an effect here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nfq_guard.resources.base import Strict
from nfq_guard.resources.felix_fields import (
    ConntrackTimeout,
    Duration,
    InterfaceFilter,
    Mark,
    OnOff,
    Regex,
)
from nfq_guard.resources.fields import (
    MAX_UINT16,
    AddressOrCidr,
    Flag,
    Integer,
    InterfaceName,
    RulePort,
    Text,
    at_least,
    between,
    one_of,
)

MAX_MAGLEV = 3000
"""Services, and endpoints of one, that Maglev's tables are ever made for."""


class BpfConntrackTimeouts(Strict):
    """Time-outs of the BPF connection table."""

    creation_grace_period: ConntrackTimeout | None = None
    generic_timeout: ConntrackTimeout | None = None
    icmp_timeout: ConntrackTimeout | None = None
    tcp_established: ConntrackTimeout | None = None
    tcp_fins_seen: ConntrackTimeout | None = None
    tcp_reset_seen: ConntrackTimeout | None = None
    tcp_syn_sent: ConntrackTimeout | None = None
    udp_timeout: ConntrackTimeout | None = None


class BpfSettings(Strict):
    """Settings of Calico's BPF dataplane, without effect here."""

    bpf_enabled: Flag | None = None
    bpf_attach_type: Annotated[Text, one_of("TC", "TCX")] | None = None
    bpf_ctlb_log_filter: Text | None = Field(default=None, alias="bpfCTLBLogFilter")
    bpf_connect_time_load_balancing: Annotated[Text, one_of("TCP", "Enabled", "Disabled")] | None = None
    bpf_connect_time_load_balancing_enabled: Flag | None = None
    bpf_conntrack_log_level: Annotated[Text, one_of("Off", "Debug")] | None = None
    bpf_conntrack_mode: Annotated[Text, one_of("Auto", "Userspace", "BPFProgram")] | None = None
    bpf_conntrack_timeouts: BpfConntrackTimeouts | None = None
    bpf_dsr_optout_cidrs: tuple[AddressOrCidr, ...] | None = Field(default=None, alias="bpfDSROptoutCIDRs")
    bpf_data_iface_pattern: Regex | None = None
    bpf_disable_gro_for_ifaces: Regex | None = Field(default=None, alias="bpfDisableGROForIfaces")
    bpf_disable_unprivileged: Flag | None = None
    bpf_enforce_rpf: Annotated[Text, one_of("Disabled", "Strict", "Loose", any_case=True)] | None = Field(
        default=None, alias="bpfEnforceRPF"
    )
    bpf_exclude_cidrs_from_nat: tuple[AddressOrCidr, ...] | None = Field(
        default=None, alias="bpfExcludeCIDRsFromNAT"
    )
    bpf_export_buffer_size_mb: Integer | None = Field(default=None, alias="bpfExportBufferSizeMB")
    bpf_ext_to_service_connmark: Mark | None = None
    bpf_external_service_mode: Annotated[Text, one_of("Tunnel", "DSR", any_case=True)] | None = None
    bpf_force_track_packets_from_ifaces: tuple[InterfaceFilter, ...] | None = None
    bpf_host_conntrack_bypass: Flag | None = None
    bpf_host_networked_nat_without_ctlb: OnOff | None = Field(
        default=None, alias="bpfHostNetworkedNATWithoutCTLB"
    )
    bpf_ip_frag_timeout: Duration | None = Field(default=None, alias="bpfIPFragTimeout")
    bpf_ip_fragment_reassembly_enabled: Flag | None = Field(
        default=None, alias="bpfIPFragmentReassemblyEnabled"
    )
    bpf_jit_hardening: Annotated[Text, one_of("Auto", "Strict")] | None = Field(
        default=None, alias="bpfJITHardening"
    )
    bpf_kube_proxy_healthz_port: Annotated[Integer, between(0, MAX_UINT16)] | None = None
    bpf_kube_proxy_iptables_cleanup_enabled: Flag | None = None
    bpf_kube_proxy_min_sync_period: Duration | None = None
    bpf_kube_proxy_endpoint_slices_enabled: Flag | None = None
    bpf_l3_iface_pattern: Regex | None = None
    bpf_log_filters: dict[InterfaceName, Text] | None = None
    bpf_log_level: Annotated[Text, one_of("Off", "Info", "Debug", any_case=True)] | None = None
    bpf_maglev_max_endpoints_per_service: Annotated[Integer, between(1, MAX_MAGLEV)] | None = None
    bpf_maglev_max_services: Annotated[Integer, between(1, MAX_MAGLEV)] | None = None
    bpf_map_size_conntrack: Integer | None = None
    bpf_map_size_conntrack_cleanup_queue: Annotated[Integer, at_least(1)] | None = None
    bpf_map_size_conntrack_scaling: (
        Annotated[Text, one_of("Disabled", "DoubleIfFull", any_case=True)] | None
    ) = None
    bpf_map_size_ipsets: Integer | None = Field(default=None, alias="bpfMapSizeIPSets")
    bpf_map_size_if_state: Integer | None = None
    bpf_map_size_nat_affinity: Integer | None = Field(default=None, alias="bpfMapSizeNATAffinity")
    bpf_map_size_nat_backend: Integer | None = Field(default=None, alias="bpfMapSizeNATBackend")
    bpf_map_size_nat_frontend: Integer | None = Field(default=None, alias="bpfMapSizeNATFrontend")
    bpf_map_size_per_cpu_conntrack: Integer | None = None
    bpf_map_size_route: Integer | None = None
    bpf_overlay_host_source_ip: Annotated[Text, one_of("TunnelAddress", "HostAddress")] | None = Field(
        default=None, alias="bpfOverlayHostSourceIP"
    )
    bpf_psnat_ports: RulePort | None = Field(default=None, alias="bpfPSNATPorts")
    bpf_policy_debug_enabled: Flag | None = None
    bpf_profiling: OnOff | None = None
    bpf_redirect_to_peer: Annotated[Text, one_of("Enabled", "Disabled", "L2Only")] | None = None
