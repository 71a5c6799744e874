from __future__ import annotations

import pickle

import pytest

from nfq_guard.engine.chain import ANYTHING, Chain, FlatRule, Step
from nfq_guard.engine.ruleset import Failsafe, GuardedEndpoint, HostAction, Options, Pending, Ruleset
from nfq_guard.kernel.plan import (
    FailsafePorts,
    Guarded,
    KernelPlan,
    KernelSettings,
    PortSpan,
    Section,
    Watched,
    plan_for,
    valid_interface,
)
from nfq_guard.model.addresses import parse_net
from nfq_guard.model.flow import SCTP, TCP, UDP, Side, Stage
from nfq_guard.model.problem import ConfigError

ENDPOINT = GuardedEndpoint("host", {})


def test_governed_interfaces_are_listed_in_order() -> None:
    plan = plan_for(Ruleset("node", {"eth1": ENDPOINT, "eth0": ENDPOINT}), 3)
    assert plan.interfaces == ("eth0", "eth1")
    assert plan.generation == 3
    assert not plan.wildcard


def test_equal_rulesets_give_equal_plans() -> None:
    one = plan_for(Ruleset("node", {"b": ENDPOINT, "a": ENDPOINT}, workload_prefixes=("tap", "cali")), 1)
    other = plan_for(Ruleset("node", {"a": ENDPOINT, "b": ENDPOINT}, workload_prefixes=("cali", "tap")), 1)
    assert one == other
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes


def test_a_prefix_covered_by_a_shorter_one_is_left_out() -> None:
    plan = plan_for(Ruleset("node", workload_prefixes=("calico", "cali", "tap", "cali")), 1)
    assert plan.workload_prefixes == ("cali", "tap")


def test_options_are_carried_over() -> None:
    plan = plan_for(Ruleset("node", options=Options(allow_neighbor_discovery=False, drop_invalid=False)), 1)
    assert not plan.allow_neighbor_discovery
    assert not plan.drop_invalid


@pytest.mark.parametrize(
    "name",
    ["", "sixteen-letters-", 'eth0" accept', "eth*", "e\n", "a b", "a+b", "übung", "$x", "{", "eth0;", "a\\"],
)
def test_names_that_could_leave_nfts_quotes_are_refused(name: str) -> None:
    assert not valid_interface(name)
    with pytest.raises(ConfigError) as caught:
        plan_for(Ruleset("node", {name: ENDPOINT, "eth0": ENDPOINT}, workload_prefixes=(name,)), 1)
    assert [problem.code for problem in caught.value.problems] == ["interface-name", "interface-name"]
    assert all(repr(name) in problem.message for problem in caught.value.problems)


@pytest.mark.parametrize("name", ["eth0", "fifteen-letters", "br-1a2b3c", "eth0.100", "wg_0", "lo"])
def test_ordinary_names_are_accepted(name: str) -> None:
    assert plan_for(Ruleset("node", {name: ENDPOINT}), 1).interfaces == (name,)


def test_failsafes_are_split_by_family_and_direction() -> None:
    v4, v6 = parse_net("10.0.0.0/8"), parse_net("fd00::/16")
    plan = plan_for(
        Ruleset(
            "node",
            failsafe_inbound=(Failsafe(UDP, 68), Failsafe(TCP, 22), Failsafe(TCP, 80, v4)),
            failsafe_outbound=(Failsafe(SCTP, 9, v6),),
        ),
        1,
    )
    assert plan.inbound == FailsafePorts(((TCP, 22), (UDP, 68)), (PortSpan(TCP, 80, v4.first, v4.last),), ())
    assert plan.outbound == FailsafePorts((), (), (PortSpan(SCTP, 9, v6.first, v6.last),))


def test_overlapping_and_adjacent_nets_of_a_port_become_one_span() -> None:
    nets = ("10.1.0.0/16", "10.0.0.0/8", "11.0.0.0/8", "10.0.0.1/32", "13.0.0.0/8")
    ports = FailsafePorts.of(Failsafe(TCP, 22, parse_net(net)) for net in nets)
    first, last = parse_net("10.0.0.0/7"), parse_net("13.0.0.0/8")
    assert ports.v4 == (
        PortSpan(TCP, 22, first.first, first.last),
        PortSpan(TCP, 22, last.first, last.last),
    )


def test_a_port_that_is_open_to_all_needs_no_nets() -> None:
    ports = FailsafePorts.of((Failsafe(TCP, 22, parse_net("10.0.0.0/8")), Failsafe(TCP, 22)))
    assert ports == FailsafePorts(((TCP, 22),))


