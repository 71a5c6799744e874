from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from events import EVENTS, FRAGMENT, PING, SHOP_WEB, SSH, WEB6, denied, event
from filter_oracle import NODES, means
from hypothesis import given

from nfq_guard.stream.counted import Counted, Labels
from nfq_guard.stream.filter import (
    Filter,
    conjoin,
    equals,
    may_mean,
    parse_filter,
    wanted_verdicts,
    wishes,
)
from nfq_guard.stream.record import ALLOW, DENY, LOG, PASS, UNJUDGED

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event
    from nfq_guard.stream.nodes import Node

MATCHES = {
    "everything, without a condition": ("", event(), True),
    "a verdict": ("deny", denied(), True),
    "not another": ("deny", event(), False),
    "a network of the source": ("src in 198.51.100.0/24", event(packet=SSH), True),
    "an address outside of it": ("src in 198.51.101.0/24", event(packet=SSH), False),
    "no network of the other family": ("src in 0.0.0.0/0", event(packet=WEB6), False),
    "either address": ("host 192.0.2.10", event(packet=SSH), True),
    "not one of either is neither": ("host != 192.0.2.10", event(packet=SSH), False),
    "a port among some": ("dport in {80, 1-25}", event(packet=SSH), True),
    "an order": ("sport >= 40000 and sport < 40001", event(packet=SSH), True),
    "an absent port is no port": ("dport == 22", event(packet=FRAGMENT), False),
    "nor any other": ("dport != 22", event(packet=FRAGMENT), False),
    "not turns that round": ("not dport == 22", event(packet=FRAGMENT), True),
    "a policy by its name": ("policy allow-web", event(rule=SHOP_WEB), True),
    "a policy with its namespace": ("policy shop/allow-web", event(rule=SHOP_WEB), True),
    "a policy of another namespace": ("policy other/allow-web", event(rule=SHOP_WEB), False),
    "a pattern": ("policy ~ allow-*", event(rule=SHOP_WEB), True),
    "not a pattern": ("policy !~ allow-*", event(rule=SHOP_WEB), False),
    "a pattern of nobody's policy": ("policy !~ allow-*", event(rule=None), False),
    "a type": ("icmp type 8", event(packet=PING), True),
    "either interface": ("iface cali1", event(direction="forward", out_interface="cali1"), True),
    "a protocol by number": ("proto 6", event(), True),
    "a kind in short": ("kind gnp", event(), True),
    "a rule": ("rule 0", event(), True),
}


@pytest.mark.parametrize(("text", "one", "expected"), MATCHES.values(), ids=MATCHES.keys())
def test_a_filter_means(text: str, one: Event, *, expected: bool) -> None:
    assert parse_filter(text).matches(one) is expected


@given(NODES, EVENTS)
def test_a_filter_means_what_the_documentation_says(node: Node, one: Event) -> None:
    assert Filter.of(node).matches(one) is means(node, one)


@given(NODES, EVENTS)
def test_what_is_meant_has_a_verdict_that_is_wanted(node: Node, one: Event) -> None:
    denies = {"invalid", "tier-default", "no-match"}
    if one.verdict != DENY and (one.rejected or one.reason in denies):
        return  # there is no such event
    if one.verdict == LOG and (one.reason or one.unparsable):
        return  # nor is there one of these
    assert not means(node, one) or one.verdict in wanted_verdicts(node)


