from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from events import ALLOW_SSH, DEFAULT, END_OF_TIER, EVENTS, PROFILE, SHOP_WEB, denied, event, logged
from hypothesis import given

from nfq_guard.model.flow import Direction, Stage
from nfq_guard.stream.comments import Comment, read, text_of

if TYPE_CHECKING:
    from nfq_guard.stream.event import Event, Rule

AHEAD_OF_NAT = {Stage.UNTRACKED, Stage.PRE_DNAT}


@given(EVENTS)
def test_what_is_written_is_read_back(one: Event) -> None:
    found = read(text_of(one))

    assert found is not None
    assert (found.verdict, found.reason) == (one.verdict, one.reason)
    assert (found.stage in AHEAD_OF_NAT) is (one.stage in AHEAD_OF_NAT)
    crosses = one.direction == Direction.FORWARD and one.in_interface and one.out_interface
    assert found.crossing == ((one.in_interface, one.out_interface) if crosses else None)
    judged = not one.unparsable and (one.reason or one.verdict not in {"deny", "unjudged"})
    if judged and not one.rule:
        assert found.side == one.side
    told = one.rule if judged and one.rule in {ALLOW_SSH, SHOP_WEB, PROFILE} else None
    if told is not None:
        assert (found.tier, found.kind, found.name) == (told.tier, told.kind, told.name)
        assert (found.side, found.rule) == (told.direction, told.rule)


def test_a_comment_names_what_decided_and_both_interfaces_of_what_is_forwarded() -> None:
    through = denied(direction="forward", stage="forward", out_interface="cali1")

    assert text_of(through) == "deny tier-default: forwarded eth0 > cali1, ingress, end of tier default"
    assert read(text_of(through)) == Comment(
        "deny", "tier-default", "forward", tier="default", side="ingress", crossing=("eth0", "cali1")
    )
    assert text_of(event(reason="forward-default", rule=None, direction="forward", out_interface="a")) == (
        "allow forward-default: forwarded eth0 > a, ingress"
    )
    assert read(text_of(logged())) == Comment(
        "log", "", "normal", "default", "GlobalNetworkPolicy", "log-ssh", "ingress", "0"
    )


@pytest.mark.parametrize(
    "name", ["rules/a, forwarded x > y", "rules/a) ingress rule 7", "a: b", "é, rejected"]
)
def test_no_file_can_be_called_so_that_its_name_is_taken_for_what_decided(name: str) -> None:
    found = read(text_of(event(rule=ALLOW_SSH._replace(file=name, line=3))))

    assert found == Comment(
        "allow", "policy", "normal", "default", "GlobalNetworkPolicy", "allow-ssh", "ingress", "0"
    )


@pytest.mark.parametrize("rule", [DEFAULT, END_OF_TIER, None])
def test_the_end_names_no_rule(rule: Rule | None) -> None:
    found = read(text_of(denied(rule=rule)))

    assert found is not None
    assert (found.kind, found.rule) == ("", "")


@pytest.mark.parametrize("name", ["e\x1bx", "a b", ""])
def test_an_interface_whose_name_cannot_be_read_back_is_not_named(name: str) -> None:
    found = read(text_of(denied(direction="forward", stage="forward", out_interface=name)))

    assert found is not None
    assert found.crossing is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "retransmission", "deny this", "allowed", "deny policy of ours", "deny:x", "pass", "deny"),
        *("deny: look into this", "log: see ticket 7", "deny policy: because I say so", "deny policy\n"),
        *("deny policy: ", "deny policy: ingress, ", "deny policy: ingress, and more"),
        "deny policy: GlobalNetworkPolicy(a) ingress rule \u0663",
    ],
)
def test_what_others_remark_is_no_verdict(text: str) -> None:
    assert read(text) is None