@pytest.mark.parametrize(
    ("interfaces", "wildcard", "prefixes", "guarded"),
    [
        ((), False, (), False),
        (("lo",), False, (), True),
        (("eth0",), True, ("cali",), True),
        (("eth0",), True, ("l",), False),
        (("lo",), True, ("l",), True),
        (("eth0",), False, ("cali",), False),
    ],
)
def test_loopback_is_guarded_by_its_own_or_the_wildcard_endpoint(
    interfaces: tuple[str, ...], *, wildcard: bool, prefixes: tuple[str, ...], guarded: bool
) -> None:
    plan = KernelPlan(1, interfaces, wildcard, prefixes)
    assert plan.loopback_guarded is guarded


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (65535, 2), (65536, 1)])
def test_queues_that_do_not_exist_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="queues must lie in 0-65535"):
        KernelSettings(queue=first, queue_count=count)


def test_masks_are_checked() -> None:
    with pytest.raises(ValueError, match="packet mark mask"):
        KernelSettings(packet_mark_mask=0)
    with pytest.raises(ValueError, match="connection mark mask"):
        KernelSettings(connection_mark_mask=0x5)


def test_the_last_queue_follows_from_first_and_count() -> None:
    assert KernelSettings(queue=4, queue_count=4).last_queue == 7


CHAIN = Chain([FlatRule(Step.DECIDE, ANYTHING)])
FORWARD_IN, PRE_DNAT = (Stage.FORWARD, Side.INGRESS), (Stage.PRE_DNAT, Side.INGRESS)
UNTRACKED_OUT, NORMAL = (Stage.UNTRACKED, Side.EGRESS), (Stage.NORMAL, Side.INGRESS)
TRIED = GuardedEndpoint(
    "tried", {NORMAL: CHAIN}, dict.fromkeys((NORMAL, FORWARD_IN, PRE_DNAT, UNTRACKED_OUT), Pending(CHAIN, {}))
)
BOTH = GuardedEndpoint("both", {NORMAL: CHAIN, FORWARD_IN: CHAIN}, {FORWARD_IN: Pending(CHAIN, {})})


def test_where_nothing_but_staged_policy_looks_is_watched() -> None:
    plan = plan_for(Ruleset("node", {"eth0": TRIED, "eth1": BOTH}, wildcard=TRIED), 1)

    assert plan.watched == Watched(
        untracked_out=("eth0",),
        pre_dnat=Guarded(("eth0",), others=True),
        forward_in=Guarded(("eth0",), others=True),
    )
    assert (plan.forward_in, plan.pre_dnat, plan.untracked_out) == (Guarded(("eth1",)), Guarded(), ())


def test_a_section_stands_for_what_is_only_watched() -> None:
    watched = {
        Section.FORWARD: Watched(forward_out=Guarded(("eth0",))),
        Section.PRE_DNAT: Watched(pre_dnat=Guarded(others=True)),
        Section.UNTRACKED_IN: Watched(untracked_in=("eth0",)),
        Section.UNTRACKED_OUT: Watched(untracked_out=("eth0",)),
    }

    assert KernelPlan(1).sections == {Section.LOCAL}
    for section, where in watched.items():
        assert KernelPlan(1, watched=where).sections - {Section.FORWARD} == {Section.LOCAL, section} - {
            Section.FORWARD
        }
    needs_forward = {
        section
        for section, where in watched.items()
        if Section.FORWARD in KernelPlan(1, watched=where).sections
    }
    assert needs_forward == {Section.FORWARD, Section.PRE_DNAT, Section.UNTRACKED_IN}


def test_a_flow_may_mean_something_else_elsewhere_unless_one_endpoint_is_alone() -> None:
    other = GuardedEndpoint("other", {})

    assert not plan_for(Ruleset("node", {"eth0": ENDPOINT, "eth1": ENDPOINT}), 1).several
    assert plan_for(Ruleset("node", {"eth0": ENDPOINT, "eth1": other}), 1).several
    assert plan_for(Ruleset("node", {"eth0": ENDPOINT}, wildcard=other), 1).several
    assert plan_for(Ruleset("node", {"eth0": ENDPOINT}, workloads={"cali1": other}), 1).several
    assert plan_for(Ruleset("node", {"eth0": ENDPOINT}, endpoint_to_host=HostAction.ACCEPT), 1).several
