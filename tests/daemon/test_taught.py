from __future__ import annotations

from nfq_guard.daemon.counters import VerdictLabels
from nfq_guard.daemon.slots import SlotTable
from nfq_guard.daemon.taught import TaughtCounts
from nfq_guard.engine.ruleset import CounterKey, StagedKey

ALLOW = VerdictLabels("policy", "allow", "ingress", "normal")
DENY = VerdictLabels("tier-default", "deny", "ingress", "normal")
WEB = CounterKey("default", "GlobalNetworkPolicy", "web", "0", "ingress", "allow")
REST = CounterKey("default", "Tier", "default", "default", "ingress", "deny")


def test_a_packet_counts_for_the_rule_that_had_the_slot_when_it_was_read() -> None:
    taught = TaughtCounts()
    taught.begin({})

    taught.update({0: 5, 1: 2}, [(WEB, 0)])
    taught.update({0: 9, 1: 2}, [(REST, 0)])
    taught.update({}, [])

    assert taught.by_labels == {ALLOW: 5, DENY: 4}


def test_before_it_begins_nothing_counts_and_then_nothing_of_what_was_counted_before() -> None:
    taught = TaughtCounts()
    taught.update({0: 100}, [(WEB, 0)])

    taught.begin({0: 100, 1: 30})
    taught.update({0: 103, 1: 30}, [(WEB, 0), (REST, 1)])

    assert taught.by_labels == {ALLOW: 3}
    assert (taught.of(0), taught.of(1), taught.of(2)) == (3, 0, 0)


def test_what_is_only_tried_out_decides_about_no_packet() -> None:
    taught = TaughtCounts()
    taught.begin({})

    taught.update({0: 5}, [(StagedKey(WEB), 0)])

    assert not taught.by_labels


def test_a_slot_that_changes_hands_hands_over_no_count_of_the_kernels() -> None:
    kernel: dict[int, int] = {}
    taught = TaughtCounts()
    taught.begin({})
    slots = SlotTable(1, taught.of, lambda: taught.update(kernel, slots.items()))
    slots.assign([WEB])
    kernel[0] = 7
    slots.assign([])

    slots.assign([REST])
    taught.update(kernel, slots.items())

    assert slots.count(REST) == 0
    assert taught.by_labels == {ALLOW: 7}
    kernel[0] = 9
    taught.update(kernel, slots.items())
    assert slots.count(REST) == 2
    assert taught.by_labels == {ALLOW: 7, DENY: 2}
