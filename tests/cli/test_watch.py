from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from captures import wire
from click.testing import CliRunner
from commands import completed
from events import ALLOW_SSH, DNS, END_OF_TIER, LOG_SSH, SSH
from netns import until
from policy import WEB_RULES
from records import DENIED
from scapy.utils import RawPcapNgReader
from told import Telling

from nfq_guard.cli.main import Exit, cli
from nfq_guard.daemon.ring import WATCHED
from nfq_guard.model.decision import Reason
from nfq_guard.model.problem import ConfigError
from nfq_guard.stream.record import ALLOW, DENY, LOG, Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

ALLOWED = DENIED._replace(counter=0, verdict=ALLOW, reason=Reason.POLICY, in_interface="eth1", data=wire(DNS))
LOGGED = DENIED._replace(counter=2, verdict=LOG, reason=None, in_interface="eth2")
RULES = (
    WEB_RULES
    + """---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {failsafeInboundHostPorts: []}
"""
)
FACTS = {
    "node": "host",
    "interfaces": {"eth0": ["192.0.2.10"]},
}
FAILSAFE = {"reason": "failsafe", "verdict": "allow", "direction": "ingress", "stage": "normal", "packets": 5}


class Guard(Telling):
    """Writes down the same verdicts again and again once somebody watches."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.legends = {3: (ALLOW_SSH, END_OF_TIER, LOG_SSH)}
        self._end = threading.Event()

    def writes(self, *records: Record) -> threading.Thread:
        def write() -> None:
            while not self._end.wait(0.02):
                if self.wishes():
                    self.write(*records)

        thread = threading.Thread(target=write)
        thread.start()
        return thread

    def end(self) -> None:
        self._end.set()


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    made = Guard(str(tmp_path / "control.sock"))
    with made:
        thread = made.writes(ALLOWED, DENIED, LOGGED)
        yield made
        made.end()
        thread.join()
    made.close()


def watch(guard: Telling, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["watch", "--control", guard.path, *arguments])


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_verdicts_are_shown_until_there_are_enough(guard: Guard) -> None:
    result = watch(guard, "--format", "json", "--count", "3")

    assert result.exit_code == Exit.GOOD
    assert [one["verdict"] for one in objects(result)] == ["allow", "deny", "log"]
    assert result.stderr.startswith("nfq-guard watch: 3 shown of ")
    assert [wish["verdicts"] for wish in guard.wishes()] == [["allow", "deny", "log"]]


def test_text_is_for_people(guard: Guard) -> None:
    result = watch(guard, "--count", "3")
    words = [" ".join(line.split()) for line in result.stdout.splitlines()]

    assert words == [
        (
            "00:00:00.000Z allow policy in eth1 UDP 192.0.2.10:5353 > 192.0.2.53:53 "
            "tier default, GlobalNetworkPolicy(allow-ssh) ingress rule 0 at rules/ssh.yaml:14"
        ),
        "00:00:00.000Z deny tier-default in eth0 TCP 198.51.100.7:40000 > 192.0.2.10:22 end of tier default",
        (
            "00:00:00.000Z log in eth2 TCP 198.51.100.7:40000 > 192.0.2.10:22 "
            "tier default, GlobalNetworkPolicy(log-ssh) ingress rule 0 at rules/log.yaml:12"
        ),
    ]


@pytest.mark.parametrize(
    ("arguments", "verdict", "asked"),
    [
        (["--denied"], DENY, [DENY]),
        (["deny", "and", "tcp"], DENY, [DENY]),
        (["reason == no-match or reason == tier-default"], DENY, [DENY]),
        (["dport 53"], ALLOW, [ALLOW, DENY, LOG]),
        (["--policy", "allow-ssh"], ALLOW, [ALLOW, DENY, LOG]),
        (["--policy", "allow-*"], ALLOW, [ALLOW, DENY, LOG]),
        (["--interface", "eth0"], DENY, [ALLOW, DENY, LOG]),
        (["--interface", "*0", "in"], DENY, [ALLOW, DENY, LOG]),
        (["allow"], ALLOW, [ALLOW]),
        (["log"], LOG, [LOG]),
        (["--denied", "--interface", "eth0", "tcp or udp"], DENY, [DENY]),
    ],
    ids=" ".join,
)
def test_only_what_is_meant_is_shown_and_no_more_than_that_is_asked_for(
    guard: Guard, arguments: list[str], verdict: str, asked: list[str]
) -> None:
    result = watch(guard, "--format", "json", "--count", "2", *arguments)

    assert [one["verdict"] for one in objects(result)] == [verdict] * 2
    assert guard.wishes()[0]["verdicts"] == asked


def test_conditions_of_flags_and_filter_have_all_to_be_fulfilled(guard: Guard) -> None:
    result = watch(guard, "--denied", "udp", "--seconds", "0.3", "--count", "1")

    assert (result.exit_code, result.stdout) == (Exit.NO, "")
    assert "0 shown of " in result.stderr


def test_time_that_is_over_is_good_where_no_count_was_asked_for(guard: Guard) -> None:
    assert watch(guard, "--seconds", "0.2").exit_code == Exit.GOOD


def test_a_filter_that_cannot_be_read_is_wrong_usage_and_shows_where(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["watch", "deny", "and", "dprot == \x1b 443"])

    assert result.exit_code == Exit.USAGE
    assert "Error: filter, column 10: found `dprot`; did you mean dport?\n" in result.stderr
    assert "  deny and dprot == \\u001b 443\n           ^\n" in result.stderr


def test_what_the_kernel_decides_is_counted_once_a_second(guard: Guard) -> None:
    guard.kernel = [FAILSAFE]

    def more() -> None:
        until(lambda: any(request["command"] == "kernel-verdicts" for request in guard.asked), "it is asked")
        guard.kernel = [{**FAILSAFE, "packets": 17}]

    thread = threading.Thread(target=more)
    thread.start()
    result = watch(guard, "reason == failsafe", "--seconds", "1.5", "--format", "json")
    thread.join()

    (one,) = objects(result)
    assert (one["reason"], one["direction"], one["counted"]) == ("failsafe", "in", 12)
    assert "0 shown of " in result.stderr


def test_a_filter_asks_about_what_the_kernel_decides_too(guard: Guard) -> None:
    guard.kernel = [FAILSAFE]

    def more() -> None:
        until(guard.wishes, "it is watched")
        time.sleep(0.3)
        guard.kernel = [{**FAILSAFE, "packets": 17}]

    thread = threading.Thread(target=more)
    thread.start()
    result = watch(guard, "out or tcp", "--denied", "--seconds", "1.5", "--format", "json")
    thread.join()

    assert all("counted" not in one for one in objects(result))


def packets(path: Path) -> list[bytes]:
    with RawPcapNgReader(io.BytesIO(path.read_bytes())) as reader:
        return [data for data, _ in reader]


def test_packets_are_written_instead_of_lines(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    result = watch(guard, "--write", str(path), "--count", "3")

    assert (result.exit_code, result.stdout) == (Exit.GOOD, "")
    assert packets(path) == [wire(DNS), wire(SSH), wire(SSH)]


def test_packets_are_written_beside_lines_if_a_format_is_given(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    result = watch(guard, "--write", str(path), "--count", "2", "--format", "text")

    assert len(result.stdout.splitlines()) == len(packets(path)) == 2


def test_a_file_that_is_there_is_left_alone_without_force(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_text("precious")
    refused = watch(guard, "--write", str(path), "--count", "1")

    assert refused.exit_code == Exit.USAGE
    assert f"{path} is there already; --force writes over it" in refused.stderr
    assert path.read_text() == "precious"

    assert watch(guard, "--write", str(path), "--count", "1", "--force").exit_code == Exit.GOOD
    assert len(packets(path)) == 1


def test_a_file_that_cannot_be_made_and_a_full_disk_are_failures(guard: Guard, tmp_path: Path) -> None:
    nowhere = watch(guard, "--write", str(tmp_path / "none" / "a.pcapng"))
    full = watch(guard, "--write", "/dev/full", "--force")

    assert (nowhere.exit_code, full.exit_code) == (Exit.FAILED, Exit.FAILED)
    assert nowhere.stderr.endswith("a.pcapng: No such file or directory\n")
    assert "Error: /dev/full: No space left on device; the file ends behind the last packet" in full.stderr


def test_lines_and_packets_cannot_share_standard_output(guard: Guard) -> None:
    assert watch(guard, "--write", "-", "--format", "json").exit_code == Exit.USAGE


def test_no_guard_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    result = CliRunner().invoke(
        cli, ["watch", "--control", str(tmp_path / "none.sock"), "--write", str(path)]
    )

    assert result.exit_code == Exit.FAILED
    assert result.stderr.startswith(
        f"Error: no nfq-guard answers at {tmp_path}/none.sock (--control, from flag"
    )
    assert not path.exists()


def test_a_guard_without_verdicts_to_tell_is_a_failure(guard: Guard) -> None:
    guard.refusal = "there is no command 'watch'; there are: status, reload"
    result = watch(guard)

    assert result.exit_code == Exit.FAILED
    assert result.stderr == f"Error: {guard.path}: there is no command 'watch'; there are: status, reload\n"


@pytest.fixture
def explained(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "facts.json").write_text(json.dumps(FACTS), encoding="utf-8")
    return "--explain", "--rules", str(tmp_path / "rules.yaml"), "--facts", str(tmp_path / "facts.json")


def test_a_verdict_is_explained_in_place(guard: Guard, explained: tuple[str, ...]) -> None:
    result = watch(guard, "--denied", "--count", "1", *explained)

    verdict, why, change = result.stdout.splitlines()
    assert " deny " in verdict
    assert why.startswith("  why: GlobalNetworkPolicy(web) rule 0 ")
    assert change.startswith("  change: with the destination port 443, say,")


def test_a_verdict_is_explained_by_the_guards_own_rules_and_node(
    guard: Guard, explained: tuple[str, ...], tmp_path: Path
) -> None:
    guard.sources = {
        "rules": [str(tmp_path / "rules.yaml")],
        "node": "host",
        "allow_neighbor_discovery": True,
    }
    own = watch(guard, "--denied", "--count", "1", "--explain", *explained[3:])
    guard.sources = {"rules": [str(tmp_path / "none")]}
    nowhere = watch(guard, "--explain")

    assert own.stdout.splitlines()[1].startswith("  why: GlobalNetworkPolicy(web) rule 0 ")
    assert nowhere.exit_code == Exit.FAILED
    assert "none: there is nothing here, where the guard has rules; say with --rules PATH" in nowhere.stderr


def test_a_verdict_that_files_do_not_give_is_not_explained_away(
    guard: Guard, explained: tuple[str, ...]
) -> None:
    guard.legends = {3: (ALLOW_SSH, END_OF_TIER._replace(tier="other", name="other"))}
    text = watch(guard, "--denied", "--count", "1", *explained).stdout.splitlines()
    (one,) = objects(watch(guard, "--denied", "--count", "1", "--format", "json", *explained))

    differs = one["explanation"]["differs"]
    assert differs.startswith("the guard said deny at its normal stage (tier-default of tier other); ")
    assert text[1:3] == [
        f"  differs: {differs}",
        "  now: deny   tier-default        host-eth0  end of tier default",
    ]
    assert one["explanation"]["causes"]


def test_files_are_read_again_when_the_guard_has_taken_in_others(
    guard: Guard, explained: tuple[str, ...], tmp_path: Path
) -> None:
    child = Child(guard, "--denied", "--format", "json", *explained)
    assert child.process.stdout is not None
    first = json.loads(child.process.stdout.readline())
    (tmp_path / "rules.yaml").write_text(RULES.replace("443", "22"), encoding="utf-8")
    guard.changes += 1

    def anew() -> bool:
        assert child.process.stdout is not None
        return bool(json.loads(child.process.stdout.readline())["explanation"]["verdict"] == "allow")

    until(anew, "it explains by the new files")
    child.end(signal.SIGINT)
    assert first["explanation"]["verdict"] == "deny"


def test_explanations_want_lines_and_files(guard: Guard, explained: tuple[str, ...], tmp_path: Path) -> None:
    lineless = watch(guard, "--write", str(tmp_path / "a.pcapng"), *explained)
    (tmp_path / "rules.yaml").write_text("kind: Nothing", encoding="utf-8")
    broken = watch(guard, *explained)

    assert lineless.exit_code == Exit.USAGE
    assert "--explain wants lines" in lineless.stderr
    assert isinstance(broken.exception, ConfigError)


class Child:
    """The command as a process of its own."""

    def __init__(self, guard: Telling, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nfq_guard", "watch", "--control", guard.path, *arguments],
            bufsize=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        """Send a signal; return exit code, output and what was said."""
        if number is not None:
            self.process.send_signal(number)
        output, said = self.process.communicate(timeout=30)
        return self.process.returncode, output.decode(), said.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(guard: Guard, number: signal.Signals) -> None:
    child = Child(guard, "--format", "json", "--denied")
    assert child.process.stdout is not None
    first = json.loads(child.process.stdout.readline())
    code, output, said = child.end(number)

    shown = len(output.splitlines()) + 1
    assert first["verdict"] == "deny"
    assert code == Exit.GOOD
    assert said.startswith(f"nfq-guard watch: {shown} shown of ")
    assert said.endswith(" read, 0 lost\n")


def test_on_a_terminal_it_says_what_it_waits_for(guard: Guard) -> None:
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "nfq_guard", "watch", "--control", guard.path, "--denied", "--count", "1"],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)

    assert child.wait(30) == Exit.GOOD
    said = os.read(ours, 4096)
    os.close(ours)
    assert said.startswith(b"nfq-guard watch: watching verdict == deny; Ctrl-C ends it\r\n")


def test_nobody_needs_to_be_told_anything(guard: Guard) -> None:
    command = f"{sys.executable} -m nfq_guard watch --control {guard.path} --denied --count 1 2>&-"

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == Exit.GOOD
    assert "deny" in done.stdout


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_cuts_off_no_line_and_a_second_one_waits_for_no_reader(guard: Guard, signals: int) -> None:
    child = Child(guard, "--denied", "--format", "json")
    assert child.process.stdout is not None
    assert child.process.stdout.readline()
    guard.write(*[DENIED] * 4000)
    time.sleep(1)  # the pipe is full by then
    for _ in range(signals):
        child.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    assert (child.process.poll() is None) is (signals == 1)

    code, output, _ = child.end()
    if signals == 1:
        assert code == Exit.GOOD
        assert all(json.loads(line)["verdict"] == "deny" for line in output.splitlines())


def test_it_ends_when_nobody_reads_its_lines_any_more_even_if_there_are_none(guard: Guard) -> None:
    child = Child(guard, "generation == 99")
    until(guard.wishes, "it watches")
    assert child.process.stdout is not None
    child.process.stdout.close()

    assert child.process.wait(timeout=30) == Exit.NO
    assert child.process.stderr is not None
    said = child.process.stderr.read().decode()
    child.process.stderr.close()
    assert "Traceback" not in said


def test_packets_go_through_a_pipe(guard: Guard) -> None:
    child = Child(guard, "--write", "-", "--count", "2")
    output, _ = child.process.communicate(timeout=30)

    assert child.process.returncode == Exit.GOOD
    with RawPcapNgReader(io.BytesIO(output)) as reader:
        assert [data for data, _ in reader] == [wire(DNS), wire(SSH)]


def test_a_watcher_that_was_stopped_says_how_much_it_lost(guard: Guard) -> None:
    guard.unwritten = {"allow": 0, "deny": 0}
    child = Child(guard, "generation == 99")
    # It asks so once it has the rings.
    until(lambda: any(request["command"] == "kernel-verdicts" for request in guard.asked), "it watches")
    child.process.send_signal(signal.SIGSTOP)
    guard.end()
    guard.write(*[DENIED] * (WATCHED.slots + 100))
    time.sleep(guard.lease + 0.5)
    guard.unwritten = {"allow": 12, "deny": 3}
    child.process.send_signal(signal.SIGCONT)
    time.sleep(1.5)
    _, _, said = child.end(signal.SIGINT)

    lines = said.splitlines()
    (slow,) = (line for line in lines if "too slow" in line)
    lost = int(slow.split()[4])
    assert lost >= 100
    assert slow.endswith(f"{lost} verdicts lost, {lost} in all")
    (gap,) = (line for line in lines if line.startswith("nfq-guard watch: not watching for "))
    assert gap.endswith(" s: 15 verdicts that fell meanwhile were not written down")
    assert f", {lost} lost, 15 not written down in " in lines[-1]


def offered(*words: str) -> set[str]:
    return {value for _, value in completed("watch", *words)}


def test_fields_and_words_of_a_filter_are_offered() -> None:
    assert offered("dp") == {"dport"}
    assert {"deny", "denied"} <= offered("de")
    assert offered("--fo") == {"--force", "--format"}
