from __future__ import annotations

import gc
from dataclasses import replace

from guarded import documents, endpoint, policy, tcp

from nfq_guard.daemon.legends import KEPT, Legends
from nfq_guard.daemon.policy import Compiler
from nfq_guard.engine.ruleset import Options, Ruleset
from nfq_guard.engine.slices import Slice
from nfq_guard.model.host import HostFacts, Interface
from nfq_guard.resources.source import Source


def ruleset(port: int, generation: int) -> Ruleset:
    compiler = Compiler(("unused",), Options())
    text = documents(endpoint(), policy(tcp(port), name=f"p{port}"))
    facts = HostFacts("guarded", {"eth0": Interface("eth0", ("10.0.0.1",), 2)})
    made = compiler.compile(compiler.decode([Source("a.yaml", text.encode())]), facts).ruleset
    return replace(made, generation=generation)


def names(legends: Legends, generation: int) -> set[str]:
    legend = legends.of(generation)
    return set() if legend is None else {rule.name for rule in legend.rules if rule and rule.file}


def test_nothing_is_known_before_something_is_in_force() -> None:
    legends = Legends()
    legends.follow(None)

    assert (legends.generation, legends.changes, legends.of(0)) == (0, 0, None)


def test_the_ruleset_in_force_and_a_few_before_it_are_known_by_their_generations() -> None:
    legends = Legends()
    for generation in range(1, 6):
        made = ruleset(80 + generation, generation)
        for _ in range(3):
            legends.follow(made)

    assert (legends.generation, legends.changes) == (5, 5)
    assert [names(legends, generation) for generation in range(1, 6)] == [
        *([set()] * (5 - KEPT)),
        *({f"p8{generation}"} for generation in range(6 - KEPT, 6)),
    ]


def test_a_generation_that_comes_round_again_is_told_by_the_rules_of_now() -> None:
    legends = Legends()
    for generation, port in ((1, 80), (2, 81), (1, 82)):
        legends.follow(ruleset(port, generation))
        assert names(legends, generation) == {f"p{port}"}

    assert names(legends, 2) == {"p81"}
    assert legends.generation == 1


def test_rules_that_moved_within_their_files_are_found_where_they_are_now() -> None:
    legends = Legends()
    legends.follow(ruleset(80, 1))
    first = legends.of(1)

    legends.follow(ruleset(81, 1))

    assert legends.of(1) != first
    assert legends.changes == 2


def test_what_packets_are_classified_by_is_not_kept() -> None:
    def slices() -> int:
        gc.collect()
        return sum(isinstance(one, Slice) for one in gc.get_objects())

    before = slices()
    legends = Legends()
    legends.follow(ruleset(80, 1))
    legends.follow(Ruleset("n", generation=2))

    assert slices() == before
    assert names(legends, 1) == {"p80"}
