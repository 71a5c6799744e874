"""Who governs an interface, and a Ruleset as a value."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from nfq_guard.engine.ruleset import CounterKey, EndpointState, Failsafe, GuardedEndpoint, Options, Ruleset
from nfq_guard.model.addresses import parse_net

OWN, EVERY = GuardedEndpoint("own", {}), GuardedEndpoint("every", {})
BOTH = Ruleset("host-a", governed={"eth0": OWN, "cali9": OWN}, wildcard=EVERY)

GOVERNED: dict[str, tuple[Ruleset, str, GuardedEndpoint | None]] = {
    "an interface with an endpoint of its own": (BOTH, "eth0", OWN),
    "any other interface has the wildcard": (BOTH, "eth1", EVERY),
    "an interface that nobody has seen yet has the wildcard too": (BOTH, "brand-new0", EVERY),
    "loopback is an interface like any other": (BOTH, "lo", EVERY),
    "a workload's interface has no host endpoint": (BOTH, "cali1", None),
    "an interface that is called like the prefix is a workload's": (BOTH, "cali", None),
    "a prefix is looked for at the beginning only": (BOTH, "mycali1", EVERY),
    "an endpoint of its own wins over the prefix": (BOTH, "cali9", OWN),
    "the second of two prefixes": (replace(BOTH, workload_prefixes=("cali", "tap")), "tap3", None),
    "no prefix, no workload": (replace(BOTH, workload_prefixes=()), "cali1", EVERY),
    "without wildcard, others are not governed": (replace(BOTH, wildcard=None), "eth1", None),
    "without wildcard, its own endpoint still governs": (replace(BOTH, wildcard=None), "eth0", OWN),
    "names are compared whole": (replace(BOTH, wildcard=None), "eth00", None),
    "without any endpoint, nothing is governed": (Ruleset("host-a"), "eth0", None),
}


@pytest.mark.parametrize("case", GOVERNED)
def test_the_endpoint_for(case: str) -> None:
    ruleset, interface, expected = GOVERNED[case]

    assert ruleset.endpoint_for(interface) is expected


def test_a_ruleset_cannot_be_changed_after_it_was_made() -> None:
    with pytest.raises(FrozenInstanceError):
        BOTH.generation = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        BOTH.options.drop_invalid = False  # type: ignore[misc]


def test_installing_sets_the_generation_and_nothing_else() -> None:
    installed = replace(BOTH, generation=3)

    assert (BOTH.generation, installed.generation) == (0, 3)
    assert replace(installed, generation=0) == BOTH


def test_a_ruleset_travels_whole() -> None:
    ruleset = replace(
        BOTH,
        failsafe_inbound=(Failsafe(6, 22), Failsafe(6, 443, parse_net("fd00::/8"))),
        options=Options(allow_neighbor_discovery=False),
        counter_keys=(CounterKey("default", "GlobalNetworkPolicy", "p", "0", "ingress", "allow"),),
        endpoint_states=(EndpointState("HostEndpoint", "own", "", "up", ("eth0",)),),
    )

    assert pickle.loads(pickle.dumps(ruleset)) == ruleset  # noqa: S301 - made here


def test_unless_told_otherwise_invalid_packets_are_dropped_and_neighbors_found() -> None:
    assert Ruleset("host-a").options == Options(allow_neighbor_discovery=True, drop_invalid=True)
