"""The list in docs/metrics.md is what the collector exposes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pages
from prometheus_client.core import HistogramMetricFamily

from nfq_guard.daemon import counters
from nfq_guard.daemon.metrics import GuardCollector
from nfq_guard.daemon.readings import KernelReadings
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.telemetry import Telemetry
from nfq_guard.engine.ruleset import CounterKey, OutcomeKey, StagedKey
from nfq_guard.packet import UnparsableReason

if TYPE_CHECKING:
    from prometheus_client import Metric

PAGE = pages.ROOT / "docs" / "metrics.md"


def collected() -> list[Metric]:
    """Return the families of a guard in which everything has happened once."""
    reader = counters.Reader((counters.map_block(counters.create_block()),))
    slots = SlotTable(8, reader.policy)
    rule = CounterKey("default", "GlobalNetworkPolicy", "web", "0", "ingress", "allow")
    slots.assign((rule, StagedKey(rule), OutcomeKey("host", "normal", "ingress", "allow", "deny")))
    kernel = KernelReadings({counters.VerdictLabels("failsafe", "allow", "ingress", "normal"): 1})
    telemetry = Telemetry(reader, slots, lambda: kernel, lambda: (1, 1), workers_up={4600: True})
    return list(GuardCollector(telemetry).collect())


def described(family: Metric) -> tuple[str, str, set[str]]:
    """Return a family's name as it is scraped, its type and its labels."""
    labels = {label for sample in family.samples for label in sample.labels}
    if isinstance(family, HistogramMetricFamily):
        labels.discard("le")
    return family.name + ("_total" if family.type == "counter" else ""), family.type, labels


def test_every_metric_is_listed_with_type_and_labels_in_order_of_the_scrape() -> None:
    table = [row for row in pages.rows(pages.read(PAGE)) if row[0].startswith("`nfq_guard_")]
    listed = {pages.plain(row[0]): (row[1], set(pages.plain(row[2]).split())) for row in table}
    exposed = {name: (kind, labels) for name, kind, labels in map(described, collected())}

    assert len(table) == len(listed)
    assert listed == exposed


def test_every_reason_why_a_packet_cannot_be_judged_is_explained() -> None:
    table = pages.rows(pages.section(PAGE, "Why a packet cannot be judged"))

    assert [pages.plain(row[0]) for row in table] == [*UnparsableReason]
