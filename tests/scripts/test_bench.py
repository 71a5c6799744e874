"""The benchmark itself: it measures every variant, tells what was lost, and leaves nothing behind.

No test asserts a speed: machines differ, and are busy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import leftovers
import pytest
from benchmark import variants
from benchmark.generators import Generators
from benchmark.plan import Plan
from benchmark.policies import Client, PolicySet
from benchmark.spaces import Bed, remember
from netns import NETNS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "nfq-guard-bench-"
TINY = (
    "--rounds",
    "1",
    "--repeats",
    "1",
    "--policies",
    "2",
    "--flows",
    "3000",
    "--seconds-connecting",
    "1",
    "--seconds-streaming",
    "1",
)
SOME_VARIANTS = ("none", "two-rule", "bare", "cold", "chains")

pytestmark = pytest.mark.traffic


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts" / "lib")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, progress = child.communicate(timeout=110)
    return child.returncode, output, progress


def wait_for(child: subprocess.Popen[str], words: str) -> None:
    """Wait until a benchmark has said these words on its way."""
    assert child.stderr is not None
    for line in child.stderr:
        if words in line:
            return
    pytest.fail(f"the benchmark ended without saying {words!r}")


def left_behind(child: subprocess.Popen[str]) -> list[str]:
    """Return the namespaces of a benchmark that are there now."""
    return [path.name for path in NETNS_FOLDER.glob(f"bench-{child.pid}-*")]


def folders() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*")}


# -- whole runs --------------------------------------------------------------


def test_every_variant_is_measured_and_the_result_is_told_in_three_ways(tmp_path: Path) -> None:
    written, drawn = tmp_path / "run.json", tmp_path / "run.png"
    measures = "flood,connect,stream,memory,ready"
    before = folders()
    child = start(
        *TINY, "--variants", ",".join(SOME_VARIANTS), "--measures", measures, "--json", str(written), "--png", str(drawn)
    )  # fmt: skip
    code, output, progress = finish(child)

    assert code == 0, output + progress
    run = json.loads(written.read_text())
    found = {(sample["measure"], sample["variant"]): sample for sample in run["samples"]}
    assert set(found) == {(measure, variant) for measure in measures.split(",") for variant in SOME_VARIANTS}
    for variant in SOME_VARIANTS:
        assert_plausible(
            found["flood", variant], found["connect", variant], queued=variant in {"bare", "cold"}
        )
        assert 0.01 < found["stream", variant]["values"]["gbit"] < 1000
    assert (
        5 < found["memory", "cold"]["values"]["worker_pss"] < found["memory", "cold"]["values"]["worker_rss"]
    )
    assert found["memory", "none"]["values"] == {}
    assert run["machine"]["kernel"] == os.uname().release
    assert run["parameters"]["match"] == "spread"
    assert run["not_measured"] == []
    assert_readable(output)
    assert drawn.read_bytes().startswith(b"\x89PNG\r\n")
    assert drawn.stat().st_size > 10_000
    assert left_behind(child) == []
    assert folders() <= before


def assert_plausible(flood: dict[str, Any], connect: dict[str, Any], *, queued: bool) -> None:
    """Check one variant's numbers against what is known about it: every flow arrived, in some order of magnitude."""
    values, lost = flood["values"], flood["lost"]
    assert (lost["sent"], lost["lost"]) == (3000, 0)
    assert 100 < values["rate"] < 10_000_000
    assert values["queued_percent"] == (100 if queued else 0)
    times = [connect["values"][name] for name in ("p50", "p95", "p99", "max")]
    assert times == sorted(times)
    assert 1 < times[0] < 1_000_000
    assert 10 < connect["values"]["rate"] < 1_000_000
    assert connect["lost"]["lost"] == 0


def assert_readable(output: str) -> None:
    """Check that the printed report says what was measured, on what, of whom, and what was lost."""
    lines = output.splitlines()
    for start_of_line in (" kernel", " processor", " traffic", " parameters", " python", " nft"):
        assert any(line.startswith(start_of_line.strip()) for line in lines), start_of_line
    for title in ("New UDP flows per second", "connect() p50, 1 client, µs", "Goals"):
        assert title in lines
    rows = [line for line in lines if line.startswith(" no firewall")]
    assert len(rows) >= 5
    assert any(line.startswith("Lost, in 0 of 10 measurements") for line in lines)
    assert sum("█" in line for line in lines) >= 2
    assert max(map(len, lines)) <= 120


