"""What the benchmark computes: flows from policies, medians from rounds, goals from ratios."""

from __future__ import annotations

import ipaddress
import subprocess
from typing import TYPE_CHECKING

import pytest
from benchmark import report, usage
from benchmark.plan import Plan, quick
from benchmark.policies import CLIENT_NET, ENDPOINT, SHIFT, PolicySet, files
from benchmark.results import Gap, Key, Results, Sample, Spread
from benchmark.targets import Target, targets

from nfq_guard.resources import load
from nfq_guard.resources.source import Source

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = "scripts/lib/benchmark/c"


# -- policies -----------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 10, 49, 50, 1000, 10_000])
def test_clients_come_evenly_from_policies_all_over_the_list(count: int) -> None:
    policies = PolicySet(count)
    clients = policies.clients

    assert 200 <= len(clients) <= 250
    assert len(set(clients)) == len(clients)
    assert {client.port - 20_000 for client in clients} == set(policies.tried)
    assert all(ipaddress.IPv4Address(client.address) in CLIENT_NET for client in clients)
    middle = sum(policies.tried) / len(policies.tried)
    assert abs(middle - (count - 1) / 2) <= 1


def test_the_last_policy_alone_may_decide() -> None:
    policies = PolicySet(100, "last")

    assert {client.port for client in policies.clients} == {20_099}
    assert policies.describe() == "100 policies: 250 sources, decided by the last"


def test_the_resources_load_without_a_complaint() -> None:
    policies = PolicySet(30, sets=7)
    sources = [Source(f"{at}.yaml", text.encode()) for at, text in enumerate(files(policies.documents(), 4))]
    inventory, problems = load([Source("endpoint.yaml", ENDPOINT.encode()), *sources])

    assert problems == []
    assert len(sources) == 8
    assert len(inventory.global_network_policies) == 30
    assert len(inventory.global_network_sets) == 7


def test_an_edit_moves_a_policys_port_to_where_no_other_has_one() -> None:
    policies = PolicySet(10_000)
    moved = policies.clients_of(42, shift=SHIFT)[0]

    assert f"ports: [{moved.port}]" in policies.document(42, shift=SHIFT)
    assert f"ports: [{moved.port}]" not in policies.document(42)


def test_too_many_policies_are_refused() -> None:
    with pytest.raises(ValueError, match="policies must number 1-16384, got 16385"):
        PolicySet(16_385)


# -- results and goals ------------------------------------------------------------


def sample(number: int, variant: str, rate: float, look: int = 0) -> Sample:
    return Sample(number, "flood", variant, 1, {"rate": rate}, {"sent": 10, "lost": 0}, look)


def test_a_spread_is_median_lowest_and_highest_of_the_rounds() -> None:
    results = Results([sample(at, "cold", rate) for at, rate in enumerate((3.0, 9.0, 5.0))])

    assert results.spread(Key("flood", "cold", 1, "rate")) == Spread(5.0, 3.0, 9.0, 3)
    assert results.spread(Key("flood", "bare", 1, "rate")) is None


def test_of_several_looks_in_a_round_the_median_counts_and_ratios_are_made_look_by_look() -> None:
    # The machine is slower in one look of each round, and in another round it is another.
    rounds = (((80.0, 100.0), (60.0, 100.0), (8.0, 10.0)), ((9.0, 10.0), (90.0, 100.0), (50.0, 100.0)))
    samples = [
        sample(number, name, rate, look)
        for number, looks in enumerate(rounds)
        for look, pair in enumerate(looks)
        for name, rate in zip(("cold", "bare"), pair, strict=True)
    ]
    results = Results(samples)

    assert results.spread(Key("flood", "cold", 1, "rate")) == Spread(55.0, 50.0, 60.0, 2)
    goal = next(goal for goal in targets(results, Plan()) if "cold ÷ bare" in goal.what)
    assert goal.found == pytest.approx(Spread(0.85, 0.8, 0.9, 2))


def test_a_ratio_is_made_round_by_round_before_its_median_is_taken() -> None:
    # The machine is slower round by round; the ratio is not.
    rounds = ((80.0, 100.0), (40.0, 50.0), (8.0, 10.0))
    samples = [
        sample(at, name, rate)
        for at, pair in enumerate(rounds)
        for name, rate in zip(("cold", "bare"), pair, strict=True)
    ]
    # A round in which one of the two is missing says nothing.
    results = Results([*samples, sample(3, "cold", 1.0)])
    goal = next(
        goal for goal in targets(results, Plan()) if goal.what == "cold ÷ bare loop, new flows, 1 policy"
    )

    assert goal.found == Spread(0.8, 0.8, 0.8, 3)
    assert goal.met


