"""FelixConfiguration: Felix as a process.

Owns these fields. None has an effect here: this program's own settings are elsewhere.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nfq_guard.resources.base import Strict
from nfq_guard.resources.felix_fields import AnyDuration, Duration, MetricsHost, OnOff, Regex, Severity
from nfq_guard.resources.fields import Flag, Integer, Text, at_least, between, matching, one_of


class HealthTimeoutOverride(Strict):
    """How long one part of Felix may take to report."""

    name: Annotated[
        Text, matching(r"[a-zA-Z0-9_ -]+", "the name of a part of Felix: letters, digits, blanks, _ or -")
    ]
    timeout: AnyDuration


class ProcessSettings(Strict):
    """Settings of Felix itself: logs, metrics, health, debugging. Without effect here; this program has its own."""

    log_debug_filename_regex: Regex | None = None
    log_file_path: Text | None = None
    log_severity_file: Severity | None = None
    log_severity_screen: Severity | None = None
    log_severity_sys: Severity | None = None
    flow_logs_collector_debug_trace: Flag | None = None
    flow_logs_flush_interval: Duration | None = None
    flow_logs_goldmane_server: Text | None = None
    flow_logs_local_reporter: OnOff | None = None
    flow_logs_policy_evaluation_mode: Annotated[Text, one_of("None", "Continuous")] | None = None
    health_enabled: Flag | None = None
    health_host: Text | None = None
    health_port: Integer | None = None
    health_timeout_overrides: tuple[HealthTimeoutOverride, ...] | None = None
    prometheus_metrics_enabled: Flag | None = None
    prometheus_metrics_host: MetricsHost | None = None
    prometheus_metrics_port: Integer | None = None
    prometheus_go_metrics_enabled: Flag | None = None
    prometheus_process_metrics_enabled: Flag | None = None
    prometheus_wireguard_metrics_enabled: Flag | None = Field(
        default=None, alias="prometheusWireGuardMetricsEnabled"
    )
    prometheus_metrics_ca_file: Text | None = Field(default=None, alias="prometheusMetricsCAFile")
    prometheus_metrics_cert_file: Text | None = None
    prometheus_metrics_key_file: Text | None = None
    prometheus_metrics_client_auth: Text | None = None
    reporting_interval: Duration | None = None
    reporting_ttl: Duration | None = Field(default=None, alias="reportingTTL")
    usage_reporting_enabled: Flag | None = None
    usage_reporting_initial_delay: Duration | None = None
    usage_reporting_interval: Duration | None = None
    debug_disable_log_dropping: Flag | None = None
    debug_host: Text | None = None
    debug_memory_profile_path: Text | None = None
    debug_port: Annotated[Integer, between(0, 65535)] | None = None
    debug_simulate_calc_graph_hang_after: Duration | None = None
    debug_simulate_dataplane_apply_delay: Duration | None = None
    debug_simulate_dataplane_hang_after: Duration | None = None
    go_gc_threshold: Annotated[Integer, at_least(-1)] | None = Field(default=None, alias="goGCThreshold")
    go_max_procs: Annotated[Integer, at_least(-1)] | None = None
    go_memory_limit_mb: Annotated[Integer, at_least(-1)] | None = Field(default=None, alias="goMemoryLimitMB")