def test_measures_on_files_tell_when_traffic_meets_a_change(tmp_path: Path) -> None:
    written = tmp_path / "run.json"
    small = ("--compile-policies", "20", "--compile-sets", "5", "--start-policies", "3", "--starts", "1")
    few = (
        "--reload-policies",
        "5",
        "--edits",
        "2",
        "--disturbance-policies",
        "5",
        "--disturbance-seconds",
        "1",
    )
    code, output, progress = finish(
        start(*TINY, *small, *few, "--measures", "compile,start,reload,disturbance", "--json", str(written))
    )

    assert code == 0, output + progress
    values = {sample["measure"]: sample["values"] for sample in json.loads(written.read_text())["samples"]}
    assert 0 < values["compile"]["compile"] < 60
    assert 0 < values["compile"]["load"] < 60
    assert 0.05 < values["start"]["median"] <= values["start"]["max"]
    assert 0 < values["reload"]["min"] <= values["reload"]["median"] <= values["reload"]["max"] < 30
    for when in ("quiet", "reload"):
        delays = [values["disturbance"][f"{when}_{name}"] for name in ("p50", "p99", "p999", "max")]
        assert delays == sorted(delays)
        assert delays[0] > 1
    assert "edit to enforcing, s" in output


def test_what_watchers_cost_is_measured_and_what_they_missed_is_told(tmp_path: Path) -> None:
    written = tmp_path / "run.json"
    few = ("--watch-policies", "3", "--watch-seconds", "4", "--watch-looks", "2", "--watch-rate", "5000")
    code, output, progress = finish(start(*TINY, *few, "--measures", "watching", "--json", str(written)))

    assert code == 0, output + progress
    run = json.loads(written.read_text())
    (sample,) = run["samples"]
    values = sample["values"]
    assert (sample["measure"], sample["variant"], sample["policies"]) == ("watching", "cold", 3)
    for name in ("stopped_alone", "stopped", "recorded", "renewing", "denied", "paced_alone"):
        assert values[name] > 100
    assert values["stopped_missed"] > 0
    assert 95 < values["stopped_accounted"] < 105
    # Of 3,000 flows each 50th is denied, and nobody is too slow for that.
    assert (values["paced_shown"], values["paced_lost"]) == (60, 0)
    assert (values["denied_shown"], values["denied_lost"]) == (120, 0)
    for name in ("paced_alone", "paced"):
        assert values[name] < 5100
    assert sample["lost"]["lost"] == 0
    goals = [goal for goal in run["targets"] if goal["found"]]
    assert [goal["limit"] for goal in goals] == [0.97, 0.97, 0.9]
    assert "a stopped watcher of everything ÷ nobody, verdicts/s" in output


def test_what_cannot_be_measured_is_named_with_the_reason(tmp_path: Path) -> None:
    written = tmp_path / "run.json"
    arguments = (
        "--variants",
        "none,chains",
        "--chains-at-most",
        "1",
        "--measures",
        "flood",
        "--json",
        str(written),
    )
    code, output, _ = finish(start(*TINY, *arguments))

    assert code == 0
    assert "takes too long: left out beyond 1 policies (--chains-at-most)" in " ".join(output.split())
    (gap,) = json.loads(written.read_text())["not_measured"]
    assert (gap["variant"], gap["failed"]) == ("chains", False)


def test_no_round_begins_after_the_time_is_over() -> None:
    arguments = ("--variants", "none", "--measures", "flood", "--rounds", "3", "--minutes", "0.0001")
    code, output, _ = finish(start("--policies", "2", "--flows", "3000", *arguments))

    assert code == 0
    assert "all from round 2 on" in output
    assert "0.0001 minutes were over (--minutes)" in " ".join(output.split())


def test_one_that_is_interrupted_tells_what_it_has_and_cleans_up() -> None:
    child = start("--policies", "2", "--variants", "none,bare", "--measures", "flood", "--rounds", "1000")
    wait_for(child, "bare NetfilterQueue loop")
    child.send_signal(signal.SIGTERM)
    code, output, _ = finish(child)

    assert code == 128 + signal.SIGTERM
    assert "Interrupted" in output
    assert "New UDP flows per second" in output
    assert left_behind(child) == []


