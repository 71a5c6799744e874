from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from guarded import Daemon, documents, endpoint, policy, tcp
from netns import Namespace, until

from nfq_guard.adapters.control import ask
from nfq_guard.daemon.controller import Controller
from nfq_guard.daemon.guard import Guard
from nfq_guard.daemon.logs import Log
from nfq_guard.daemon.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netns import Namespace as Space

pytestmark = pytest.mark.netns

BASIC = documents(endpoint("lo"), policy(tcp(80, 9091)))


@pytest.fixture
def space() -> Iterator[Space]:
    with Namespace() as made:
        yield made


def test_it_stops_at_once_on_an_interrupt_too(space: Space, tmp_path: Path) -> None:
    with Daemon(space, tmp_path) as daemon:
        daemon.write(BASIC)
        daemon.start()

        daemon.signal(signal.SIGINT)

        assert daemon.wait() == 0
        assert daemon.table() == ""


def test_logs_are_json_where_asked(space: Space, tmp_path: Path) -> None:
    with Daemon(space, tmp_path, "--log-format", "json") as daemon:
        daemon.write(BASIC)
        daemon.start().stop()

        assert all(line.startswith("{") for line in daemon.log.splitlines())
        assert '"message": "policy in force"' in daemon.log


def test_changes_in_quick_succession_end_with_the_last(space: Space, tmp_path: Path) -> None:
    with Daemon(space, tmp_path) as daemon:
        daemon.write(BASIC)
        daemon.start()

        for port in range(100, 140):
            daemon.write(endpoint("lo"), policy(tcp(port), tcp(9091), name=f"p{port}"))

        until(lambda: last(daemon), "the last")
        assert daemon.log.count("policy in force") < 40


def test_a_file_that_is_being_written_is_not_read_before_it_is_complete(space: Space, tmp_path: Path) -> None:
    with Daemon(space, tmp_path) as daemon:
        daemon.write(BASIC)
        daemon.start()
        before = daemon.metric("nfq_guard_generation")

        with (tmp_path / "rules" / "more.yaml").open("w") as more:
            more.write(policy(tcp(81), name="first"))
            more.flush()
            time.sleep(0.4)
            assert daemon.metric("nfq_guard_generation") == before
            more.write("---\n" + policy(tcp(82), name="second"))

        until(lambda: daemon.reloaded(int(before)), "it is read")
        assert daemon.metric("nfq_guard_generation") == before + 1
        assert daemon.log.count("policy in force") == 2


def test_a_file_that_nobody_closes_is_told_after_a_while_and_never_read(space: Space, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yaml").write_text(BASIC)
    settings = Settings(rules=(str(rules),), state=str(tmp_path / "state"), control=str(tmp_path / "c"))
    descriptor = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    with space.entered():
        guard = Guard(replace(settings, node="guarded", metrics="off"), Log(fd=descriptor))
        controller = Controller(guard)
        assert controller._keeper.begin(controller._facts)

        with (rules / "a.yaml").open("w") as half:
            controller._files_changed()
            due, read = guard.loop._timers["files"]
            assert 25 < due - time.monotonic() <= 30
            half.write("# not yet")
            half.flush()
            controller._files_changed()
            assert guard.loop._timers["files"][0] - due < 1
            read()
            guard.refresh()
            assert "unfinished-file" in guard.telemetry.load_errors[0]
            assert "the last change was refused" in guard.telemetry.ready().text
            half.write("\n" + BASIC)
        controller._files_changed()
        due, read = guard.loop._timers["files"]
        assert due - time.monotonic() < 0.1
        read()

        assert guard.telemetry.load_errors == ()
        assert guard.telemetry.generation == 1
        assert controller._files is not None
        controller._files.close()
        controller._host.close()
        guard.stop()
        guard.close()
        os.close(descriptor)
    assert (tmp_path / "log").read_text().count("change not read yet") == 1


def test_a_reload_that_is_asked_for_while_a_file_is_being_written_is_answered_so(
    space: Space, tmp_path: Path
) -> None:
    with Daemon(space, tmp_path) as daemon:
        daemon.write(BASIC)
        daemon.start()

        with (daemon.rules / "rules.yaml").open("w") as half:
            half.write(BASIC)
            answer = ask(str(daemon.control), {"command": "reload"})
            assert not answer["ok"]
            assert "unfinished-file" in answer["problems"][0]
            assert daemon.metric("nfq_guard_config_load_error") == 1

        until(lambda: daemon.metric("nfq_guard_config_load_error") == 0, "it is read")
        assert ask(str(daemon.control), {"command": "reload"})["ok"]


def test_a_folder_that_is_being_copied_is_read_when_it_is_complete(space: Space, tmp_path: Path) -> None:
    with Daemon(space, tmp_path) as daemon:
        daemon.write(BASIC)
        daemon.start()
        (daemon.rules / "more").mkdir()
        with (daemon.rules / "more" / "b.yaml").open("w") as half:
            half.write(policy(tcp(81), name="first"))
            half.flush()
            time.sleep(0.5)
            assert daemon.log.count("policy in force") == 1
            half.write("\n---\n" + policy(tcp(82), name="second"))

        until(lambda: daemon.log.count("policy in force") == 2, "it is read")


def test_an_interface_whose_name_is_not_text_harms_nothing_live_or_at_start(
    space: Space, tmp_path: Path
) -> None:
    with Daemon(space, tmp_path) as daemon:
        daemon.write(BASIC)
        daemon.start()
        space.ip("link", "add", "\udcff\udcfe", "type", "veth", "peer", "name", "b\udcff")
        with daemon.change():
            daemon.write(endpoint("lo"), policy(tcp(81, 9091)))
        assert daemon.stop() == 0
        assert daemon.start().stop() == 0

        assert "internal error" not in daemon.log


BROKEN_HOST = """
import os
from nfq_guard.adapters import host
sound = host._interfaces
def broken(*facts):
    if os.path.exists({flag!r}):
        raise TypeError("a bug")
    return sound(*facts)
host._interfaces = broken
"""


def broken(base: Path) -> tuple[Path, dict[str, str]]:
    """Return a flag file, and the environment of a daemon that has a bug while the flag is there."""
    site, flag = base / "site", base / "flag"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BROKEN_HOST.format(flag=str(flag)))
    return flag, {"PYTHONPATH": str(site)}


