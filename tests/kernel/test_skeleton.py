from __future__ import annotations

import pytest

from nfq_guard.kernel.plan import KernelPlan, KernelSettings, QueueTarget, Section
from nfq_guard.kernel.rules import Rules
from nfq_guard.kernel.skeleton import BASE_CHAINS, COUNTERS, base_chains, sets

PLAN = KernelPlan(1, ("eth0",))


@pytest.mark.parametrize("section", Section)
def test_base_chains_only_jump(section: Section) -> None:
    for chain in base_chains(section):
        declaration, rule = chain.lines
        assert declaration.startswith("type filter hook ")
        assert rule.removeprefix("ct status dnat ").startswith("jump ")


@pytest.mark.parametrize("section", Section)
def test_a_base_chain_jumps_to_a_chain_of_its_own_section(section: Section) -> None:
    regular = {chain.name for chain in Rules(PLAN, KernelSettings(), QueueTarget.XT).chains(section)}
    assert {base.target for base in BASE_CHAINS[section]} <= regular


def test_no_two_sections_share_a_name() -> None:
    rules = Rules(PLAN, KernelSettings(), QueueTarget.XT)
    chains = [chain.name for section in Section for chain in rules.chains(section)]
    bases = [base.name for section in Section for base in BASE_CHAINS[section]]
    declared = [one.name for section in Section for one in sets(section, PLAN)]
    assert len({*chains, *bases}) == len(chains) + len(bases)
    assert len(set(declared)) == len(declared)
    assert len(set(COUNTERS)) == len(COUNTERS)