def test_the_next_one_removes_what_a_killed_one_left() -> None:
    child = start("--policies", "2", "--variants", "table", "--measures", "flood", "--rounds", "1000")
    wait_for(child, "guard, flow table")
    child.kill()
    finish(child)
    assert len(left_behind(child)) == 2

    leftovers.remove_all(PREFIX, kept=False)
    assert left_behind(child) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--variants", "fast"), "there is no fast; there are none, two-rule"),
        (("--measures", ""), "--measures: there is no name given"),
        (("--policies", "0"), "policies must number 1-16384, got 0"),
        (("--rounds", "0"), "must be more than nothing"),
        (("--json", "/no/such/folder/run.json"), "there is no such folder"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_made(
    arguments: tuple[str, ...], says: str
) -> None:
    code, _, progress = finish(start(*arguments))

    assert code == 2
    assert says in progress


# -- one bed -----------------------------------------------------------------


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    """Return a bed of the benchmark with nothing in it."""
    made = Bed(tmp_path)
    remember(tmp_path, [made])
    try:
        made.build()
        yield made
    finally:
        leftovers.remove(tmp_path)


def test_what_a_firewall_drops_is_counted_as_lost(bed: Bed) -> None:
    generators = Generators(bed)
    policies = PolicySet(2)
    generators.aim(policies.clients)
    bed.nft("table ip t { chain c { type filter hook input priority 0; udp dport 20001 drop; }; }\n")

    said = generators.run("flood", seconds=10, flows=2_000, window=768)
    assert (said["sent"], said["arrived"]) == (2_000, 1_000)
    assert said["stalls"] > 0


def test_flows_that_nobody_is_to_get_are_sent_and_not_awaited(bed: Bed) -> None:
    generators = Generators(bed)
    generators.aim(PolicySet(2).clients)
    bed.nft("table ip t { chain c { type filter hook input priority 0; udp dport 9 counter drop; }; }\n")

    said = generators.run("flood", seconds=10, flows=2_000, refuse=50)

    assert (said["sent"], said["arrived"], said["unwanted"], said["stalls"]) == (1_960, 1_960, 40, 0)


def test_a_rate_that_is_asked_for_is_kept(bed: Bed) -> None:
    generators = Generators(bed)
    generators.aim(PolicySet(2).clients)

    said = generators.run("flood", seconds=10, flows=5_000, rate=10_000)

    assert said["arrived"] == 5_000
    assert 0.45 < said["seconds"] < 2


def test_an_overrun_queue_is_told_where_it_lost_packets(bed: Bed) -> None:
    generators = Generators(bed)
    policies = PolicySet(1)
    generators.aim(policies.clients)
    with variants.bare_loop(bed, policies) as running:
        os.kill(running.processes["loop"], signal.SIGSTOP)
        before, queued = bed.losses(), bed.queued()
        said = generators.run("flood", seconds=10, flows=6_000, window=0)
        os.kill(running.processes["loop"], signal.SIGCONT)
        lost = bed.losses().since(before)

    assert said["arrived"] == 0
    assert lost.queue_full + lost.reader_full + lost.backlog == 6_000 - 4_096
    assert bed.queued() - queued <= 4_096


@pytest.mark.parametrize("count", [1, 7])
def test_chains_and_guard_let_through_the_same_flows(bed: Bed, count: int) -> None:
    policies = PolicySet(count)
    right = policies.clients[:count]
    wrong_port = [Client(client.address, client.port + 5_000) for client in right]
    strangers = [Client("10.127.255.1", client.port) for client in right]
    generators = Generators(bed)
    arrived = {}
    for name in ("chains", "table"):
        bed.clear()
        with variants.BY_NAME[name].start(bed, policies):
            for what, clients in (("right", right), ("wrong port", wrong_port), ("strangers", strangers)):
                generators.aim(clients)
                flows = 4 * len(clients)
                arrived[name, what] = generators.run("flood", seconds=10, flows=flows, window=64)["arrived"]

    for name in ("chains", "table"):
        assert arrived[name, "right"] == 4 * len(right), name
        assert arrived[name, "wrong port"] == 0, name
        assert arrived[name, "strangers"] == 0, name


def test_a_variant_without_its_setting_is_named_and_not_run() -> None:
    variant = variants.Variant("x", "x", variants.no_firewall, ("no_such_setting",))

    assert variant.missing() == "this build of nfq-guard has no setting no_such_setting"
    assert all(not variants.BY_NAME[name].missing() for name in SOME_VARIANTS)
    assert set(Plan().variants) == set(variants.BY_NAME)