def test_a_bug_in_a_callback_is_said_once_and_what_it_missed_is_made_up_for(
    space: Space, tmp_path: Path
) -> None:
    flag, environment = broken(tmp_path)
    with Daemon(space, tmp_path, environment=environment) as daemon:
        daemon.write(BASIC)
        daemon.start()
        flag.touch()
        space.ip("link", "add", "new0", "type", "veth", "peer", "name", "new1")
        until(lambda: "internal error, going on" in daemon.log, "it is said")
        with daemon.change():
            daemon.write(endpoint("lo"), endpoint("'*'", name="all"), policy(tcp(81, 9091)))
        daemon.write(endpoint("lo"), policy(tcp(81, 9091)), by_address())
        flag.unlink()
        space.ip("address", "add", "10.5.0.1/32", "dev", "new0")

        until(lambda: "new0" in str(daemon.status()["endpoints"]), "it is made up for")
        assert daemon.log.count("internal error") == 1


def by_address() -> str:
    return endpoint(name="new").replace("interfaceName: eth0", "expectedIPs: [10.5.0.1]")


def test_a_bug_at_the_start_ends_it_with_a_code_that_is_started_again(space: Space, tmp_path: Path) -> None:
    flag, environment = broken(tmp_path)
    with Daemon(space, tmp_path, environment=environment) as daemon:
        daemon.write(BASIC)
        flag.touch()
        daemon.start(wait=False)

        assert daemon.wait() == 70
        assert "TypeError: a bug" in daemon.log


def test_thousands_of_interfaces_are_no_trouble(space: Space, tmp_path: Path) -> None:
    with Daemon(space, tmp_path) as daemon:
        daemon.write(BASIC)
        daemon.start()
        worker = daemon.worker()
        names = [(f"interface-{n:04}a", f"interface-{n:04}b") for n in range(3000)]
        links = "".join(f"link add {one} type veth peer name {other}\n" for one, other in names)
        space.run("ip", "-batch", "-", text=links, timeout=60)
        # To read so many takes seconds, and longer where the machine is busy.
        with daemon.change(within=60):
            daemon.write(endpoint("lo"), policy(tcp(81, 9091)))

        assert daemon.worker() == worker
        assert daemon.metric("nfq_guard_worker_restarts_total") == 0
        os.kill(worker, signal.SIGKILL)
        until(lambda: daemon.worker() not in {0, worker} and daemon.ready(), "another worker")
        assert daemon.metric("nfq_guard_worker_restarts_total") == 1


def last(daemon: Daemon) -> bool:
    chains = daemon.status()["chains"]
    return any(rule["policy"] == "p139" for chain in chains for rule in chain["rules"])
