"""What each answer comes to at each gate, and the rule about marks on the way out."""

from __future__ import annotations

import itertools

import pytest

from nfq_guard.kernel.gates import (
    ALLOW,
    ANSWERS,
    DENY,
    FORWARD,
    GATES,
    LOCAL_IN,
    LOCAL_OUT,
    PASS,
    POSTROUTING,
    PREROUTING,
    REJECT,
    UNJUDGED,
    Outcome,
    Verb,
    outcome,
)
from nfq_guard.kernel.marks import REFUSED, Code
from nfq_guard.model.flow import Stage


@pytest.mark.parametrize("key", GATES)
def test_a_deny_and_what_is_no_answer_drop_everywhere(key: tuple[int, Code]) -> None:
    assert outcome(*key, DENY).verb is outcome(*key, 99).verb is Verb.DROP


@pytest.mark.parametrize("key", GATES)
def test_only_the_last_stages_of_a_packets_way_reject(key: tuple[int, Code]) -> None:
    # `reject` is not possible behind routing.
    rejecting = GATES[key].stage in {Stage.NORMAL, Stage.FORWARD} and key[0] != POSTROUTING
    assert outcome(*key, REJECT) == (Outcome(Verb.REPEAT, REFUSED) if rejecting else Outcome(Verb.DROP))


def test_a_mark_changes_on_the_way_out_only_if_the_packet_repeats() -> None:
    for key, answer in itertools.product(GATES, ANSWERS):
        told = outcome(*key, answer)
        if key[0] == LOCAL_OUT and told.verb is Verb.ACCEPT:
            assert told.code is None


def test_what_is_not_judged_goes_on_without_a_code_and_never_repeats() -> None:
    for key in GATES:
        assert outcome(*key, UNJUDGED) == Outcome(Verb.ACCEPT, None if key[0] == LOCAL_OUT else Code.NONE)


def test_a_stage_without_opinion_goes_on_too_but_before_dnat_it_says_that_it_judged() -> None:
    before_dnat = (PREROUTING, Code.NONE)
    assert outcome(*before_dnat, PASS) == Outcome(Verb.REPEAT, Code.ALLOWED)
    for key in GATES.keys() - {before_dnat}:
        assert outcome(*key, PASS) == outcome(*key, UNJUDGED)


def test_what_is_allowed_before_nat_is_written_where_others_cannot_restore_it() -> None:
    # Before DNAT into the connection, by the table. Untracked packets have none.
    assert outcome(PREROUTING, Code.NONE, ALLOW) == Outcome(Verb.REPEAT, Code.SPARED)
    assert outcome(PREROUTING, Code.EARLY, ALLOW) == Outcome(Verb.ACCEPT, Code.SPARED)


def test_an_allow_at_the_last_stage_repeats_to_be_stamped() -> None:
    last = ((LOCAL_IN, Code.NONE), (LOCAL_OUT, Code.NONE), (POSTROUTING, Code.NONE))
    for key in (*last, (FORWARD, Code.NONE), (FORWARD, Code.SPARED)):
        assert outcome(*key, ALLOW) == Outcome(Verb.REPEAT, Code.ALLOWED)


def test_a_packet_that_others_exempted_is_not_spared_by_an_allow() -> None:
    assert outcome(LOCAL_OUT, Code.ALLOWED, ALLOW) == Outcome(Verb.ACCEPT)