@pytest.mark.parametrize(
    ("at_least", "median", "met"),
    [(True, 1.0, True), (True, 0.9, False), (False, 1.0, True), (False, 1.1, False)],
)
def test_a_goal_is_met_at_its_limit(median: float, *, at_least: bool, met: bool) -> None:
    assert Target("x", at_least, 1.0, "", Spread(median, median, median, 1)).met is met


def test_a_goal_that_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {goal.met for goal in targets(Results(), Plan())} == {None}


def test_every_goal_that_was_asked_for_is_there() -> None:
    said = " ".join(goal.what for goal in targets(Results(), Plan()))

    for words in (
        "cold ÷ bare",
        "cold ÷ chain per policy, new flows, 1000",
        "learned ÷ two rules",
        "throughput",
    ):
        assert words in said


def test_a_failure_makes_the_run_fail_and_what_was_left_out_does_not() -> None:
    assert not Results(gaps=[Gap("", "learned", 1, "no setting", failed=False)]).failed
    assert Results(gaps=[Gap("flood", "table", 1, "does not start", failed=True)]).failed


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0.00"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (12_345, "12.3k"), (9_876_543, "9.88M")],
)
def test_numbers_are_shown_with_three_digits(number: float, shown: str) -> None:
    assert report.short(number) == shown


def test_losses_are_in_the_json_and_in_the_table() -> None:
    lossy = Sample(0, "overload", "bare", 10, {"rate": 1.0}, {"sent": 10, "lost": 4, "queue_full": 4})
    results = Results([lossy, sample(0, "none", 1.0)])
    run = report.document({}, Plan(), results, [])

    assert run["samples"][0]["lost"] == {"sent": 10, "lost": 4, "queue_full": 4}
    assert {entry["variant"] for entry in run["summary"]} == {"bare", "none"}


def test_a_quick_run_measures_the_same_with_less() -> None:
    assert quick(Plan()).measures == Plan().measures
    assert quick(Plan()).rounds == 1


# -- what the kernel and the generators say -------------------------------------------------


def test_a_busy_process_uses_cpu_seconds_and_memory() -> None:
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as child:
        before = usage.machine_seconds()
        usage.busy_share(0.5)
        used, memory = usage.process_seconds(child.pid), usage.memory_bytes(child.pid)
        child.kill()

    assert 0.01 < used < 10
    assert 0 < memory["pss"] <= memory["rss"]
    assert usage.machine_seconds() > before
    assert usage.process_seconds(child.pid) == 0
    assert usage.memory_bytes(child.pid) == {}


def test_the_histogram_keeps_latencies_to_within_two_percent(root: Path, tmp_path: Path) -> None:
    source, program = tmp_path / "check.c", tmp_path / "check"
    source.write_text(
        '#include "histogram.h"\n'
        "int main(void) {\n"
        "    static struct histogram all, part;\n"
        "    for (uint64_t i = 1; i <= 100000; i++) note(i % 2 ? &all : &part, i * 1000);\n"
        "    merge(&all, &part);\n"
        "    print_percentiles(&all);\n"
        "    for (uint64_t v = 1; v < 1ull << 62; v = v * 3 / 2 + 1) {\n"
        "        double error = (double)value_of(bucket_of(v)) / (double)v;\n"
        "        if (error < 0.98 || error > 1.02) return 1;\n"
        "    }\n"
        "    return 0;\n"
        "}\n"
    )
    subprocess.run(["gcc", "-I", str(root / SOURCES), "-o", str(program), str(source)], check=True)
    said = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    values = [float(part.split(": ")[1]) for part in said.split(", ")]

    for value, exact in zip(values, (50_000, 95_000, 99_000, 99_900, 100_000), strict=True):
        assert value == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("source", ["flood", "connect", "stream", "probe"])
def test_a_generator_builds_without_a_warning_and_says_what_it_lacks(
    root: Path, tmp_path: Path, source: str
) -> None:
    program = tmp_path / source
    flags = ("-O2", "-Wall", "-Wextra", "-Werror", "-pthread")
    subprocess.run(["gcc", *flags, "-o", str(program), str(root / SOURCES / f"{source}.c")], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert done.stderr.startswith("missing argument ")
