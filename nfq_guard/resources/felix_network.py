"""FelixConfiguration: routes, NAT and tunnels.

Owns these fields with the checks between them. None has an effect here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nfq_guard.resources.base import Finding, Strict
from nfq_guard.resources.felix_fields import (
    AnyDuration,
    AnyInterface,
    Duration,
    Ipv4,
    Ipv6,
    OnOff,
    Regex,
    RoutePriority,
)
from nfq_guard.resources.fields import MAX_UINT32, Flag, Integer, PortNumber, RulePort, Text, between, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_ROUTE_TABLES = 0xFFFF
"""Tables that all ranges together may take."""

MAX_OLD_ROUTE_TABLE = 250


class RouteTableRange(Strict):
    """The older form: one range of low table numbers."""

    min: Integer
    max: Integer

    def findings(self) -> Iterator[Finding]:
        """Check order and limits."""
        if not 1 <= self.min <= self.max <= MAX_OLD_ROUTE_TABLE:
            message = f"found {self.min}-{self.max}, expected a range within 1-{MAX_OLD_ROUTE_TABLE}"
            yield Finding((), "out-of-range", message)


class RouteTableIdRange(Strict):
    """A range of table numbers."""

    min: Integer
    max: Integer

    def findings(self) -> Iterator[Finding]:
        """Check order and limits."""
        if not 1 <= self.min <= self.max <= MAX_UINT32:
            message = f"found {self.min}-{self.max}, expected a range within 1-{MAX_UINT32}"
            yield Finding((), "out-of-range", message)


class NetworkSettings(Strict):
    """Settings of routes, NAT and tunnels, without effect here."""

    device_route_protocol: Integer | None = None
    device_route_source_address: Ipv4 | None = None
    device_route_source_address_ipv6: Ipv6 | None = Field(default=None, alias="deviceRouteSourceAddressIPv6")
    ipip_enabled: Flag | None = None
    ipip_mtu: Integer | None = Field(default=None, alias="ipipMTU")
    ipv4_elevated_route_priority: RoutePriority | None = None
    ipv4_normal_route_priority: RoutePriority | None = None
    ipv6_elevated_route_priority: RoutePriority | None = None
    ipv6_normal_route_priority: RoutePriority | None = None
    live_migration_route_convergence_time: Duration | None = None
    local_subnet_l2_reachability: Annotated[Text, one_of("Disabled", "PodsAndLoadBalancers")] | None = None
    local_subnet_l2_reachability_refresh_interval: AnyDuration | None = None
    mtu_iface_pattern: Regex | None = None
    nat_outgoing_address: Ipv4 | None = None
    nat_outgoing_exclusions: Annotated[Text, one_of("IPPoolsOnly", "IPPoolsAndHostIPs")] | None = None
    nat_port_range: RulePort | None = None
    program_cluster_routes: OnOff | None = None
    remove_external_routes: Flag | None = None
    require_mtu_file: Flag | None = Field(default=None, alias="requireMTUFile")
    route_refresh_interval: Duration | None = None
    route_source: Annotated[Text, one_of("WorkloadIPs", "CalicoIPAM", any_case=True)] | None = None
    route_sync_disabled: Flag | None = None
    route_table_range: RouteTableRange | None = None
    route_table_ranges: tuple[RouteTableIdRange, ...] | None = None
    vxlan_enabled: Flag | None = None
    vxlan_mtu: Integer | None = Field(default=None, alias="vxlanMTU")
    vxlan_mtu_v6: Integer | None = Field(default=None, alias="vxlanMTUV6")
    vxlan_port: Integer | None = None
    vxlan_vni: Integer | None = Field(default=None, alias="vxlanVNI")
    wireguard_enabled: Flag | None = None
    wireguard_enabled_v6: Flag | None = None
    wireguard_host_encryption_enabled: Flag | None = None
    wireguard_interface_name: AnyInterface | None = None
    wireguard_interface_name_v6: AnyInterface | None = None
    wireguard_keep_alive: Duration | None = None
    wireguard_listening_port: PortNumber | None = None
    wireguard_listening_port_v6: PortNumber | None = None
    wireguard_mtu: Integer | None = Field(default=None, alias="wireguardMTU")
    wireguard_mtu_v6: Integer | None = Field(default=None, alias="wireguardMTUV6")
    wireguard_routing_rule_priority: Annotated[Integer, between(1, 32765)] | None = None
    wireguard_threading_enabled: Flag | None = None

    def findings(self) -> Iterator[Finding]:
        """Check the two forms of route tables against each other, and how many there are."""
        if self.route_table_range is not None and self.route_table_ranges is not None:
            yield Finding(
                ("routeTableRange",), "conflict", "routeTableRange and routeTableRanges cannot both be set"
            )
        tables = sum(span.max - span.min + 1 for span in self.route_table_ranges or ())
        if tables > MAX_ROUTE_TABLES:
            message = f"the ranges have {tables} tables, at most {MAX_ROUTE_TABLES} are allowed"
            yield Finding(("routeTableRanges",), "out-of-range", message)