ALL = {ALLOW, DENY, PASS, UNJUDGED, LOG}
WANTED = {
    "everything": ("", ALL),
    "denials": ("deny", {DENY}),
    "denials of something": ("deny and tcp and dport 443", {DENY}),
    "denials or something": ("deny or tcp", ALL),
    "one of two": ("deny dport 1 or allow", {DENY, ALLOW}),
    "all but one": ("verdict != allow", {DENY, PASS, UNJUDGED, LOG}),
    "not a verdict": ("not allow", {DENY, PASS, UNJUDGED, LOG}),
    "not a group": ("not (allow or pass or unjudged or log)", {DENY}),
    "not something": ("not tcp", ALL),
    "not what is not": ("not (not deny or tcp)", {DENY}),
    "a set": ("verdict in {deny, pass}", {DENY, PASS}),
    "a pattern": ("verdict ~ *n*", {DENY, UNJUDGED}),
    "not a pattern": ("verdict !~ *[au]*", {DENY, LOG}),
    "reasons that only denials have": ("reason in {tier-default, no-match}", {DENY}),
    "reasons that others have too": ("reason in {tier-default, policy}", ALL - {LOG}),
    "what is rejected": ("rejected", {DENY}),
    "what is not": ("rejected == false", ALL),
    "what has no reason": ("not reason ~ *", ALL),
    "Log rules": ("log", {LOG}),
    "Log rules of a policy": ("logged and policy watch", {LOG}),
    "what could not be judged": ("tiny-fragment", ALL - {LOG}),
    "nothing": ("deny and allow", set()),
}


@pytest.mark.parametrize(("text", "verdicts"), WANTED.values(), ids=WANTED.keys())
def test_only_these_verdicts_need_to_be_told(text: str, verdicts: set[str]) -> None:
    assert wanted_verdicts(parse_filter(text).node) == verdicts


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", (ALLOW, DENY, LOG)),
        ("deny", (DENY,)),
        ("log", (LOG,)),
        ("pass", (ALLOW,)),
        ("unjudged or log", (ALLOW, LOG)),
        ("reason == policy", (ALLOW, DENY)),
        ("deny and allow", ()),
    ],
)
def test_no_more_is_asked_for_than_may_be_meant(text: str, asked: tuple[str, ...]) -> None:
    assert wishes(parse_filter(text).node) == asked


MAY_MEAN = {
    "everything": ("", "policy", True),
    "a port": ("dport 22", "policy", True),
    "a port of a failsafe": ("dport 22", "failsafe", True),
    "no port of neighbor discovery": ("dport 22", "neighbor-discovery", False),
    "not a port": ("not dport 22", "policy", True),
    "another verdict": ("deny and dport 22", "policy", False),
    "another direction": ("out and dport 22", "policy", False),
    "this one": ("in and dport 22", "policy", True),
    "another reason": ("reason == policy and tcp", "failsafe", False),
    "a rule's policy": ("policy x", "policy", True),
    "no policy of a failsafe": ("policy x", "failsafe", False),
    "not a policy of a failsafe": ("not policy x", "failsafe", True),
    "one of two": ("deny or tcp", "policy", True),
    "neither": ("deny or out", "policy", False),
    "not what is sure": ("not (allow or tcp)", "policy", False),
    "what could not be judged": ("unparsable == tiny-fragment", "policy", False),
}


@pytest.mark.parametrize(("text", "reason", "expected"), MAY_MEAN.values(), ids=MAY_MEAN.keys())
def test_what_is_only_counted_may_be_meant(text: str, reason: str, *, expected: bool) -> None:
    counted = Counted(Labels(reason, ALLOW, "ingress", "normal"), 1).event(0)

    assert may_mean(parse_filter(text).node, counted) is expected


@given(NODES, EVENTS)
def test_of_what_is_meant_its_count_may_be_meant(node: Node, one: Event) -> None:
    if one.unparsable or one.rule is None or one.reason not in {"policy", "tier-default", "no-match"}:
        return  # the kernel was taught no such verdict
    counted = Counted(Labels(one.reason, one.verdict, one.side, one.stage), 1).event(0)
    if counted.direction == one.direction:
        assert not means(node, one) or may_mean(node, counted)


def test_filters_are_joined_with_names_from_elsewhere() -> None:
    joined = conjoin([parse_filter("tcp or udp").node, equals("policy", "a b"), equals("iface", "eth*")])

    assert joined.canonical == '(proto == tcp or proto == udp) and policy == "a b" and iface ~ eth*'
    assert conjoin([parse_filter("").node]).canonical == ""
    assert parse_filter("udp or tcp") != parse_filter("tcp or udp")
    assert parse_filter("tcp  udp") == parse_filter("tcp and udp")
