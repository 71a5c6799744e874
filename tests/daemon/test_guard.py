from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from netns import Namespace

from nfq_guard.adapters.nfqueue import QueueReader
from nfq_guard.daemon.guard import Guard, StartError
from nfq_guard.daemon.logs import Log
from nfq_guard.daemon.settings import Settings
from nfq_guard.engine.ruleset import CounterKey, Ruleset
from nfq_guard.kernel.plan import KernelSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netns import Namespace as Space

pytestmark = pytest.mark.netns


@pytest.fixture
def space() -> Iterator[Space]:
    with Namespace() as made, made.entered():
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        rules=(str(tmp_path),),
        state=str(tmp_path / "state"),
        control=str(tmp_path / "control.sock"),
        metrics="127.0.0.1:9091",
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    descriptor = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    yield Log(fd=descriptor)
    os.close(descriptor)


def test_a_metrics_address_in_use_refuses_the_start(space: Space, settings: Settings, log: Log) -> None:
    guard = Guard(settings, log)
    with socket.create_server(("127.0.0.1", 9091)), pytest.raises(StartError, match="metrics address"):
        guard.open(lambda _: {})
    guard.close()


def test_a_control_socket_in_use_refuses_the_start(space: Space, settings: Settings, log: Log) -> None:
    guard = Guard(settings, log)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(settings.control)
        other.listen()
        with pytest.raises(StartError, match="--control"):
            guard.open(lambda _: {})
    guard.close()


def start(guard: Guard) -> None:
    guard.open(lambda _: {})
    guard.begin(Ruleset("n"))


def test_another_guard_here_is_the_reason_whatever_else_it_has(
    space: Space, settings: Settings, log: Log, tmp_path: Path
) -> None:
    first = Guard(settings, log)
    start(first)
    (pid,) = first.pool.pids().values()
    reason = rf"another guard runs in this network namespace: pid {pid} \("
    own = replace(settings, state=str(tmp_path / "other"))

    for shared in (
        own,
        replace(own, metrics="off"),
        replace(own, metrics="off", control=str(tmp_path / "c")),
    ):
        second = Guard(shared, log)
        with pytest.raises(StartError, match=reason):
            start(second)
        second.close()

    first.stop()
    first.close()


def test_a_queue_that_somebody_holds_refuses_the_start_and_names_him(
    space: Space, settings: Settings, log: Log
) -> None:
    reader = QueueReader(settings.queue, lambda *_: lambda *_: 0, KernelSettings(queue=settings.queue))
    guard = Guard(replace(settings, metrics="off"), log)

    with pytest.raises(StartError, match=f"held by pid {os.getpid()}"):
        guard.begin(Ruleset("n"))

    guard.close()
    reader.close()


def test_without_a_state_folder_it_guards_all_the_same(
    space: Space, settings: Settings, log: Log, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    guard = Guard(replace(settings, metrics="off", state=str(tmp_path / "file" / "state")), log)

    guard.begin(Ruleset("n"))
    guard.refresh()

    assert guard.telemetry.ready().good
    assert guard.load_snapshot() is None
    guard.save_snapshot(())
    guard.stop()
    guard.close()
    assert "no state folder" in (tmp_path / "log").read_text()


def test_a_snapshot_that_cannot_be_saved_is_only_said(
    space: Space, settings: Settings, log: Log, tmp_path: Path
) -> None:
    guard = Guard(settings, log)
    (tmp_path / "state" / "last-good.json").mkdir()

    guard.save_snapshot(())

    guard.close()
    assert "last good policy not saved" in (tmp_path / "log").read_text()


def test_closing_without_stopping_leaves_table_and_worker_in_force(
    space: Space, settings: Settings, log: Log
) -> None:
    guard = Guard(replace(settings, metrics="off"), log)
    guard.begin(Ruleset("n"))

    guard.close()

    assert guard.table.installed_generation() == 1
    assert guard.pool.pids()
    for worker in guard.pool._living():
        worker.kill()
        worker.close()


def test_a_successor_with_other_mark_bits_clears_those_before_and_its_own(
    space: Space, settings: Settings, log: Log
) -> None:
    settings = replace(settings, metrics="off")
    first = Guard(settings, log)
    first.begin(Ruleset("n"))
    first.close()
    pinned = ["conntrack", "-I", "-p", "udp", "-s", "10.0.0.2", "-d", "10.0.0.1", "--sport", "7"]
    subprocess.run(
        [*pinned, "--dport", "80", "-t", "100", "-m", str(0x1F00_0005)], check=True, capture_output=True
    )

    second = Guard(replace(settings, connection_mark_mask=0x0F00_0000), log)
    second.begin(Ruleset("n"))

    listed = subprocess.run(["conntrack", "-L"], check=True, capture_output=True, text=True).stdout
    assert "mark=5 " in listed
    assert second.state is not None
    assert second.state.load_mask() == 0x0F00_0000
    second.stop()
    second.close()
    for worker in first.pool._living():
        worker.close()


def test_what_was_counted_under_a_predecessor_counts_for_no_rule(
    space: Space, settings: Settings, log: Log
) -> None:
    settings = replace(settings, metrics="off")
    first = Guard(settings, log)
    first.begin(Ruleset("n"))
    first.close()
    space.nft("add counter inet nfq_guard rule_0 { packets 100 bytes 100 }\n")
    key = CounterKey("default", "GlobalNetworkPolicy", "web", "0", "ingress", "allow")

    second = Guard(settings, log)
    second.telemetry.read_kernel()
    second.begin(Ruleset("n", counter_keys=(key,)))

    kernel = second.telemetry.read_kernel()
    assert dict(second.slots.counts()) == {key: 0}
    assert not any(labels.reason == "policy" for labels in kernel.verdicts)
    assert second.teacher._idle == {0}
    second.stop()
    second.close()
    for worker in first.pool._living():
        worker.close()


def test_a_start_that_fails_does_not_forget_the_workers_left_behind(
    space: Space, settings: Settings, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, metrics="off")
    first = Guard(settings, log)
    first.begin(Ruleset("n"))
    first.close()
    second = Guard(settings, log)
    tool = tmp_path / "nft"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o700)

    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(StartError):
            second.begin(Ruleset("n"))
    second.close()

    third = Guard(settings, log)
    third.begin(Ruleset("n"))
    third.stop()
    third.close()
    for worker in first.pool._living():
        assert worker.close() == "SIGKILL"
