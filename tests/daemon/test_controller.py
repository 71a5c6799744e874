from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from guarded import Daemon, documents, endpoint, policy, tcp
from netns import Namespace, until

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


def last(daemon: Daemon) -> bool:
    chains = daemon.status()["chains"]
    return any(rule["policy"] == "p139" for chain in chains for rule in chain["rules"])
